//! Which columns and which rows: arguments that several tools share.

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use regex::Regex;

use super::{Column, Error, Recording};

/// A metric's name has to match as a whole, as in PromQL.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl FromStr for Pattern {
    type Err = regex::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // What does not parse alone must not parse for the brackets.
        Regex::new(text)?;
        Regex::new(&format!("^(?:{text})$")).map(Self)
    }
}

impl Pattern {
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// A moment, on its own or by the recording it is looked for in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// Nanoseconds since the Unix epoch.
    At(u64),
    AfterStart(Duration),
    BeforeEnd(Duration),
}

impl When {
    /// Nanoseconds since the Unix epoch, in a recording from `start` to `end`.
    pub fn in_range(self, (start, end): (u64, u64)) -> u64 {
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        match self {
            Self::At(time) => time,
            Self::AfterStart(duration) => start.saturating_add(ns(duration)),
            Self::BeforeEnd(duration) => end.saturating_sub(ns(duration)),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let relative = |text: &str| humantime::parse_duration(text).map_err(|error| error.to_string());
        if let Some(duration) = text.strip_prefix('-') {
            return relative(duration).map(Self::BeforeEnd);
        }
        if let Some(duration) = text.strip_prefix('+') {
            return relative(duration).map(Self::AfterStart);
        }
        if let Some(ns) = epoch(text) {
            return Ok(Self::At(ns));
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| {
            format!(
                "{text:?} is neither RFC 3339 (2026-11-22T10:00:00Z), seconds since the epoch, \
                 nor relative to the end (-5m) or the start (+5m)"
            )
        })?;
        u64::try_from(time.as_nanosecond()).map(Self::At).map_err(|_| format!("{text} is before 1970"))
    }
}

/// Seconds since the epoch with up to nine decimals, or whole nanoseconds: no
/// recording was made before 1973 or will be in the year 30000.
fn epoch(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let number: u64 = whole.parse().ok()?;
    if number >= 100_000_000_000_000_000 && fraction.is_empty() {
        return Some(number);
    }
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    number.checked_mul(1_000_000_000)?.checked_add(fraction)
}

/// Which metrics.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Metrics {
    /// Keep metrics whose whole name matches; may be given more than once
    #[arg(long, value_name = "REGEX")]
    pub metric: Vec<Pattern>,
    /// Keep what these samplers measured; may be given more than once
    #[arg(long, value_name = "NAME")]
    pub sampler: Vec<String>,
    /// Drop metrics whose whole name matches; wins over what is kept
    #[arg(long, value_name = "REGEX")]
    pub drop_metric: Vec<Pattern>,
}

impl Metrics {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.metric.is_empty() && self.sampler.is_empty() && self.drop_metric.is_empty()
    }

    fn keeps(&self, column: &Column) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(&column.metric));
        let sampler = || self.sampler.iter().any(|name| column.sampler() == Some(name));
        let named = (self.metric.is_empty() && self.sampler.is_empty()) || any(&self.metric) || sampler();
        named && !any(&self.drop_metric)
    }

    /// Positions of the metrics that are chosen, ascending.
    ///
    /// # Errors
    ///
    /// When nothing is, which is hardly what is wanted, or when the file does
    /// not know of samplers.
    pub fn choose(&self, recording: &Recording) -> Result<Vec<usize>, Error> {
        let metrics = || recording.columns().iter().filter(|column| column.kind.is_metric());
        if !self.sampler.is_empty() && !metrics().any(|column| column.sampler().is_some()) {
            return Err(Error::file(
                recording.path(),
                "does not say which sampler measured what; choose by --metric",
            ));
        }
        if let Some(name) = self.sampler.iter().find(|name| !metrics().any(|c| c.sampler() == Some(name))) {
            return Err(Error::file(recording.path(), format!("there is nothing of a sampler `{name}`")));
        }
        let chosen: Vec<_> = metrics().filter(|column| self.keeps(column)).map(|c| c.position).collect();
        match chosen.is_empty() && !self.is_empty() {
            true => Err(Error::file(
                recording.path(),
                format!("none of its {} metric columns is chosen", metrics().count()),
            )),
            false => Ok(chosen),
        }
    }
}

/// Which span of time.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Span {
    /// From this moment on: RFC 3339, seconds since the epoch, `-5m` before the
    /// end or `+5m` after the start
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<When>,
    /// Up to this moment, inclusive
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<When>,
}

impl Span {
    /// The rows of the span.
    ///
    /// # Errors
    ///
    /// When there are none, or when the timestamps are in disorder.
    pub fn rows(&self, recording: &Recording) -> Result<Range<usize>, Error> {
        let times = recording.timestamps();
        if self.from.is_none() && self.to.is_none() {
            return Ok(0..times.len());
        }
        if let Some(row) = times.windows(2).position(|pair| pair[1] < pair[0]) {
            let place = format!("timestamp, row {}", row + 1);
            return Err(recording.place(place, "is before the one of the row above: no span can be taken"));
        }
        let range = recording.time_range().unwrap_or_default();
        let from = self.from.map_or(0, |when| when.in_range(range));
        let to = self.to.map_or(u64::MAX, |when| when.in_range(range));
        let rows = times.partition_point(|&time| time < from)..times.partition_point(|&time| time <= to);
        match rows.start < rows.end {
            true => Ok(rows),
            false => Err(Error::file(
                recording.path(),
                format!(
                    "there are no rows in that span; it has those from {} to {}",
                    super::utc(range.0),
                    super::utc(range.1)
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_in_all_ways() {
        let at = |text: &str| text.parse::<When>();
        assert_eq!(at("2026-11-22T10:00:00Z"), Ok(When::At(1_795_341_600_000_000_000)));
        assert_eq!(at("1795341600"), at("2026-11-22T10:00:00Z"));
        assert_eq!(at("1795341600.5"), at("2026-11-22T11:00:00.5+01:00"));
        assert_eq!(at("1795341600000000001"), Ok(When::At(1_795_341_600_000_000_001)));
        assert_eq!(at("-5m"), Ok(When::BeforeEnd(Duration::from_secs(300))));
        assert_eq!(at("+90s"), Ok(When::AfterStart(Duration::from_secs(90))));
        for wrong in ["", "-", "yesterday", "1.2.3", "-x", "1960-01-01T00:00:00Z", "99999999999999999"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn patterns_match_whole_names() {
        let pattern: Pattern = "cpu_.*|tcp".parse().unwrap();
        assert!(pattern.matches("cpu_usage") && pattern.matches("tcp"));
        assert!(!pattern.matches("cgroup_cpu_usage") && !pattern.matches("tcp_size"));
        assert!("a)(b".parse::<Pattern>().is_err());
    }

    proptest! {
        #[test]
        fn no_time_is_too_strange(text in ".{0,40}", digits in "[-+0-9.TZ:]{0,40}") {
            let _ = text.parse::<When>().map(|when| when.in_range((1, u64::MAX)));
            let _ = digits.parse::<When>().map(|when| when.in_range((1, u64::MAX)));
        }
    }
}

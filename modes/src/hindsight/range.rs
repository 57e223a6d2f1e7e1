//! Spans of time, as they are asked for.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Which part of the buffer is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    last: Option<Duration>,
    start: Option<u64>,
    end: Option<u64>,
}

impl Span {
    /// All of it.
    pub fn all() -> Self {
        Self::default()
    }

    /// From the parameters of a request: `last=5m`, or `start=` and `end=`, in
    /// RFC 3339 or seconds since the epoch; either may be missing.
    ///
    /// # Errors
    ///
    /// Which parameter is wrong, and what is expected.
    pub fn parse(last: Option<&str>, start: Option<&str>, end: Option<&str>) -> Result<Self, String> {
        if last.is_some() && (start.is_some() || end.is_some()) {
            return Err("last cannot be combined with start or end".into());
        }
        let last = last
            .map(|text| {
                humantime::parse_duration(text)
                    .map_err(|_| format!("last: a duration such as 5m is expected, not {text:?}"))
            })
            .transpose()?;
        let start = start.map(|text| time("start", text)).transpose()?;
        let end = end.map(|text| time("end", text)).transpose()?;
        if let (Some(start), Some(end)) = (start, end)
            && start > end
        {
            return Err("start is after end".into());
        }
        Ok(Self { last, start, end })
    }

    /// In ns since the epoch, both ends included.
    pub fn resolve(&self, now: u64) -> RangeInclusive<u64> {
        let last = self.last.map(|last| u64::try_from(last.as_nanos()).unwrap_or(u64::MAX));
        let start = last.map(|last| now.saturating_sub(last)).or(self.start);
        start.unwrap_or(0)..=self.end.unwrap_or(u64::MAX)
    }
}

fn time(name: &str, text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "{name}: a time such as 2026-11-22T10:00:00Z, or seconds since the epoch, is expected, not {text:?}"
        )
    };
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return u64::try_from(time.as_nanosecond()).map_err(|_| wrong());
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let seconds: u64 = whole.parse().map_err(|_| wrong())?;
    let nanos: u64 = format!("{fraction:0<9}").parse().map_err(|_| wrong())?;
    seconds.checked_mul(1_000_000_000).and_then(|time| time.checked_add(nanos)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000_000_000;

    #[test]
    fn spans() {
        let span = |last, start, end| Span::parse(last, start, end).map(|span| span.resolve(NOW));
        assert_eq!(span(None, None, None), Ok(0..=u64::MAX));
        assert_eq!(span(Some("5m"), None, None), Ok(700_000_000_000..=u64::MAX));
        assert_eq!(span(None, Some("12.5"), Some("13")), Ok(12_500_000_000..=13_000_000_000));
        assert_eq!(
            span(None, Some("1970-01-01T00:00:10Z"), Some("1970-01-01T01:00:20+01:00")),
            Ok(10_000_000_000..=20_000_000_000)
        );
        for (last, start, end) in [
            (Some("soon"), None, None),
            (Some("5m"), Some("1"), None),
            (None, Some("yesterday"), None),
            (None, Some("20"), Some("10")),
            (None, Some("-5"), None),
            (None, Some("1.1234567890"), None),
            (None, None, Some("99999999999999999999")),
        ] {
            assert!(span(last, start, end).is_err(), "{last:?} {start:?} {end:?}");
        }
    }
}

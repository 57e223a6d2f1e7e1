//! Series over time: nearly all of a large answer is their points.

use super::Writer;
use crate::FloatHistogram;
use crate::promql::{Error, parallel};
use crate::sample::{Sample, Series, Values};

/// More times than this are not kept as text: the API gives no more steps.
const MOST_TIMES: usize = 11_001;
/// About how long a point is, and the labels of a series.
const POINT: usize = 26;
const LABELS: usize = 150;

/// Times as they stand before a value, `,[1795341600,"`. Most series have the
/// same ones.
struct Clock<'a> {
    times: &'a [i64],
    text: Vec<u8>,
    /// Where the text of each time ends.
    ends: Vec<usize>,
}

impl<'a> Clock<'a> {
    /// Of the series with the most points.
    fn of(series: &'a [Series]) -> Self {
        let longest = series.iter().map(|series| &series.samples.times[..]).max_by_key(|times| times.len());
        let times = longest.unwrap_or_default();
        let times = &times[..times.len().min(MOST_TIMES)];
        let mut writer = Writer::new(usize::MAX);
        let end = |&time: &i64| {
            writer.before(time);
            writer.out.len()
        };
        let ends = times.iter().map(end).collect();
        Self { times, text: writer.out, ends }
    }

    /// The text of a time, if it is one of these. `at` is where the search begins,
    /// and is set to where it ended.
    fn text(&self, time: i64, at: &mut usize) -> Option<&[u8]> {
        while *self.times.get(*at)? < time {
            *at += 1;
        }
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        (self.times[*at] == time).then(|| &self.text[start..self.ends[*at]])
    }
}

impl Writer {
    /// Series with commas between, as far as there is room. Each thread writes a
    /// share of them, the first of them to this writer.
    pub(super) fn matrix(&mut self, series: &[Series]) -> Result<(), Error> {
        let clock = Clock::of(series);
        let points: usize = series.iter().map(|series| series.samples.len()).sum();
        let room = points.saturating_mul(POINT).saturating_add(series.len().saturating_mul(LABELS));
        self.out.reserve(room.min(self.most));
        let threads = parallel::threads(series.len(), points);
        let share = series.len().div_ceil(threads).max(1);
        let mut first = Some(std::mem::take(&mut self.out));
        let write = |(share, mut out): (&[Series], Option<Vec<u8>>)| {
            let out = out.take().unwrap_or_else(|| Vec::with_capacity((room / threads).min(self.most)));
            let mut writer = Self { out, ..Self::new(self.most) };
            for (at, series) in share.iter().enumerate() {
                if at > 0 {
                    writer.raw(",");
                }
                writer.series(series, &clock)?;
            }
            Ok(writer.out)
        };
        let shares: Vec<_> = series.chunks(share).map(|share| (share, first.take())).collect();
        let mut parts = parallel::map(shares, points, write).into_iter();
        self.out = match parts.next() {
            Some(out) => out?,
            None => first.unwrap_or_default(),
        };
        for part in parts {
            self.raw(",");
            self.out.extend_from_slice(&part?);
        }
        self.check()
    }

    /// A series: first its floats, then its histograms.
    fn series(&mut self, series: &Series, clock: &Clock) -> Result<(), Error> {
        self.raw(r#"{"metric":"#);
        self.labels(&series.labels);
        let samples = series.samples.clone().unpacked();
        let times = || samples.times.iter().copied();
        match &samples.values {
            Values::Floats(floats) => self.floats(times().zip(floats.iter().copied()), clock)?,
            Values::Mixed(mixed) => {
                let floats = times().zip(mixed.iter()).filter_map(|(time, sample)| match sample {
                    Sample::Float(value) => Some((time, *value)),
                    Sample::Histogram(_) => None,
                });
                self.floats(floats, clock)?;
                let histograms = times().zip(mixed.iter()).filter_map(|(time, sample)| match sample {
                    Sample::Float(_) => None,
                    Sample::Histogram(histogram) => Some((time, &**histogram)),
                });
                self.histograms(histograms)?;
            }
            // There are none once they are unpacked.
            Values::Compact(_) => {}
        }
        self.raw("}");
        self.check()
    }

    fn floats(&mut self, points: impl Iterator<Item = (i64, f64)>, clock: &Clock) -> Result<(), Error> {
        let mut points = points.peekable();
        if points.peek().is_none() {
            return Ok(());
        }
        self.raw(r#","values":"#);
        let start = self.out.len();
        let mut at = 0;
        for (time, value) in points {
            match clock.text(time, &mut at) {
                Some(text) => self.out.extend_from_slice(text),
                None => self.before(time),
            }
            self.number(value);
            self.raw("\"]");
            self.check()?;
        }
        // Where the comma before the first one stands.
        self.out[start] = b'[';
        self.raw("]");
        Ok(())
    }

    fn before(&mut self, time: i64) {
        self.raw(",[");
        self.time(time);
        self.raw(",\"");
    }

    fn histograms<'h>(
        &mut self,
        points: impl Iterator<Item = (i64, &'h FloatHistogram)>,
    ) -> Result<(), Error> {
        let mut points = points.peekable();
        if points.peek().is_none() {
            return Ok(());
        }
        self.raw(r#","histograms":["#);
        self.list(points, |writer, (time, histogram)| writer.histogram_point(time, histogram))?;
        self.raw("]");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;
    use crate::sample::Samples;

    #[test]
    fn shares_of_threads_and_times_of_their_own_are_as_one_would_write_them() {
        // 70,000 points, which are worth two threads; some series lack some, or
        // have others.
        let series = |number: i64| {
            let there = (0..1_000).filter(move |at| at % (number + 1) != number || number == 0);
            let time = |at: i64| at * 1_500_000_000 + i64::from(number == 7);
            let samples = there.map(|at| (time(at), Sample::Float((at * number) as f64 / 8.0)));
            Series { labels: Labels::new([("n", number.to_string())]), samples: Samples::new(samples) }
        };
        let all: Vec<Series> = (0..72).map(series).collect();
        let mut writer = Writer::new(usize::MAX);
        writer.matrix(&all).unwrap();
        let mut plain = Writer::new(usize::MAX);
        let list = plain.list(&all, |writer, series| {
            writer.raw(r#"{"metric":"#);
            writer.labels(&series.labels);
            for (at, (time, sample)) in series.samples.iter().enumerate() {
                let Sample::Float(value) = sample else { continue };
                writer.raw(if at == 0 { r#","values":["# } else { "," });
                writer.point(time, value);
            }
            writer.raw("]}");
        });
        list.unwrap();
        assert!(writer.into_bytes() == plain.into_bytes());
        let mut short = Writer::new(1_000_000);
        assert!(short.matrix(&all).is_err());
    }
}

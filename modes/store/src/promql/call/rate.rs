//! How fast things change.

use std::ops::Range;

use super::native::{self, Run};
use super::over_time::{Split, get};
use super::remarks::{Remark, Seen};
use super::windows::Steps;
use crate::FloatHistogram;
use crate::compact::{Compact, Cursor};
use crate::histogram::{ResetHint, h2_middles};
use crate::promql::Error;
use crate::promql::points::Points;
use crate::promql::window::{Window, WindowValues};
use crate::sample::{Sample, Samples, Values};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rate,
    Increase,
    Delta,
    /// Of the last two samples: per second, of a counter.
    InstantRate,
    /// Of the last two samples.
    InstantDelta,
}

impl Kind {
    pub fn named(function: &str) -> Option<Self> {
        Some(match function {
            "rate" => Self::Rate,
            "increase" => Self::Increase,
            "delta" => Self::Delta,
            "irate" => Self::InstantRate,
            "idelta" => Self::InstantDelta,
            _ => return None,
        })
    }

    fn is_counter(self) -> bool {
        matches!(self, Self::Rate | Self::Increase | Self::InstantRate)
    }

    /// Whether compact histograms need not be unpacked for it.
    pub fn takes_compact(self) -> bool {
        matches!(self, Self::Rate | Self::Increase)
    }

    /// The value at each step; of histograms perhaps without buckets, if nobody looks at them.
    pub fn points(
        self,
        samples: &Samples,
        steps: &Steps<'_>,
        sums_only: bool,
        seen: &mut Seen,
    ) -> Result<Points, Error> {
        if matches!(self, Self::InstantRate | Self::InstantDelta) {
            return steps.points(samples, |_, window| Ok(self.of_last(window, seen)));
        }
        let points = match &samples.values {
            Values::Floats(values) => {
                let may_fall = self.is_counter() && !values.rises();
                let resets = if may_fall { resets(values) } else { Vec::new() };
                self.of_floats(samples, steps, &resets)?
            }
            Values::Mixed(mixed) => match histograms(mixed) {
                Some(all) => {
                    let run = Run::new(all, self.is_counter());
                    let mut points = Points::absent(steps.grid.count);
                    steps.each(samples, |step, which, window| {
                        points.set(step, self.of_histograms(&run, which, window, seen));
                        Ok(())
                    })?;
                    points
                }
                None => steps.points(samples, |_, window| Ok(self.of_mixed(window, seen)))?,
            },
            Values::Compact(compact) => self.of_compact(samples, compact, steps, sums_only, seen)?,
        };
        if self.is_counter() && points.floats.iter().any(|value| !crate::promql::is_absent(*value)) {
            seen.add(Remark::MaybeNoCounter);
        }
        Ok(points)
    }

    /// As many additions as there are resets in a window.
    fn of_floats(self, samples: &Samples, steps: &Steps<'_>, resets: &[Reset]) -> Result<Points, Error> {
        let Values::Floats(values) = &samples.values else { return Ok(Points::absent(steps.grid.count)) };
        let mut points = Points::absent(steps.grid.count);
        let mut passed = 0;
        for place in steps.places(&samples.times).iter() {
            let window = &values[place.first..place.last];
            let &[first, .., last] = window else { continue };
            let mut change = last - first;
            if !resets.is_empty() {
                passed += resets[passed..].iter().take_while(|reset| reset.at <= place.first).count();
                let inside = resets[passed..].iter().take_while(|reset| reset.at < place.last);
                change = inside.fold(change, |change, reset| change + reset.lost);
            }
            points.floats[place.step] = change * self.factor(&place.span, first, change);
        }
        Ok(points)
    }

    /// Counters that are histograms. Without a reset the change in a window is the
    /// difference of its last and first one.
    fn of_compact(
        self,
        samples: &Samples,
        compact: &Compact,
        steps: &Steps<'_>,
        sums_only: bool,
        seen: &mut Seen,
    ) -> Result<Points, Error> {
        let mut points = Points::absent(steps.grid.count);
        let middles = h2_middles(compact.bounds());
        let (mut first, mut last) = (compact.cursor(), compact.cursor());
        steps.each(samples, |step, which, window| {
            if which.len() < 2 {
                return Ok(());
            }
            first.go(which.start);
            last.go(which.end - 1);
            if last.resets.last().is_some_and(|reset| *reset > which.start) {
                let inside = samples.slice(which).unpacked();
                let Values::Mixed(mixed) = &inside.values else { return Ok(()) };
                let window = Window { values: WindowValues::Mixed(mixed), ..*window };
                points.set(step, self.of_mixed(&window, seen));
                return Ok(());
            }
            let change = last.total.wrapping_sub(first.total) as f64;
            let factor =
                self.factor(&Span::of(window.times, window.start, window.end), first.total as f64, change);
            let since = if sums_only { Cursor::sums_since } else { Cursor::since };
            let mut rate = since(&last, &first, factor, &middles);
            rate.hint = ResetHint::Gauge;
            points.set(step, Some(Sample::Histogram(rate.into())));
            Ok(())
        })?;
        Ok(points)
    }

    /// Histograms, floats, or both (which have no rate).
    fn of_mixed(self, window: &Window<'_>, seen: &mut Seen) -> Option<Sample> {
        let WindowValues::Mixed(samples) = window.values else { return None };
        let split = Split::new(window.times, samples);
        match (&split.floats[..], &split.histograms[..]) {
            (&[first, .., last], []) => {
                let lost = if self.is_counter() { resets(&split.floats) } else { Vec::new() };
                let change = lost.iter().fold(last - first, |change, reset| change + reset.lost);
                let span = Span::of(&split.times, window.start, window.end);
                Some(Sample::Float(change * self.factor(&span, first, change)))
            }
            ([], all @ [_, _, ..]) => {
                let run = Run::new(all.to_vec(), self.is_counter());
                self.of_histograms(&run, 0..all.len(), window, seen)
            }
            (floats, histograms) => {
                if !floats.is_empty() && !histograms.is_empty() {
                    seen.add(Remark::MixedFloatsHistograms);
                }
                None
            }
        }
    }

    fn of_histograms(
        self,
        run: &Run<'_>,
        which: Range<usize>,
        window: &Window<'_>,
        seen: &mut Seen,
    ) -> Option<Sample> {
        if which.len() < 2 {
            return None;
        }
        let first = run.first(&which).count;
        let change = if self.is_counter() { run.increase(which, seen) } else { run.delta(which, seen) }?;
        let factor = self.factor(&Span::of(window.times, window.start, window.end), first, change.count);
        Some(Sample::Histogram(change.mul(factor).into()))
    }

    /// By how much a change between the samples of a window has to be multiplied to be
    /// that of the whole window, or that of a second. A counter was never less than zero.
    fn factor(self, span: &Span, first: f64, change: f64) -> f64 {
        // Of twice the change it is farther to zero than to the window's start: no need to divide.
        if self.is_counter() && change > 0.0 && first >= 0.0 && first < 2.0 * change {
            let to_zero = span.sampled * (first / change);
            if to_zero < span.before {
                let span = Span::new(span.sampled, to_zero, span.after, span.window);
                return span.factor(self);
            }
        }
        span.factor(self)
    }

    fn of_last(self, window: &Window<'_>, seen: &mut Seen) -> Option<Sample> {
        let count = window.times.len();
        let (before, last) = (count.checked_sub(2)?, count - 1);
        let seconds = window.times[last].saturating_sub(window.times[before]) as f64 / 1e9;
        let rate = self == Self::InstantRate;
        match (get(window, before)?, get(window, last)?) {
            (Sample::Float(before), Sample::Float(last)) => {
                // After a reset a counter has counted what it says.
                let change = if rate && last < before { last } else { last - before };
                Some(Sample::Float(if rate { change / seconds } else { change }))
            }
            (Sample::Histogram(before), Sample::Histogram(last)) => {
                let change = native::last_change(&before, &last, rate, seen)?;
                let change = if rate { change.div(seconds) } else { change };
                Some(Sample::Histogram(change.into()))
            }
            _ => {
                seen.add(Remark::MixedFloatsHistograms);
                None
            }
        }
    }
}

/// What part of a window its samples stand for, seconds. All series that were sampled at
/// the same times have the same.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    sampled: f64,
    before: f64,
    after: f64,
    window: f64,
    increase: f64,
    rate: f64,
}

impl Span {
    /// Of the times of a window's samples.
    ///
    /// As Prometheus has it: samples that are not farther from the window's bounds
    /// than 1.1 of their average distance stand for everything up to these, others
    /// for half such a distance.
    pub fn of(times: &[i64], start: i64, end: i64) -> Self {
        let &[first, .., last] = times else { return Self::new(f64::NAN, 0.0, 0.0, f64::NAN) };
        let secs = |from: i64, to: i64| to.saturating_sub(from) as f64 / 1e9;
        let sampled = secs(first, last);
        let average = sampled / (times.len() - 1) as f64;
        let within = |distance: f64| if distance >= average * 1.1 { average / 2.0 } else { distance };
        Self::new(sampled, within(secs(start, first)), within(secs(last, end)), secs(start, end))
    }

    fn new(sampled: f64, before: f64, after: f64, window: f64) -> Self {
        let increase = (sampled + before + after) / sampled;
        Self { sampled, before, after, window, increase, rate: increase / window }
    }

    fn factor(&self, kind: Kind) -> f64 {
        if kind == Kind::Rate { self.rate } else { self.increase }
    }
}

/// Where a counter began anew, and what it had come to.
struct Reset {
    at: usize,
    lost: f64,
}

fn resets(values: &[f64]) -> Vec<Reset> {
    let later = values.get(1..).unwrap_or_default();
    if !values.iter().zip(later).fold(false, |fell, (before, now)| fell | (now < before)) {
        return Vec::new();
    }
    let pairs = values.windows(2).enumerate().filter(|(_, pair)| pair[1] < pair[0]);
    pairs.map(|(index, pair)| Reset { at: index + 1, lost: pair[0] }).collect()
}

/// If there is nothing else.
fn histograms(samples: &[Sample]) -> Option<Vec<&FloatHistogram>> {
    let all = samples.iter().map(|sample| match sample {
        Sample::Histogram(histogram) => Some(&**histogram),
        Sample::Float(_) => None,
    });
    all.collect()
}

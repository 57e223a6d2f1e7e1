//! Functions of windows of floats that overlap: each sample is looked at a few
//! times, however long the windows are.

use std::collections::VecDeque;
use std::ops::Range;

use super::sums;
use super::windows::Steps;
use crate::float::Sum;
use crate::promql::Error;
use crate::promql::points::Points;
use crate::sample::{Samples, Values};

/// What a function yields at each step, of a series of floats.
pub type Function = fn(&Samples, &Steps<'_>) -> Result<Points, Error>;

pub fn named(function: &str) -> Option<Function> {
    Some(match function {
        "min_over_time" => |samples, steps| extremes(samples, steps, |a, b| a < b),
        "max_over_time" => |samples, steps| extremes(samples, steps, |a, b| a > b),
        "sum_over_time" => |samples, steps| sums(samples, steps, false, sums::sum),
        "avg_over_time" => |samples, steps| sums(samples, steps, true, sums::mean),
        _ => return None,
    })
}

/// The values before which no other comes; NaN only of windows that have nothing
/// else.
fn extremes(
    samples: &Samples,
    steps: &Steps<'_>,
    before: impl Fn(f64, f64) -> bool,
) -> Result<Points, Error> {
    let mut points = Points::absent(steps.grid.count);
    let Values::Floats(values) = &samples.values else { return Ok(points) };
    // Those that no later one comes before. The first one is the window's.
    let mut left: VecDeque<usize> = VecDeque::new();
    let mut next = 0;
    steps.each(samples, |step, which, _| {
        for at in next.max(which.start)..which.end {
            while left.back().is_some_and(|&last| before(values[at], values[last])) {
                left.pop_back();
            }
            if !values[at].is_nan() {
                left.push_back(at);
            }
        }
        next = which.end;
        while left.front().is_some_and(|&first| first < which.start) {
            left.pop_front();
        }
        points.floats[step] = left.front().map_or(f64::NAN, |&first| values[first]);
        Ok(())
    })?;
    Ok(points)
}

/// The windows' sums or means; by `exactly` where they are not finite, which
/// depends on what is added first.
fn sums(
    samples: &Samples,
    steps: &Steps<'_>,
    mean: bool,
    exactly: fn(&[f64]) -> f64,
) -> Result<Points, Error> {
    let mut points = Points::absent(steps.grid.count);
    let mut sums = Sums::default();
    let Values::Floats(all) = &samples.values else { return Ok(points) };
    steps.each(samples, |step, which, _| {
        let sum = sums.of(all, which.clone());
        let count = if mean { which.len() as f64 } else { 1.0 };
        let value = sum.sum / count + sum.lost / count;
        points.floats[step] = if value.is_finite() { value } else { exactly(&all[which]) };
        Ok(())
    })?;
    Ok(points)
}

/// Sums over windows whose bounds only go up. A window is cut in two: of the part
/// before the cut the sums from each sample on are known, of the one after it the
/// sum so far. Nothing is ever subtracted, so no digits are lost.
#[derive(Default)]
struct Sums {
    /// Up to here.
    cut: usize,
    /// Of the samples from `cut` on backwards: the last one, the last two, ...
    earlier: Vec<Sum>,
    /// Of those from `cut` up to `end`.
    later: Sum,
    end: usize,
}

impl Sums {
    fn of(&mut self, all: &[f64], which: Range<usize>) -> Sum {
        if which.start >= self.cut {
            // Nothing is left before the cut: it is moved to the window's end.
            self.cut = which.end;
            self.end = which.end;
            self.later = Sum::default();
            self.earlier.clear();
            let mut sum = Sum::default();
            self.earlier.extend(all[which.clone()].iter().rev().map(|&value| {
                sum.add(value);
                sum
            }));
        }
        for &value in &all[self.end.min(which.end)..which.end] {
            self.later.add(value);
        }
        self.end = which.end;
        let mut sum = match (self.cut - which.start).checked_sub(1) {
            Some(at) => self.earlier[at],
            None => Sum::default(),
        };
        sum.add(self.later.sum);
        sum.lost += self.later.lost;
        sum
    }
}

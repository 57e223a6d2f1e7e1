//! What goes one way all the time: a slow leak.

use super::deviation::{Deviation, Rule, Shape};
use super::robust;

/// Values are put together to so many blocks.
const BLOCKS: usize = 16;
/// Of the steps between blocks at most so many go the other way. Of a walk that is random 15 steps do
/// that once in a thousand times, however far it goes; the slope of all values would not tell.
const AGAINST: usize = 1;
/// How much of what matters it has to go at least.
const PART: f64 = 0.5;
/// And how many spreads of the values around the line.
const SPREADS: f64 = 3.0;

/// Looks for a trend over all values, one per step; NaN is none.
///
/// The slope is the median of all slopes between blocks (Theil 1950, Sen 1968), its significance that of
/// Mann (1945) and Kendall (1975) on blocks, which depend on each other less than single values.
pub fn trend(values: &[f64], rule: Rule) -> Option<Deviation> {
    let size = values.len() / BLOCKS;
    if size < 4 {
        return None;
    }
    let block = |at: usize| robust::median(&mut robust::present(&values[at * size..(at + 1) * size]));
    let blocks: Vec<f64> = (0..BLOCKS).map(block).collect::<Option<_>>()?;
    let ups = blocks.windows(2).filter(|pair| pair[1] > pair[0]).count();
    let downs = blocks.windows(2).filter(|pair| pair[1] < pair[0]).count();
    if ups.max(downs) + AGAINST < BLOCKS - 1 {
        return None;
    }
    let (mut slopes, mut score) = (Vec::new(), 0.0);
    for (at, from) in blocks.iter().enumerate() {
        for (later, to) in blocks.iter().enumerate().skip(at + 1) {
            slopes.push((to - from) / (later - at) as f64);
            score += f64::from(i8::from(to > from) - i8::from(to < from));
        }
    }
    let slope = robust::median(&mut slopes)?;
    let count = BLOCKS as f64;
    // Of Kendall's S without ties, with its correction for continuity.
    let variance = count * (count - 1.0) * (2.0 * count + 5.0) / 18.0;
    let p = robust::tail((score.abs() - 1.0_f64).max(0.0) / f64::sqrt(variance));
    let intercept = robust::median(
        &mut blocks.iter().enumerate().map(|(at, block)| block - slope * at as f64).collect::<Vec<_>>(),
    )?;
    let line = |at: usize| intercept + slope * (at as f64 / size as f64 - 0.5);
    let residuals: Vec<f64> = values
        .iter()
        .enumerate()
        .filter(|(_, value)| value.is_finite())
        .map(|(at, value)| value - line(at))
        .collect();
    let noise = robust::spread(&residuals, 0.0);
    let (first, last) = (line(0), line(values.len() - 1));
    let matters = rule.matter.max(rule.relative * first.abs()).max(f64::MIN_POSITIVE);
    let change = last - first;
    if change.abs() < (matters * PART).max(SPREADS * noise) {
        return None;
    }
    let severity = (1.0 + change.abs() / (matters * PART)).log2();
    Some(Deviation {
        onset: 0,
        end: values.len() - 1,
        baseline: first,
        level: last,
        noise,
        severity,
        p,
        shape: Shape::Ramp,
    })
}

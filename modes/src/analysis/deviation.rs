//! When a signal is not as it mostly is.
//!
//! The level is followed by change points; what it mostly is, is the level that holds longest; what is
//! far from that, for long enough, and farther than the signal ever goes by itself, is a deviation.

use serde::Serialize;

use super::levels::{LEAST, Levels};
use super::robust;

/// A signal with fewer values has no normal.
pub(super) const FEWEST: usize = 24;
/// The noise is at least this part of what matters: changes far below that are not looked for.
pub(super) const QUIETEST: f64 = 0.25;
/// A level has to be so many standard deviations of what is normal away.
pub(super) const DEVIATIONS: f64 = 3.0;
/// A signal that deviates more often than once in so many steps,
const RESTLESS: usize = 240;
/// and so many times in any case, since incidents come in parts, does so by nature.
const OFTEN: usize = 3;
/// Steps without an event that end a burst of them.
const QUIET: usize = 10;
/// The ends of a burst have at least this part of its mean rate.
const DENSE: f64 = 0.3;
/// So many seconds at the rate that matters are as many events as matter.
const BURST_SECONDS: f64 = 5.0;

/// What has to be so for a change to be one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// The least change that matters, in the signal's unit,
    pub matter: f64,
    /// and as a part of what is normal.
    pub relative: f64,
    /// Whether each single one counts, as errors do.
    pub events: bool,
}

/// How a deviation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// From one level to another.
    Step,
    /// Further and further.
    Ramp,
    /// Single events.
    Burst,
}

/// A stretch in which a signal is not as it mostly is.
#[derive(Clone, Debug, PartialEq)]
pub struct Deviation {
    /// The first step,
    pub onset: usize,
    /// and the last one.
    pub end: usize,
    /// The median of what is normal; of bursts the mean,
    pub baseline: f64,
    /// and of the stretch; of a ramp how far it goes.
    pub level: f64,
    /// The standard deviation of what is normal.
    pub noise: f64,
    /// The logarithm, base 2, of 1 + the change in units of what matters.
    pub severity: f64,
    /// How likely chance would go as far.
    pub p: f64,
    pub shape: Shape,
}

/// What was found in a signal, and how many stretches were looked at for that.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    pub deviations: Vec<Deviation>,
    pub stretches: usize,
}

/// Looks for deviations in values, one per step of `seconds`; NaN is none. Those shorter than `shortest`
/// steps are left out.
pub fn deviations(values: &[f64], rule: Rule, seconds: f64, shortest: usize) -> Looked {
    let places: Vec<usize> = (0..values.len()).filter(|&at| values[at].is_finite()).collect();
    let there: Vec<f64> = places.iter().map(|&at| values[at]).collect();
    if there.len() < FEWEST {
        return Looked::default();
    }
    let mut sorted = there.clone();
    sorted.sort_by(f64::total_cmp);
    if sorted[0] == sorted[sorted.len() - 1] {
        return Looked { deviations: Vec::new(), stretches: 1 };
    }
    // Where nothing is normal, levels are those of nothing.
    let rare = robust::quantile(&sorted, 0.75) == Some(0.0) && sorted[0] == 0.0;
    let mut looked = match rule.events && rare {
        true => bursts(&there, rule, seconds),
        false => Levels::of(&there, rule).deviations(),
    };
    for deviation in &mut looked.deviations {
        deviation.onset = places[deviation.onset];
        deviation.end = places[deviation.end];
    }
    looked
        .deviations
        .retain(|found| found.shape == Shape::Burst || found.end - found.onset + 1 >= shortest.max(LEAST));
    looked
}

/// How a signal differs in a span from what it is before it, or around it if there is little before, if that
/// is as much as matters; and when it began to, at most `before` steps ahead of the span.
pub fn within(values: &[f64], rule: Rule, span: std::ops::Range<usize>, before: usize) -> Option<Deviation> {
    let span = span.start..span.end.min(values.len());
    let inside = robust::present(values.get(span.clone())?);
    let lead = span.start.saturating_sub(before);
    let ahead = robust::present(&values[..lead]);
    let around = || robust::present(&[&values[..lead], &values[span.end..]].concat());
    let mut normal = if ahead.len() >= FEWEST { ahead } else { around() };
    if normal.len() < FEWEST / 2 || inside.is_empty() {
        return None;
    }
    let baseline = match rule.events {
        true => normal.iter().sum::<f64>() / normal.len() as f64,
        false => robust::median(&mut normal)?,
    };
    let noise = robust::spread(&normal, baseline);
    let mut sorted = inside.clone();
    sorted.sort_by(f64::total_cmp);
    // What happens in a part of the span only is still of the span.
    let (low, high) = (robust::quantile(&sorted, 0.2)?, robust::quantile(&sorted, 0.8)?);
    let mean = inside.iter().sum::<f64>() / inside.len() as f64;
    let level = match rule.events {
        true => mean,
        false if high - baseline >= baseline - low => high,
        false => low,
    };
    let change = level - baseline;
    let matters = rule.matter.max(rule.relative * baseline.abs()).max(f64::MIN_POSITIVE);
    if change.abs() < matters.max(DEVIATIONS * noise) {
        return None;
    }
    let bound = (DEVIATIONS * noise).clamp(0.2 * change.abs(), 0.6 * change.abs());
    let beyond =
        |at: usize| values.get(at).is_some_and(|value| (value - baseline) * change.signum() >= bound);
    let stays = |at: usize| beyond(at) && (rule.events || beyond(at + 1) || beyond(at + 2));
    let onset = (lead..span.end).find(|&at| stays(at))?;
    let end = (onset..span.end).rev().find(|&at| beyond(at)).unwrap_or(onset);
    let rho = robust::lag_one(&normal.iter().map(|value| value - baseline).collect::<Vec<f64>>());
    let error = noise.max(matters * QUIETEST) * (robust::inflation(rho) / inside.len() as f64).sqrt();
    let severity = severity(change, matters.max(2.0 * noise));
    let shape = if rule.events { Shape::Burst } else { Shape::Step };
    let p = robust::tail(change / error);
    Some(Deviation { onset, end, baseline, level, noise, severity, p, shape })
}

/// In units of what matters.
pub(super) fn severity(change: f64, matters: f64) -> f64 {
    (1.0 + change.abs() / matters.max(f64::MIN_POSITIVE)).log2()
}

/// Events that happen now and then, together.
fn bursts(values: &[f64], rule: Rule, seconds: f64) -> Looked {
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for at in (0..values.len()).filter(|&at| values[at] > 0.0) {
        match groups.last_mut() {
            Some((_, last)) if at - *last <= QUIET => *last = at,
            _ => groups.push((at, at)),
        }
    }
    let total = |&(from, to): &(usize, usize)| values[from..=to].iter().sum::<f64>() * seconds;
    let totals: Vec<f64> = groups.iter().map(total).collect();
    let all: f64 = values.iter().sum::<f64>() * seconds;
    let worth = rule.matter * BURST_SECONDS;
    let usual = usual(&totals, values.len());
    let found = groups.iter().zip(&totals).zip(usual).filter_map(|((group, &count), usual)| {
        if count < worth.max(4.0 * usual) {
            return None;
        }
        let (onset, end) = dense(values, *group);
        let count = total(&(onset, end));
        let steps = (end - onset + 1) as f64;
        let others = (all - count) / ((values.len() as f64 - steps).max(1.0) * seconds);
        let level = count / (steps * seconds);
        // As many by chance, if they came as often as elsewhere: a Poisson number, by Chernoff's bound.
        let expected = (others * steps * seconds).max(1e-3);
        let p =
            if count > expected { (count - expected - count * (count / expected).ln()).exp() } else { 1.0 };
        let severity = severity(level - others, rule.matter.max(others * rule.relative));
        let shape = Shape::Burst;
        Some(Deviation { onset, end, baseline: others, level, noise: 0.0, severity, p, shape })
    });
    Looked { deviations: found.collect(), stretches: groups.len().max(1) }
}

/// What happens again and again is how the machine is: for each of these sizes the median of the others, or
/// zero if there are few in so many steps.
pub(super) fn usual(sizes: &[f64], steps: usize) -> Vec<f64> {
    if sizes.len() <= OFTEN + steps / RESTLESS {
        return vec![0.0; sizes.len()];
    }
    let others = |at: usize| [&sizes[..at], &sizes[at + 1..]].concat();
    (0..sizes.len()).map(|at| robust::median(&mut others(at)).unwrap_or(0.0)).collect()
}

/// A burst without what comes before and after it as it always does: its ends have their share of the events.
fn dense(values: &[f64], (from, to): (usize, usize)) -> (usize, usize) {
    let mean = |from: usize, to: usize| values[from..=to].iter().sum::<f64>() / (to - from + 1) as f64;
    let enough = DENSE * mean(from, to);
    let onset =
        (from..=to).find(|&at| values[at] > 0.0 && mean(at, (at + 2).min(to)) >= enough).unwrap_or(from);
    let end = (onset..=to)
        .rev()
        .find(|&at| values[at] > 0.0 && mean(at.saturating_sub(2).max(onset), at) >= enough);
    (onset, end.unwrap_or(to))
}

//! What comes again and again at equal distances.

use std::sync::Arc;

use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::deviation::{FEWEST, Rule};
use super::robust;

/// A period has at least so many steps; below, steps themselves make patterns.
const SHORTEST: usize = 4;
/// Periods that have to be seen.
const CYCLES: usize = 4;
/// How much like itself a signal has to be, one period later.
const ALIKE: f64 = 0.35;
/// Values farther from the median than so many spreads count as being that far.
const CLAMP: f64 = 10.0;

/// What comes again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Period {
    /// Between one and the next, in steps.
    pub steps: usize,
    /// How far it goes, in the signal's unit.
    pub amplitude: f64,
    /// The level between.
    pub low: f64,
    /// The autocorrelation at one period.
    pub strength: f64,
    /// The first step at which it is high.
    pub first: usize,
    /// And the last one.
    pub last: usize,
}

/// Autocorrelations of series of one length.
pub struct Correlator {
    count: usize,
    forward: Arc<dyn RealToComplex<f64>>,
    back: Arc<dyn ComplexToReal<f64>>,
}

impl Correlator {
    /// For series of so many values.
    pub fn new(count: usize) -> Self {
        // Zeros as many as values, so that the end does not meet the beginning.
        let padded = (2 * count.max(1)).next_power_of_two();
        let mut planner = RealFftPlanner::new();
        let (forward, back) = (planner.plan_fft_forward(padded), planner.plan_fft_inverse(padded));
        Self { count, forward, back }
    }

    /// The autocorrelation at each lag, 1 at lag 0 (Wiener 1930, Khinchin 1934); None of what is constant
    /// or not of that length.
    pub fn autocorrelation(&self, values: &[f64]) -> Option<Vec<f64>> {
        if values.len() != self.count || values.is_empty() {
            return None;
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let mut input = self.forward.make_input_vec();
        input.iter_mut().zip(values).for_each(|(place, value)| *place = value - mean);
        let mut spectrum = self.forward.make_output_vec();
        self.forward.process(&mut input, &mut spectrum).ok()?;
        for bin in &mut spectrum {
            *bin = (*bin * bin.conj()).re.into();
        }
        let mut output = self.back.make_output_vec();
        self.back.process(&mut spectrum, &mut output).ok()?;
        let power = output[0];
        if !power.is_finite() || power <= 0.0 {
            return None;
        }
        Some(output[..values.len()].iter().map(|value| value / power).collect())
    }
}

/// Looks for what comes again in values, one per step; NaN is none.
pub fn period(values: &[f64], rule: Rule, correlator: &Correlator) -> Option<Period> {
    let there = robust::present(values);
    if there.len() < FEWEST || there.len() * 10 < values.len() * 9 {
        return None;
    }
    let mut sorted = there;
    sorted.sort_by(f64::total_cmp);
    let centre = robust::quantile(&sorted, 0.5)?;
    // First what takes little time: whether it goes as far as matters at all.
    let (low, high) = (robust::quantile(&sorted, 0.2)?, robust::quantile(&sorted, 0.99)?);
    let matters = rule.matter.max(rule.relative * low.abs());
    if high - low < matters {
        return None;
    }
    let most = CLAMP * robust::spread(&sorted, centre).max(matters);
    let mut before = centre;
    let filled: Vec<f64> = values
        .iter()
        .map(|value| {
            if value.is_finite() {
                before = value.clamp(centre - most, centre + most);
            }
            before
        })
        .collect();
    let correlation = correlator.autocorrelation(&filled)?;
    let count = values.len();
    let longest = count / CYCLES;
    // Noise is correlated with itself less than this (Bartlett 1946).
    let chance = 4.0 / (count as f64).sqrt();
    // A peak is one after a valley: what only wanders is most like itself a moment later.
    let valley = (1..longest).find(|&lag| correlation[lag] < 0.1)?;
    let is_peak =
        |lag: usize| correlation[lag] >= correlation[lag - 1] && correlation[lag] >= correlation[lag + 1];
    let needed = ALIKE.max(chance);
    let best = (valley.max(SHORTEST)..longest)
        .filter(|&lag| is_peak(lag))
        .max_by(|&a, &b| correlation[a].total_cmp(&correlation[b]))?;
    if correlation[best] < needed {
        return None;
    }
    // The best one may be a multiple: the first that is nearly as good is the period.
    let steps = (valley.max(SHORTEST)..=best)
        .find(|&lag| is_peak(lag) && correlation[lag] >= 0.8 * correlation[best])?;
    // It has to be there at twice the distance too, and gone between.
    let near = |lag: usize| {
        (lag.saturating_sub(2)..=(lag + 2).min(count - 1)).map(|lag| correlation[lag]).fold(-1.0, f64::max)
    };
    if near(2 * steps) < 0.7 * needed
        || correlation[steps / 2..steps].iter().copied().fold(1.0, f64::min) > 0.3 * correlation[steps]
    {
        return None;
    }
    let bound = low + (high - low) / 2.0;
    let first = values.iter().position(|value| *value >= bound)?;
    let last = values.iter().rposition(|value| *value >= bound)?;
    if last - first < (CYCLES - 2) * steps {
        return None;
    }
    Some(Period { steps, amplitude: high - low, low, strength: correlation[steps], first, last })
}

//! Statistics that a few wild values do not move.

/// What makes the median absolute deviation the standard deviation of normal values (Hampel 1974).
pub const MAD_SCALE: f64 = 1.4826;

/// The values that are there.
pub fn present(values: &[f64]) -> Vec<f64> {
    values.iter().copied().filter(|value| value.is_finite()).collect()
}

/// The median; reorders the values. None of nothing.
pub fn median(values: &mut [f64]) -> Option<f64> {
    let (middle, odd) = (values.len() / 2, values.len() % 2 == 1);
    if values.is_empty() {
        return None;
    }
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if odd {
        return Some(upper);
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(lower / 2.0 + upper / 2.0)
}

/// The median of values that stay as they are.
pub fn median_of(values: &[f64]) -> Option<f64> {
    median(&mut values.to_vec())
}

/// The standard deviation around a centre, by the median of the distances.
pub fn spread(values: &[f64], centre: f64) -> f64 {
    let mut distances: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    median(&mut distances).unwrap_or(0.0) * MAD_SCALE
}

/// A quantile of sorted values, between neighbours linearly (type 7 of Hyndman & Fan 1996).
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = q.clamp(0.0, 1.0) * last as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let (below, above) = (sorted[low], sorted[(low + 1).min(last)]);
    Some(below + (above - below) * part)
}

/// The median of each value and up to `half` on both sides. Keeps edges, forgets what is shorter than
/// half of it (Tukey 1977). At the ends the window is what there is of it, equally long on both sides.
pub fn running_median(values: &[f64], half: usize) -> Vec<f64> {
    // What is in the window stays sorted, since a step changes one value of it or two.
    let mut window: Vec<f64> = Vec::with_capacity(2 * half + 1);
    let place = |window: &[f64], value: f64| window.partition_point(|other| other.total_cmp(&value).is_lt());
    let (mut from, mut to) = (0, 0);
    let at = |at: usize| {
        let reach = half.min(at).min(values.len() - 1 - at);
        for &value in &values[to..to.max(at + reach + 1)] {
            window.insert(place(&window, value), value);
        }
        for &value in &values[from..at - reach] {
            window.remove(place(&window, value));
        }
        (from, to) = (at - reach, at + reach + 1);
        window[reach]
    };
    (0..values.len()).map(at).collect()
}

/// The autocorrelation of residuals (mean zero) one step apart.
pub fn lag_one(residuals: &[f64]) -> f64 {
    let power: f64 = residuals.iter().map(|value| value * value).sum();
    let pairs: f64 = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum();
    if power > 0.0 { (pairs / power).clamp(-0.99, 0.99) } else { 0.0 }
}

/// How many times the variance of a mean is that of independent values, if each depends on the one
/// before (AR(1); Bayley & Hammersley 1946).
pub fn inflation(rho: f64) -> f64 {
    ((1.0 + rho) / (1.0 - rho)).clamp(1.0, 50.0)
}

/// The variance of a mean of n values, times n, for large n: from the differences between the means of windows
/// and of those that follow them (the two-sample variance of Allan 1966), of which the median is taken, so that
/// a few levels do not count as noise. Windows have up to `longest` values, and so few that each change of
/// level is in a sixth of the differences at most.
pub fn long_run_variance(values: &[f64], longest: usize) -> f64 {
    const PART: usize = 12;
    let length = (values.len() / PART).clamp(1, longest.max(1));
    let means: Vec<f64> =
        values.windows(length).map(|window| window.iter().sum::<f64>() / length as f64).collect();
    let following = means.get(length..).unwrap_or_default();
    let mut differences: Vec<f64> = means.iter().zip(following).map(|(a, b)| (b - a).abs()).collect();
    let spread = median(&mut differences).unwrap_or(0.0) * MAD_SCALE;
    spread * spread * length as f64 / 2.0
}

/// The probability of a normal value at least so far from the mean, in standard deviations.
pub fn tail(z: f64) -> f64 {
    statrs::function::erf::erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// The greatest p that is significant when so many hypotheses are tested and a part `rate` of those
/// called significant may be wrong (Benjamini & Hochberg 1995), or less than zero.
pub fn significant(p: &mut [f64], rate: f64) -> f64 {
    p.sort_by(f64::total_cmp);
    let count = p.len() as f64;
    let last = p.iter().enumerate().rev().find(|(at, p)| **p <= rate * (*at as f64 + 1.0) / count);
    last.map_or(-1.0, |(_, p)| *p)
}

/// The autocorrelations at lags 1 to `most`.
pub fn autocorrelations(values: &[f64], most: usize) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let power: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    if power.is_nan() || power <= 0.0 {
        return Vec::new();
    }
    let at = |lag: usize| {
        let pairs = values.iter().zip(values.get(lag..).unwrap_or_default());
        pairs.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / power
    };
    // What comes after the first lag that is chance is not asked for.
    let chance = 2.0 / (values.len() as f64).sqrt();
    let mut all = Vec::new();
    for lag in 1..=most {
        all.push(at(lag));
        if all.last().is_some_and(|last| *last < chance) {
            break;
        }
    }
    all
}

/// As how many independent values an autocorrelated series counts when its mean is asked for
/// (Bayley & Hammersley 1946).
pub fn independent(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let alike = autocorrelations(values, values.len() / 5);
    let sum: f64 = alike.iter().enumerate().map(|(at, r)| (1.0 - (at + 1) as f64 / count) * r.max(0.0)).sum();
    (count / (1.0 + 2.0 * sum)).clamp(0.0, count)
}

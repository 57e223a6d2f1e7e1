//! Sums and what is made of them, as exact as Prometheus' own.

use std::cmp::Ordering;

use crate::float::Sum;

pub fn sum(values: &[f64]) -> f64 {
    let mut sum = Sum::default();
    for &value in values {
        sum.add(value);
    }
    sum.total()
}

/// The mean. It is that of the running means from where the sum would be more than
/// a float can say.
pub fn mean(values: &[f64]) -> f64 {
    let Some((&first, rest)) = values.split_first() else { return f64::NAN };
    let mut sum = Sum { sum: first, lost: 0.0 };
    for (index, &value) in rest.iter().enumerate() {
        let mut next = sum;
        next.add(value);
        if next.sum.is_infinite() {
            let count = (index + 1) as f64;
            let so_far = Sum { sum: sum.sum / count, lost: sum.lost / count };
            return running_mean(so_far, index + 1, &rest[index..]);
        }
        sum = next;
    }
    let count = values.len() as f64;
    sum.sum / count + sum.lost / count
}

fn running_mean(mut mean: Sum, mut count: usize, values: &[f64]) -> f64 {
    for &value in values {
        count += 1;
        let part = (count - 1) as f64 / count as f64;
        mean = Sum { sum: part * mean.sum, lost: part * mean.lost };
        mean.add(value / count as f64);
    }
    mean.total()
}

/// The variance of all there is (not of a sample), by Welford's method.
pub fn variance(values: &[f64]) -> f64 {
    let (mut mean, mut squares) = (Sum::default(), Sum::default());
    let mut count = 0.0;
    for &value in values {
        count += 1.0;
        let delta = value - mean.total();
        mean.add(delta / count);
        squares.add(delta * (value - mean.total()));
    }
    squares.total() / count
}

/// The quantile of values, which it brings into another order: by linear
/// interpolation between the two nearest ranks. NaN is the least of values.
pub fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let rank = q * (values.len() - 1) as f64;
    let lower = (rank.floor() as usize).min(values.len() - 1);
    let order = |a: &f64, b: &f64| match (a.is_nan(), b.is_nan()) {
        (false, false) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        (a, b) => b.cmp(&a),
    };
    let (_, &mut low, above) = values.select_nth_unstable_by(lower, order);
    let high = above.iter().copied().min_by(order).unwrap_or(low);
    let weight = rank - rank.floor();
    low * (1.0 - weight) + high * weight
}

/// The line through values by least squares: its slope per second and its value at
/// a time. Times are ns; there is at least one value.
pub fn regression(times: &[i64], values: &[f64], at: i64) -> (f64, f64) {
    let first = values[0];
    if values.iter().all(|value| *value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let (mut x, mut y, mut xy, mut xx) = (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for (&time, &value) in times.iter().zip(values) {
        let seconds = time.saturating_sub(at) as f64 / 1e9;
        x.add(seconds);
        y.add(value);
        xy.add(seconds * value);
        xx.add(seconds * seconds);
    }
    let n = values.len() as f64;
    let [x, y, xy, xx] = [x, y, xy, xx].map(Sum::total);
    let slope = (xy - x * y / n) / (xx - x * x / n);
    (slope, y / n - slope * x / n)
}

//! Floats as text, and when they are as good as equal.

use crate::sample::is_stale;

/// As Prometheus' JSON has them: the shortest digits that say which one it is,
/// with an exponent below 1e-6 and from 1e21 on. `NaN`, `+Inf`, `-Inf`.
pub fn format_float(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        special(value).to_owned()
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        with_exponent(value).0
    } else {
        value.to_string()
    }
}

/// As Go's `%g` has them: the shortest digits, with an exponent below 1e-4 and
/// from 1e6 on.
pub fn format_short(value: f64) -> String {
    if !value.is_finite() {
        return special(value).to_owned();
    }
    let (text, exponent) = with_exponent(value);
    if (-4..6).contains(&exponent) { value.to_string() } else { text }
}

fn special(value: f64) -> &'static str {
    match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "+Inf",
        _ => "-Inf",
    }
}

/// A finite float with an exponent of a sign and two digits or more; and that
/// exponent.
fn with_exponent(value: f64) -> (String, i32) {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    (format!("{digits}e{sign}{:02}", exponent.abs()), exponent)
}

/// Whether floats differ by less than a part of the sum of their sizes, as
/// Prometheus' tests compare. NaN is as good as NaN; the mark of staleness only as
/// good as itself.
pub fn almost_equal(a: f64, b: f64, tolerance: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, apart) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return apart < tolerance * f64::MIN_POSITIVE;
    }
    apart / sum.min(f64::MAX) < tolerance
}

/// A sum that keeps what rounding would lose: Kahan's, as improved by Neumaier.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) sum: f64,
    /// What the sum lacks.
    pub(crate) lost: f64,
}

impl Sum {
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost = match () {
            () if sum.is_infinite() => 0.0,
            () if self.sum.abs() >= value.abs() => self.lost + ((self.sum - sum) + value),
            () => self.lost + ((value - sum) + self.sum),
        };
        self.sum = sum;
    }

    pub(crate) fn total(self) -> f64 {
        self.sum + self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_json_has_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-6, "0.000001"),
            (9.9e-7, "9.9e-07"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(format_float(value), text);
        }
    }

    #[test]
    fn as_go_has_them() {
        for (value, text) in [
            (0.0, "0"),
            (10.0, "10"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-2.5e100, "-2.5e+100"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(format_short(value), text);
        }
    }

    #[test]
    fn as_good_as_equal() {
        assert!(almost_equal(1.0, 1.0 + 1e-7, 1e-6));
        assert!(!almost_equal(1.0, 1.0 + 1e-5, 1e-6));
        assert!(almost_equal(f64::NAN, f64::NAN, 1e-6));
        assert!(!almost_equal(f64::NAN, crate::sample::STALE, 1e-6));
        assert!(almost_equal(f64::INFINITY, f64::INFINITY, 1e-6));
        assert!(!almost_equal(f64::INFINITY, f64::MAX, 1e-6));
        assert!(!almost_equal(0.0, 1e-300, 1e-6));
        assert!(!almost_equal(f64::MAX, -f64::MAX, 1e-6));
    }

    #[test]
    fn a_sum_loses_nothing() {
        let mut sum = Sum::default();
        [1e100, 1.0, -1e100].into_iter().for_each(|value| sum.add(value));
        assert_eq!(sum.total(), 1.0);
        sum.add(f64::INFINITY);
        assert_eq!(sum.total(), f64::INFINITY);
    }
}

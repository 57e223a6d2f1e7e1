//! Numbers as people read them, in the units of `docs/dashboard.md`; the page in the browser
//! writes them the same way.

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 86400.0;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Decimal,
    Binary,
    Time,
    Plain,
}

/// How numbers of a unit are scaled.
struct Shape<'a> {
    family: Family,
    /// What follows the number and a prefix.
    suffix: &'a str,
    /// Whether the prefix stands alone.
    apart: bool,
    /// How many of the unit are one second, of times.
    second: f64,
}

const DECIMAL: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const TIME: [(f64, &str); 4] = [(1e-9, " ns"), (1e-6, " µs"), (1e-3, " ms"), (1.0, " s")];

fn shape(unit: &str) -> Shape<'_> {
    let mut apart = false;
    let (family, suffix, second) = match unit {
        "count" => (Family::Decimal, "", 1.0),
        "percent" => (Family::Plain, " %", 1.0),
        "cores" => (Family::Plain, " cores", 1.0),
        "bytes" => (Family::Binary, "B", 1.0),
        "bytes/s" => (Family::Binary, "B/s", 1.0),
        "operations/s" | "events/s" => (Family::Decimal, "/s", 1.0),
        "nanoseconds" => (Family::Time, "", 1e9),
        "seconds" => (Family::Time, "", 1.0),
        "hertz" => (Family::Decimal, "Hz", 1.0),
        other => {
            apart = true;
            (Family::Decimal, other, 1.0)
        }
    };
    Shape { family, suffix, apart, second }
}

/// A multiple of a unit: how much it is, and what follows the number.
struct Scale {
    size: f64,
    suffix: String,
}

impl Shape<'_> {
    /// Ascending.
    fn scales(&self) -> Vec<Scale> {
        let prefixed = |prefixes: &[&str], base: f64| {
            let scale = |(power, prefix): (usize, &&str)| {
                let between = if self.apart && !prefix.is_empty() { " " } else { "" };
                let text = format!(" {prefix}{between}{}", self.suffix);
                Scale { size: base.powi(power as i32), suffix: text.trim_end().into() }
            };
            prefixes.iter().enumerate().map(scale).collect()
        };
        match self.family {
            Family::Decimal => prefixed(&DECIMAL, 1000.0),
            Family::Binary => prefixed(&BINARY, 1024.0),
            Family::Plain => vec![Scale { size: 1.0, suffix: self.suffix.into() }],
            Family::Time => {
                let scale = |(size, suffix): (f64, &str)| {
                    // Whole where it can be, so that it divides exactly.
                    let size = if self.second > 1.0 { (size * self.second).round() } else { size };
                    Scale { size, suffix: suffix.into() }
                };
                TIME.into_iter().map(scale).collect()
            }
        }
    }
}

/// To three significant digits.
fn three(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() { value } else { format!("{value:.2e}").parse().unwrap_or(value) }
}

/// A number not below zero with three significant digits, and no zeros behind the point that say
/// nothing.
fn digits(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let rounded = three(value);
    if !(1e-6..1e15).contains(&rounded) {
        return format!("{rounded:e}");
    }
    let decimals = (2 - rounded.log10().floor() as i32).max(0) as usize;
    trimmed(format!("{rounded:.decimals$}"))
}

fn trimmed(text: String) -> String {
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// Minutes and more, in the two units that matter.
fn long(total: f64) -> String {
    let pair = |large: f64, large_name: &str, small: f64, small_name: &str| {
        let parts = (total / small).round();
        let whole = (parts / (large / small)).floor();
        let rest = parts - whole * (large / small);
        if rest == 0.0 {
            format!("{whole} {large_name}")
        } else {
            format!("{whole} {large_name} {rest} {small_name}")
        }
    };
    if total.round() < HOUR {
        pair(MINUTE, "min", 1.0, "s")
    } else if (total / MINUTE).round() * MINUTE < DAY {
        pair(HOUR, "h", MINUTE, "min")
    } else if total < 100.0 * DAY {
        pair(DAY, "d", HOUR, "h")
    } else {
        format!("{} d", digits((total / DAY).round()))
    }
}

/// A length of time in seconds.
pub fn duration(seconds: f64) -> String {
    value(seconds, "seconds")
}

/// The value with its unit: three significant digits, NaN as a dash.
pub fn value(value: f64, unit: &str) -> String {
    if value.is_nan() {
        return "–".into();
    }
    let sign = if value < 0.0 { "−" } else { "" };
    let size = value.abs();
    let shape = shape(unit);
    let scales = shape.scales();
    let last = scales.len() - 1;
    let smallest = if unit == "seconds" && size == 0.0 { last } else { 0 };
    if size.is_infinite() {
        let suffix = &scales[if shape.family == Family::Time { last } else { 0 }].suffix;
        return format!("{sign}∞{suffix}");
    }
    if shape.family == Family::Time && three(size / shape.second) >= MINUTE {
        return format!("{sign}{}", long(size / shape.second));
    }
    // Whole bytes are told as they are until there is a KiB of them.
    if shape.family == Family::Binary && size < 1024.0 && size.fract() == 0.0 {
        return format!("{sign}{size}{}", scales[0].suffix);
    }
    // What would be rounded to 1000 of one is told in the next.
    let mut chosen = smallest;
    while chosen < last && three(size / scales[chosen].size) >= 1000.0 {
        chosen += 1;
    }
    if unit == "cores" && digits(size) == "1" {
        return format!("{sign}1 core");
    }
    format!("{sign}{}{}", digits(size / scales[chosen].size), scales[chosen].suffix)
}

/// The least of 1, 2, 5 times a power of ten that is not below `least`.
fn decimal_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= least * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

const LONG_STEPS: [f64; 15] =
    [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10800.0];

fn nice_step(least: f64, unit: &str) -> f64 {
    let shape = shape(unit);
    if shape.family == Family::Binary && least > 0.5 {
        return 2f64.powf((least.log2() - 1e-9).ceil());
    }
    if shape.family == Family::Time && least > shape.second {
        let wanted = least / shape.second;
        let known = LONG_STEPS.into_iter().find(|step| *step >= wanted * (1.0 - 1e-9));
        return shape.second * known.unwrap_or_else(|| decimal_step(wanted / HOUR) * HOUR);
    }
    decimal_step(least)
}

/// Round values from `min` to `max`, about `count` of them, with their labels, ascending. Empty if a
/// bound is not finite.
pub fn ticks(min: f64, max: f64, unit: &str, count: usize) -> Vec<(f64, String)> {
    if !min.is_finite() || !max.is_finite() || min > max {
        return Vec::new();
    }
    let greatest = min.abs().max(max.abs());
    let span = max - min;
    // Below that, neighbouring ticks would be the same number.
    if span <= greatest * 1e-12 || !span.is_finite() {
        return vec![(min, value(min, unit))];
    }
    let step = nice_step(0.8 * span / count.clamp(1, 100) as f64, unit);
    let first = (min / step - 1e-9).ceil();
    let last = (max / step + 1e-9).floor();
    let count = (last - first).clamp(-1.0, 200.0) as i64;
    let tick = |at: i64| {
        let exact = (first + at as f64) * step;
        let exact = if exact.abs() < step / 2.0 { 0.0 } else { exact };
        (exact, value(exact, unit))
    };
    (0..=count).map(tick).collect()
}

/// What of a logarithmic axis is labelled: powers of ten, or of 1024 for bytes, or where these are
/// few, what is between.
pub fn log_ticks(min: f64, max: f64, unit: &str) -> Vec<(f64, String)> {
    if !min.is_finite() || !max.is_finite() || max <= 0.0 || min <= 0.0 || min > max {
        return Vec::new();
    }
    let inside = |value: &f64| *value >= min * (1.0 - 1e-9) && *value <= max * (1.0 + 1e-9);
    let values: Vec<f64> = if shape(unit).family == Family::Binary {
        let every = if max / min > 1e4 { 4 } else { 1 };
        (-30..=100).filter(|power| power % every == 0).map(|power| 2f64.powi(power)).filter(inside).collect()
    } else {
        let (low, high) = (min.log10().floor().max(-300.0) as i32, max.log10().ceil().min(300.0) as i32);
        let factors: &[f64] = if max / min >= 100.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let powers =
            (low..=high).flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)));
        powers.filter(inside).collect()
    };
    values.into_iter().map(|tick| (tick, value(tick, unit))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_three_digits_and_the_scale_that_fits() {
        for (number, unit, text) in [
            (0.0, "count", "0"),
            (1234.0, "count", "1.23 k"),
            (999.9, "count", "1 k"),
            (999.4, "events/s", "999 /s"),
            (12.5, "percent", "12.5 %"),
            (1.0, "cores", "1 core"),
            (0.251, "cores", "0.251 cores"),
            (1000.0, "bytes", "1000 B"),
            (1536.0, "bytes", "1.5 KiB"),
            (3.5 * 1048576.0, "bytes/s", "3.5 MiB/s"),
            (1_250.0, "nanoseconds", "1.25 µs"),
            (0.0, "nanoseconds", "0 ns"),
            (0.0, "seconds", "0 s"),
            (0.25, "seconds", "250 ms"),
            (90.0, "seconds", "1 min 30 s"),
            (7_200.0, "seconds", "2 h"),
            (2.4e9, "hertz", "2.4 GHz"),
            (f64::NAN, "bytes", "–"),
            (f64::INFINITY, "nanoseconds", "∞ s"),
            (-2048.0, "bytes", "−2 KiB"),
            (5.0, "frobs", "5 frobs"),
            (5000.0, "frobs", "5 k frobs"),
        ] {
            assert_eq!(value(number, unit), text, "{number} {unit}");
        }
    }

    #[test]
    fn ticks_are_round() {
        let labels =
            |ticks: Vec<(f64, String)>| ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels(ticks(0.0, 100.0, "percent", 2)), ["0 %", "50 %", "100 %"]);
        assert_eq!(labels(ticks(0.0, 3.0 * 1048576.0, "bytes", 3)), ["0 B", "1 MiB", "2 MiB", "3 MiB"]);
        assert_eq!(labels(log_ticks(900.0, 2e6, "nanoseconds")), ["1 µs", "10 µs", "100 µs", "1 ms"]);
        assert!(ticks(f64::NAN, 1.0, "count", 3).is_empty() && log_ticks(0.0, 1.0, "count").is_empty());
    }
}

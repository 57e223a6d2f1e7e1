//! Names, units and labels as Prometheus wants them.

use super::family::Kind;

/// Endings that belong to what a family is made of. A gauge of such a name gets
/// its unit appended.
const RESERVED: [&str; 6] = ["_total", "_count", "_sum", "_bucket", "_created", "_info"];

/// Factors to base units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    One,
    Times(f64),
    /// Exact where times a fraction would not be.
    By(f64),
}

impl Scale {
    pub fn apply(self, value: f64) -> f64 {
        match self {
            Self::One => value,
            Self::Times(factor) => value * factor,
            Self::By(divisor) => value / divisor,
        }
    }
}

/// The base unit of a unit, and how to get there; None if it is none of
/// physics, such as packets.
fn base(unit: &str) -> Option<(&'static str, Scale)> {
    Some(match unit {
        "seconds" => ("seconds", Scale::One),
        "milliseconds" => ("seconds", Scale::By(1e3)),
        "microseconds" => ("seconds", Scale::By(1e6)),
        "nanoseconds" => ("seconds", Scale::By(1e9)),
        "bytes" => ("bytes", Scale::One),
        "kilobytes" => ("bytes", Scale::Times(1e3)),
        "kibibytes" => ("bytes", Scale::Times(1024.0)),
        "megabytes" => ("bytes", Scale::Times(1e6)),
        "mebibytes" => ("bytes", Scale::Times(1048576.0)),
        "percentage" | "percent" => ("ratio", Scale::By(1e2)),
        "celsius" => ("celsius", Scale::One),
        "millicelsius" => ("celsius", Scale::By(1e3)),
        "hertz" => ("hertz", Scale::One),
        "kilohertz" => ("hertz", Scale::Times(1e3)),
        "megahertz" => ("hertz", Scale::Times(1e6)),
        "watts" => ("watts", Scale::One),
        "milliwatts" => ("watts", Scale::By(1e3)),
        "microwatts" => ("watts", Scale::By(1e6)),
        "joules" => ("joules", Scale::One),
        "millijoules" => ("joules", Scale::By(1e3)),
        "microjoules" => ("joules", Scale::By(1e6)),
        _ => return None,
    })
}

/// What a metric is called, and how its numbers are to be scaled.
#[derive(Debug, PartialEq)]
pub struct Named {
    /// Without the `_total` of a counter.
    pub name: String,
    /// If the name ends in it.
    pub unit: Option<&'static str>,
    /// What the numbers are in, if known.
    pub of: Option<String>,
    pub scale: Scale,
}

/// The name for a metric of this kind and unit.
pub fn named(metric: &str, kind: Kind, unit: Option<&str>, base_units: bool) -> Named {
    let mut name = metric_name(metric);
    if kind == Kind::Counter
        && let Some(stem) = name.strip_suffix("_total")
    {
        name.truncate(stem.len());
    }
    let base = unit.and_then(base);
    let scale = base.map_or(Scale::One, |(_, scale)| scale).pick(base_units);
    let ends_in = |name: &str, unit: &str| name.strip_suffix(unit).is_some_and(|stem| stem.ends_with('_'));
    if let (true, Some((unit, _))) = (base_units, base)
        && !ends_in(&name, unit)
    {
        name = format!("{name}_{unit}");
    }
    if kind != Kind::Counter && RESERVED.iter().any(|reserved| name.ends_with(reserved)) {
        name = format!("{name}_{}", unit.map_or("value".into(), metric_name));
    }
    let of = if base_units { base.map(|(unit, _)| unit).or(unit) } else { unit };
    let told = base.map(|(unit, _)| unit).filter(|unit| of == Some(unit) && ends_in(&name, unit));
    Named { unit: told, of: of.map(Into::into), name, scale }
}

impl Scale {
    fn pick(self, wanted: bool) -> Self {
        if wanted { self } else { Self::One }
    }
}

/// A text made a valid metric name.
pub fn metric_name(text: &str) -> String {
    identifier(text, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// A text made a valid label name that means nothing to Prometheus.
pub fn label_name(text: &str) -> String {
    let name = identifier(text, |c| c.is_ascii_alphanumeric() || c == '_');
    if name.starts_with("__") || ["le", "quantile"].contains(&name.as_str()) {
        return format!("exported_{}", name.trim_start_matches('_'));
    }
    name
}

fn identifier(text: &str, valid: impl Fn(char) -> bool) -> String {
    let mut name: String = text.chars().map(|c| if valid(c) { c } else { '_' }).collect();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// The HELP of a metric.
pub fn help(description: Option<&str>, metric: &str, of: Option<&str>) -> String {
    let text = description.map(str::trim).filter(|text| !text.is_empty()).unwrap_or(metric);
    match of {
        Some(unit) => format!("{} ({unit})", text.trim_end_matches('.')),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_unit_of_their_numbers() {
        use Kind::{Counter, Gauge, Histogram};
        for (metric, kind, unit, base_units, name, told, scale) in [
            ("cpu_usage", Counter, "nanoseconds", false, "cpu_usage", None, Scale::One),
            ("cpu_usage", Counter, "nanoseconds", true, "cpu_usage_seconds", Some("seconds"), Scale::By(1e9)),
            ("x_total", Counter, "events", true, "x", None, Scale::One),
            ("x_bytes", Counter, "bytes", false, "x_bytes", Some("bytes"), Scale::One),
            ("x_bytes", Counter, "bytes", true, "x_bytes", Some("bytes"), Scale::One),
            // The name says what the numbers are only after the conversion.
            ("x_bytes", Gauge, "kibibytes", false, "x_bytes", None, Scale::One),
            ("x_bytes", Gauge, "kibibytes", true, "x_bytes", Some("bytes"), Scale::Times(1024.0)),
            ("load", Gauge, "percentage", true, "load_ratio", Some("ratio"), Scale::By(1e2)),
            ("memory_total", Gauge, "bytes", false, "memory_total_bytes", Some("bytes"), Scale::One),
            ("page_count", Gauge, "", false, "page_count_value", None, Scale::One),
            ("nanobytes", Histogram, "bytes", true, "nanobytes_bytes", Some("bytes"), Scale::One),
        ] {
            let named = named(metric, kind, Some(unit).filter(|unit| !unit.is_empty()), base_units);
            assert_eq!(
                (named.name.as_str(), named.unit, named.scale),
                (name, told, scale),
                "{metric} {unit}"
            );
        }
    }

    #[test]
    fn conversions_are_as_exact_as_floats() {
        assert_eq!(base("nanoseconds").unwrap().1.apply(1_500_000_000.0), 1.5);
        assert_eq!(base("nanoseconds").unwrap().1.apply(3.0), 3e-9);
        assert_eq!(base("millicelsius").unwrap().1.apply(42_001.0), 42.001);
    }

    proptest::proptest! {
        #[test]
        fn any_text_becomes_valid(text in "(?s).*") {
            let (metric, label) = (metric_name(&text), label_name(&text));
            proptest::prop_assert!(!metric.is_empty() && !label.is_empty());
            proptest::prop_assert!(!metric.starts_with(|c: char| c.is_ascii_digit()));
            proptest::prop_assert!(!label.starts_with(|c: char| c.is_ascii_digit()) && !label.starts_with("__"));
            proptest::prop_assert!(label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        }
    }
}

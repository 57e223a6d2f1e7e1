//! The text formats: Prometheus's own and OpenMetrics 1.0.

use std::fmt::{self, Write};

use super::family::{Family, Kind, Number, Sample};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Prometheus,
    OpenMetrics,
}

/// Writes families whose names differ.
pub fn render(families: &[Family], dialect: Dialect) -> String {
    let mut out = String::with_capacity(families.iter().map(|family| family.series.len() * 96 + 128).sum());
    for family in families {
        // Writing to a string cannot fail.
        let _ = head(&mut out, family, dialect);
        family.samples(|sample| {
            let _ = line(&mut out, family, &sample, dialect);
        });
    }
    if dialect == Dialect::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn head(out: &mut String, family: &Family, dialect: Dialect) -> fmt::Result {
    let name = match dialect {
        Dialect::Prometheus => family.full_name(),
        Dialect::OpenMetrics => (&*family.name).into(),
    };
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Summary => "summary",
        Kind::Histogram => "histogram",
    };
    write!(out, "# HELP {name} ")?;
    escape(out, &family.help, dialect == Dialect::OpenMetrics);
    writeln!(out, "\n# TYPE {name} {kind}")?;
    if let (Some(unit), Dialect::OpenMetrics) = (family.unit, dialect) {
        writeln!(out, "# UNIT {name} {unit}")?;
    }
    Ok(())
}

fn line(out: &mut String, family: &Family, sample: &Sample<'_>, dialect: Dialect) -> fmt::Result {
    write!(out, "{}{}", family.name, sample.suffix)?;
    let mut before = '{';
    for (name, value) in &**sample.labels {
        write!(out, "{before}{name}=\"")?;
        escape(out, value, true);
        out.push('"');
        before = ',';
    }
    if let Some((name, value)) = sample.extra {
        write!(out, "{before}{name}=\"{}\"", bound(value, dialect))?;
        before = ',';
    }
    if before == ',' {
        out.push('}');
    }
    out.push(' ');
    match sample.value {
        Number::Unsigned(value) => writeln!(out, "{value}"),
        Number::Signed(value) => writeln!(out, "{value}"),
        Number::Float(value) => writeln!(out, "{}", float(value)),
    }
}

/// The value of `le` or `quantile`. OpenMetrics tells floats from integers.
fn bound(value: f64, dialect: Dialect) -> String {
    let mut text = float(value);
    if dialect == Dialect::OpenMetrics && value.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

/// A float as Go writes it in its shortest form, so that `le` is the same as
/// everywhere else.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let scientific = format!("{value:e}");
    match scientific.split_once('e').and_then(|(digits, e)| Some((digits, e.parse::<i32>().ok()?))) {
        Some((digits, exponent)) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{value}"),
    }
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::family::{Series, Value};
    use super::*;

    #[test]
    fn floats_are_written_as_go_does() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.5, "-0.5"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (99999.0, "99999"),
            (999999.0, "999999"),
            (1e6, "1e+06"),
            (1234567.0, "1.234567e+06"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(float(value), expected);
        }
        assert_eq!(bound(15.0, Dialect::Prometheus), "15");
        assert_eq!(bound(15.0, Dialect::OpenMetrics), "15.0");
        assert_eq!(bound(0.5, Dialect::OpenMetrics), "0.5");
        assert_eq!(bound(1e6, Dialect::OpenMetrics), "1e+06");
        assert_eq!(bound(f64::INFINITY, Dialect::OpenMetrics), "+Inf");
    }

    fn unescape(text: &str) -> String {
        let mut out = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('n') => out.push('\n'),
                    Some(c @ ('\\' | '"')) => out.push(c),
                    other => panic!("\\{other:?}"),
                },
                c => out.push(c),
            }
        }
        out
    }

    proptest! {
        #[test]
        fn floats_are_read_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let read: f64 = float(value).replace("Inf", "inf").parse().unwrap();
            prop_assert!(read == value || (read.is_nan() && value.is_nan()), "{}", value);
        }

        #[test]
        fn labels_and_help_are_read_back(label in "(?s).*|[\\\\\"\na]*", help in "(?s).*|[\\\\\"\na]*") {
            let family = Family {
                name: "a".into(),
                kind: Kind::Gauge,
                unit: None,
                help: help.as_str().into(),
                series: vec![Series {
                    labels: Arc::from([("l".to_string(), label.clone())]),
                    value: Value::Number(Number::Signed(-1)),
                }],
            };
            for dialect in [Dialect::Prometheus, Dialect::OpenMetrics] {
                let text = render(std::slice::from_ref(&family), dialect);
                let lines: Vec<&str> = text.split('\n').collect();
                prop_assert_eq!(unescape(lines[0].strip_prefix("# HELP a ").unwrap()), help.as_str());
                let inside = lines[2].strip_prefix("a{l=\"").and_then(|line| line.strip_suffix("\"} -1"));
                prop_assert_eq!(unescape(inside.unwrap()), label.as_str());
            }
        }
    }
}

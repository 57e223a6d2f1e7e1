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

//! Answers as comma-separated values (RFC 4180).

use std::collections::BTreeSet;
use std::io::{self, Write};

use rezolus_store::float::format_float;
use rezolus_store::promql::Value;
use rezolus_store::{Labels, Sample, Series};

/// A line per sample: the time in seconds since 1970, a column per label that
/// any series has, and the value.
pub fn write(out: &mut impl Write, value: &Value) -> io::Result<()> {
    match value {
        Value::Scalar(time, number) => {
            writeln!(out, "time,value\n{},{}", seconds(*time), format_float(*number))
        }
        Value::String(time, text) => writeln!(out, "time,value\n{},{}", seconds(*time), field(text)),
        Value::Vector(series) => {
            let names = head(out, series.iter().map(|(labels, _, _)| labels))?;
            series.iter().try_for_each(|(labels, time, sample)| line(out, &names, labels, *time, sample))
        }
        Value::Matrix(series) => {
            let names = head(out, series.iter().map(|series| &series.labels))?;
            for Series { labels, samples } in series {
                samples.iter().try_for_each(|(time, sample)| line(out, &names, labels, time, &sample))?;
            }
            Ok(())
        }
    }
}

/// The first line; and the labels' names in its order.
fn head<'a>(out: &mut impl Write, series: impl Iterator<Item = &'a Labels>) -> io::Result<BTreeSet<&'a str>> {
    let names: BTreeSet<&str> = series.flat_map(|labels| labels.iter().map(|(name, _)| &**name)).collect();
    write!(out, "time,")?;
    for name in &names {
        write!(out, "{},", field(name))?;
    }
    writeln!(out, "value")?;
    Ok(names)
}

fn line(
    out: &mut impl Write,
    names: &BTreeSet<&str>,
    labels: &Labels,
    time: i64,
    sample: &Sample,
) -> io::Result<()> {
    write!(out, "{},", seconds(time))?;
    for name in names {
        write!(out, "{},", field(labels.get(name)))?;
    }
    match sample {
        Sample::Float(value) => writeln!(out, "{}", format_float(*value)),
        Sample::Histogram(histogram) => writeln!(out, "{}", field(&histogram.to_string())),
    }
}

/// Seconds, to the millisecond.
fn seconds(nanos: i64) -> String {
    let millis = nanos.div_euclid(1_000_000);
    let sign = if millis < 0 { "-" } else { "" };
    format!("{sign}{}.{:03}", millis.abs() / 1_000, millis.abs() % 1_000)
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rezolus_store::Samples;

    #[test]
    fn a_line_per_sample_and_a_column_per_label() {
        let written = |value| {
            let mut out = Vec::new();
            write(&mut out, &value).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(Value::Scalar(1_500_000_000, 0.5)), "time,value\n1.500,0.5\n");
        let series = |label, samples: &[(i64, f64)]| Series {
            labels: Labels::new([label]),
            samples: Samples::new(samples.iter().map(|(time, value)| (*time, Sample::Float(*value)))),
        };
        let series =
            vec![series(("a", "x,\"y\""), &[(0, 1.0), (1, f64::NAN)]), series(("b", "z"), &[(-1, 1e21)])];
        assert_eq!(
            written(Value::Matrix(series)),
            "time,a,b,value\n0.000,\"x,\"\"y\"\"\",,1\n0.000,\"x,\"\"y\"\"\",,NaN\n-0.001,,z,1e+21\n"
        );
    }
}

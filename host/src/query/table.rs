//! Answers as tables for people.

use rezolus_store::promql::Value;
use rezolus_store::{FloatHistogram, Labels, Sample, Samples, Series};

use super::plot::{self, Point};
use rezolus_modes::query::ask::moment;

/// How high a plot is, in lines.
const HEIGHT: usize = 10;
/// Terminals narrower than this are taken for as wide.
const NARROWEST: usize = 30;

/// An answer as text: a line per series. With the width of a terminal, series
/// over time are plotted too.
pub fn text(value: &Value, width: Option<usize>) -> String {
    match value {
        Value::Scalar(_, value) => format!("{}\n", number(*value)),
        Value::String(_, text) => format!("{}\n", printable(text)),
        Value::Vector(series) => {
            let mut rows = vec![vec!["SERIES".to_string(), "VALUE".to_string()]];
            rows.extend(series.iter().map(|(labels, _, sample)| vec![labels.to_string(), shown(sample)]));
            rows.iter().zip(aligned(&rows)).map(|(_, line)| line + "\n").collect()
        }
        Value::Matrix(series) => over_time(series, width.map(|width| width.max(NARROWEST))),
    }
}

fn over_time(series: &[Series], width: Option<usize>) -> String {
    let head = ["SERIES", "POINTS", "FIRST", "LAST", "MIN", "MAX", "MEAN"];
    let mut rows = vec![Vec::from(head.map(String::from))];
    let points: Vec<Vec<Point>> = series.iter().map(|series| points(&series.samples)).collect();
    for (Series { labels, .. }, points) in series.iter().zip(&points) {
        rows.push(row(labels, points));
    }
    let times = || points.iter().flatten().map(|(time, _)| *time);
    let span = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let mut out = String::new();
    for (at, line) in aligned(&rows).into_iter().enumerate() {
        out += &line;
        out.push('\n');
        // Among several, each has a line.
        if let (Some(width), Some(points), 2..) =
            (width, at.checked_sub(1).map(|at| &points[at]), series.len())
        {
            out += &format!("  {}\n", plot::line(points, span, width - 2));
        }
    }
    if let (Some(width), [points]) = (width, &points[..]) {
        let gaps = points.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0));
        let step = gaps.min().unwrap_or(0);
        out += &plot::curve(points, span, step.saturating_add(step / 2), (width, HEIGHT), number);
    }
    if !series.is_empty() {
        out += &format!("from {} to {}\n", moment(span.0), moment(span.1));
    }
    let histogram = |(_, sample)| matches!(sample, Sample::Histogram(_));
    if series.iter().any(|series| series.samples.iter().any(histogram)) {
        out += "of histograms: their averages\n";
    }
    out
}

/// What is plotted of samples: of a histogram, its average.
fn points(samples: &Samples) -> Vec<Point> {
    let value = |sample| match sample {
        Sample::Float(value) => value,
        Sample::Histogram(histogram) => histogram.avg(),
    };
    samples.iter().map(|(time, sample)| (time, value(sample))).collect()
}

fn row(labels: &Labels, points: &[Point]) -> Vec<String> {
    let values = || points.iter().map(|(_, value)| *value).filter(|value| !value.is_nan());
    let count = values().count();
    let edge = |point: Option<&Point>| point.map_or(f64::NAN, |(_, value)| *value);
    // Each divided first, so that the sum of large ones stays finite.
    let mean = if count == 0 { f64::NAN } else { values().map(|value| value / count as f64).sum() };
    let numbers = [
        edge(points.first()),
        edge(points.last()),
        values().fold(f64::NAN, f64::min),
        values().fold(f64::NAN, f64::max),
        mean,
    ];
    let texts = [labels.to_string(), points.len().to_string()].into_iter();
    texts.chain(numbers.into_iter().map(number)).collect()
}

/// Lines with columns: the first to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (text, &width))| match at {
            0 => format!("{text:<width$}"),
            _ => format!("{text:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    rows.iter().map(line).collect()
}

fn shown(sample: &Sample) -> String {
    match sample {
        Sample::Float(value) => number(*value),
        Sample::Histogram(histogram) => summary(histogram),
    }
}

/// The whole of a histogram would fill a screen.
fn summary(histogram: &FloatHistogram) -> String {
    let quantile = |phi| number(histogram.quantile(phi).0);
    format!(
        "count {}, avg {}, p50 {}, p90 {}, p99 {}",
        number(histogram.count),
        number(histogram.avg()),
        quantile(0.5),
        quantile(0.9),
        quantile(0.99)
    )
}

/// Whole numbers whole, others with six digits.
fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || (value.trunc() == value && size < 1e15) {
        return rezolus_store::float::format_float(value);
    }
    if !(1e-4..1e15).contains(&size) {
        return format!("{value:.5e}");
    }
    // Digits before the point; none or fewer below 1.
    let before = size.log10().floor() as i32 + 1;
    let decimals = usize::try_from(6 - before).unwrap_or(0);
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

/// Without what could steer a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Of a step of a second.
#[cfg(test)]
fn every_second(label: &str, values: &[f64]) -> Series {
    let samples = (0..).zip(values).map(|(at, value)| (at * super::SECOND, Sample::Float(*value)));
    Series { labels: Labels::new([("a", label)]), samples: Samples::new(samples) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_six_digits() {
        for (value, text) in [
            (1_234_567_890.0, "1234567890"),
            (0.1 + 0.2, "0.3"),
            (1_234.567_89, "1234.57"),
            (12_345_678.9, "12345679"),
            (0.000_123_456_78, "0.000123457"),
            (-1.5e-9, "-1.50000e-9"),
            (f64::NAN, "NaN"),
            (-0.0, "-0"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_line_per_series() {
        let series = |name: &str, value| (Labels::new([("a", name)]), 0, Sample::Float(value));
        assert_eq!(
            text(&Value::Vector(vec![series("x", 1.0), series("long", 0.25)]), None),
            "SERIES      VALUE\n{a=\"x\"}         1\n{a=\"long\"}   0.25\n"
        );
        let matrix = Value::Matrix(vec![every_second("x", &[1.0, f64::NAN, 4.0])]);
        assert_eq!(
            text(&matrix, None),
            "SERIES   POINTS  FIRST  LAST  MIN  MAX  MEAN\n\
             {a=\"x\"}       3      1     4    1    4   2.5\n\
             from 1970-01-01T00:00:00Z to 1970-01-01T00:00:02Z\n"
        );
        assert_eq!(text(&matrix, Some(60)).lines().count(), 3 + HEIGHT);
        assert_eq!(text(&Value::String(0, "a\u{1b}[0m".into()), None), "a\u{fffd}[0m\n");
    }

    #[test]
    fn several_series_have_a_line_of_blocks_each() {
        let one = |name: &str| every_second(name, &[0.0, 1.0]);
        let text = text(&Value::Matrix(vec![one("x"), one("y")]), Some(40));
        assert_eq!(text.matches('█').count(), 2, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 50));
    }
}

//! What a chart shows of a span of time: its queries evaluated, of all inputs, and what their series
//! are called.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rezolus_store::{Labels, Source, promql};

use super::kind::Kind;
use crate::viewer::dashboard::{Chart, Query};
use crate::viewer::heat::Heat;
use crate::viewer::range::{self, Evaluated, Grid, affordable, evaluate, sum, weight};
use crate::viewer::reduce::{Lots, per_lot, reduce};
use crate::viewer::text::has_quantile;

/// How long a chart may take.
const LONGEST: Duration = Duration::from_secs(60);

/// What a series is called that has nothing to call it by.
const NAMELESS: &str = "value";

pub const QUANTILES: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")];

/// What is asked; several are shown on the same axis of time.
#[derive(Clone)]
pub struct Side {
    pub name: String,
    pub source: Arc<dyn Source>,
    /// Added to times on screen to have its own.
    pub shift: i64,
}

/// Of what span a chart is to be shown.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub chart: Arc<Chart>,
    pub start: i64,
    pub end: i64,
    /// How many lots there is room for.
    pub points: usize,
    /// Between samples.
    pub interval: i64,
    /// What it took at each step when this was last asked.
    pub weight: Option<usize>,
}

/// Values at even distances: lot `i` begins at `start + i * lot`.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    pub start: i64,
    pub lot: i64,
    pub count: usize,
    /// Whether a lot is more than one value.
    pub reduced: bool,
    pub body: Body,
    /// How it is drawn, which may differ from what the chart says.
    pub kind: Kind,
    /// Of parts of a whole: for each lot the greatest whole.
    pub total: Option<Vec<f64>>,
    pub weight: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Lines(Vec<Line>),
    Heat(Heat),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What it is the same by when asked again.
    pub key: String,
    pub name: String,
    pub lots: Lots,
}

/// Evaluates a chart's queries.
///
/// # Errors
///
/// When one cannot be evaluated, in the words of the engine.
pub fn ask(sides: &[Side], wanted: &Wanted, canceled: &Arc<AtomicBool>) -> Result<Drawn, String> {
    let weight = match wanted.weight {
        Some(weight) => weight,
        None => heaviest(sides, wanted)?,
    };
    let grid = grid(wanted, weight);
    let options = promql::Options {
        deadline: Some(Instant::now() + LONGEST),
        canceled: Some(canceled.clone()),
        ..promql::Options::default()
    };
    let (chart, several) = (&wanted.chart, sides.len() > 1);
    let kind = match Kind::of(&chart.kind) {
        // What is to be compared does not add up.
        Kind::Stacked if several => Kind::Line,
        kind => kind,
    };
    // Histograms of several would be one heap; their quantiles can be told apart.
    let heat = kind == Kind::Heatmap && !several && chart.queries.len() == 1;
    let mut drawn = Drawn {
        start: grid.start,
        lot: grid.step.saturating_mul(i64::try_from(grid.per).unwrap_or(i64::MAX)),
        count: grid.lots(),
        reduced: grid.per > 1,
        body: Body::Lines(Vec::new()),
        kind,
        total: None,
        weight,
    };
    let (mut lines, mut total) = (Vec::new(), Vec::new());
    for side in sides {
        let grid = Grid { start: grid.start.saturating_add(side.shift), ..grid };
        let of = if several { format!("{}: ", side.name) } else { String::new() };
        for query in &chart.queries {
            let asked = asked(query, heat);
            let Evaluated { body, .. } =
                evaluate(&*side.source, &grid, &asked, &options).map_err(|error| error.to_string())?;
            match body {
                range::Body::Heat(heat) => drawn.body = Body::Heat(heat),
                range::Body::Lines(all) => {
                    if asked.numbers && all.iter().any(|line| line.quantile.is_some()) {
                        drawn.kind = Kind::Percentiles;
                    }
                    if kind == Kind::Stacked && !all.is_empty() {
                        let parts = all.iter().map(|line| &*line.values);
                        total = sum(grid.count, std::iter::once(&*total).chain(parts));
                    }
                    lines.extend(named(&of, &query.legend, &all, grid.per));
                }
            }
        }
    }
    drawn.total = (!total.is_empty()).then(|| reduce(&total, grid.per).greatest);
    if let Body::Lines(all) = &mut drawn.body {
        *all = lines;
    }
    Ok(drawn)
}

/// How a query is evaluated: where it is of histograms as `heat`, or as quantiles.
fn asked(query: &Query, heat: bool) -> range::Query {
    let of_quantiles = has_quantile(&query.query);
    let quantiles = if heat && !of_quantiles { &[][..] } else { &QUANTILES[..] };
    range::Query {
        text: query.query.clone(),
        format: None,
        quantiles: quantiles.iter().map(|(quantile, _)| *quantile).collect(),
        numbers: !of_quantiles,
    }
}

/// How many values the heaviest of the queries takes at each step.
fn heaviest(sides: &[Side], wanted: &Wanted) -> Result<usize, String> {
    let mut most = 1;
    for side in sides {
        let (start, end) = (wanted.start.saturating_add(side.shift), wanted.end.saturating_add(side.shift));
        for query in &wanted.chart.queries {
            let weight = weight(&*side.source, &query.query, start, end);
            most = most.max(weight.map_err(|error| error.to_string())?);
        }
    }
    Ok(most)
}

/// The steps at which queries are evaluated, and lots of them. Lots begin at multiples of their length,
/// so that they stay what they are while the end moves.
fn grid(wanted: &Wanted, weight: usize) -> Grid {
    let interval = wanted.interval.max(1);
    let span = wanted.end.saturating_sub(wanted.start).max(0);
    let step = affordable(weight, interval, span, wanted.points);
    let steps = |span: i64| usize::try_from(span / step).unwrap_or(0).saturating_add(1);
    let per = per_lot(steps(span), wanted.points);
    let lot = step.saturating_mul(i64::try_from(per).unwrap_or(i64::MAX));
    let start = wanted.start.saturating_sub(wanted.start.rem_euclid(lot));
    Grid { start, step, count: steps(wanted.end.saturating_sub(start)), per, interval }
}

/// The series of a query, by what they are called.
fn named(of: &str, legend: &str, all: &[range::Line], per: usize) -> Vec<Line> {
    // A quantile's label is told in another way.
    let labels = |line: &range::Line| match line.quantile {
        Some(_) => line.labels.filter(|name| name != "quantile"),
        None => line.labels.clone(),
    };
    let labels: Vec<Labels> = all.iter().map(labels).collect();
    let telling = telling(&labels);
    let line = |(line, labels): (&range::Line, &Labels)| {
        let quantile = line.quantile.and_then(|is| QUANTILES.iter().find(|(quantile, _)| *quantile == is));
        let name = name_of(legend, labels, &telling, quantile.map(|(_, name)| *name));
        let (key, lots) = (format!("{of}{legend} {}", line.labels), reduce(&line.values, per));
        Line { key, name: format!("{of}{name}"), lots }
    };
    all.iter().zip(&labels).map(line).collect()
}

/// The names of labels that not all series have with the same value.
fn telling(all: &[Labels]) -> BTreeSet<Arc<str>> {
    let names = all.iter().flat_map(|labels| labels.iter().map(|(name, _)| name.clone()));
    let mut names: BTreeSet<Arc<str>> = names.collect();
    names.retain(|name| all.iter().any(|labels| labels.get(name) != all[0].get(name)));
    names
}

/// The legend with `{{label}}` and `$quantile` replaced; without one, the labels that tell it from others.
fn name_of(legend: &str, labels: &Labels, telling: &BTreeSet<Arc<str>>, quantile: Option<&str>) -> String {
    let Some(quantile) = quantile else { return text_of(legend, labels, telling) };
    if legend.contains("$quantile") {
        return text_of(&legend.replace("$quantile", quantile), labels, telling);
    }
    if legend.trim().is_empty() && telling.is_empty() {
        return quantile.into();
    }
    format!("{} {quantile}", text_of(legend, labels, telling))
}

fn text_of(legend: &str, labels: &Labels, telling: &BTreeSet<Arc<str>>) -> String {
    let mut text = String::new();
    let mut rest = legend;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((label, after)) = after.split_once("}}") else { break };
        text.push_str(before);
        text.push_str(labels.get(label.trim()));
        rest = after;
    }
    text.push_str(rest);
    let words: Vec<&str> = text.split_whitespace().collect();
    if !words.is_empty() {
        return words.join(" ");
    }
    let own = labels.filter(|name| telling.contains(name));
    match (own.is_empty(), labels.name()) {
        (true, "") => NAMELESS.into(),
        (true, name) => name.into(),
        (false, _) => {
            let pairs = own.iter().map(|(label, value)| format!("{label}={value}"));
            pairs.collect::<Vec<_>>().join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(kind: &str, span: i64, points: usize) -> Wanted {
        let chart = Arc::new(Chart {
            title: String::new(),
            description: String::new(),
            kind: kind.into(),
            unit: String::new(),
            queries: Vec::new(),
            missing: None,
        });
        Wanted { chart, start: 1_000_500, end: 1_000_500 + span, points, interval: 1000, weight: None }
    }

    #[test]
    fn steps_are_the_recordings_until_there_are_too_many() {
        let all = grid(&wanted("line", 300_000, 100), 1);
        assert_eq!((all.step, all.per), (1000, 4));
        let end = |grid: Grid| grid.start + grid.step * (grid.count as i64 - 1);
        assert_eq!(all.start % 4000, 0);
        assert!(all.start <= 1_000_500 && end(all) <= 1_300_500 && end(all) > 1_299_000);
        let fewer = grid(&wanted("line", 300_000_000, 100), 4000);
        assert_eq!(fewer.step % 1000, 0);
        assert!(fewer.count <= 550 && fewer.count > 100, "{fewer:?}");
        for (span, points) in [(0, 0), (i64::MAX - 2_000_000, 5), (1, 1), (-5, 3)] {
            let strange = grid(&wanted("heatmap", span, points), usize::MAX);
            assert!(strange.count >= 1 && strange.per >= 1 && strange.step >= 1);
        }
    }

    #[test]
    fn series_are_called_by_their_legend_or_their_labels() {
        let read = Labels::new([("op", "read"), ("sampler", "x"), ("id", "3")]);
        let write = read.with("op", "write");
        let both = telling(&[read.clone(), write]);
        let name = |legend: &str| name_of(legend, &read, &both, None);
        assert_eq!(name("{{op}} of {{ id }}"), "read of 3");
        assert_eq!(name("{{none}} "), "op=read");
        assert_eq!(name("a {{op"), "a {{op");
        let alone = telling(std::slice::from_ref(&read));
        assert_eq!(name_of("", &read, &alone, None), "value");
        assert_eq!(name_of("", &read.with("__name__", "up"), &alone, None), "up");
        let quantile = |legend: &str, telling| name_of(legend, &read, telling, Some("p50"));
        assert_eq!(quantile("$quantile of {{op}}", &both), "p50 of read");
        assert_eq!(quantile("", &both), "op=read p50");
        assert_eq!(quantile("", &alone), "p50");
        assert_eq!(quantile("it", &alone), "it p50");
    }
}

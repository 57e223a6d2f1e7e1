//! What a chart shows of a span of time: its queries evaluated, and put together into as many lots as
//! there is room for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rezolus_store::promql::{self, Value};
use rezolus_store::sample::{Values, is_stale};
use rezolus_store::{FloatHistogram, Labels, Sample, Series, Source};

use super::kind::Kind;
use crate::viewer::dashboard::Chart;
use crate::viewer::reduce::{Lots, per_lot, reduce};
use crate::viewer::text::{fill, has_quantile};

/// From how many values at all steps a query may be computed. Beyond that steps are longer than the
/// interval, and rates over as much.
const MOST_VALUES: usize = 500_000;
/// What a histogram counts as among them.
const HISTOGRAM: usize = 16;
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
    /// How it is drawn, which with several sides may differ from what the chart says.
    pub kind: Kind,
    /// Of parts of a whole: for each lot the greatest whole.
    pub total: Option<Vec<f64>>,
    pub weight: usize,
    pub notes: Vec<String>,
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

/// How often which values occurred.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heat {
    /// Of the buckets, ascending.
    pub bounds: Vec<(f64, f64)>,
    /// For each lot the buckets in which there is something.
    pub lots: Vec<Vec<(usize, f64)>>,
}

impl Heat {
    /// Below which this part of a lot's values is; NaN if it has none.
    pub fn quantile(&self, lot: usize, part: f64) -> f64 {
        let Some(cells) = self.lots.get(lot) else { return f64::NAN };
        let total: f64 = cells.iter().map(|(_, count)| count).sum();
        let mut before = 0.0;
        for &(bucket, count) in cells {
            if before + count >= total * part {
                let (low, high) = self.bounds[bucket];
                return if high.is_finite() {
                    low + (high - low) * (total * part - before) / count
                } else {
                    low
                };
            }
            before += count;
        }
        f64::NAN
    }
}

/// The steps at which queries are evaluated, and lots of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Grid {
    start: i64,
    step: i64,
    steps: usize,
    per: usize,
}

impl Grid {
    /// At the recording's own interval if that is not too many values. Lots begin at multiples of
    /// their length, so that they stay what they are while the end moves.
    fn new(wanted: &Wanted, weight: usize) -> Self {
        let interval = wanted.interval.max(1);
        let span = wanted.end.saturating_sub(wanted.start).max(0);
        let most = (MOST_VALUES / weight.max(1)).max(wanted.points).max(1);
        let ticks = usize::try_from(span / interval + 1).unwrap_or(usize::MAX);
        let every = i64::try_from(ticks.div_ceil(most)).unwrap_or(i64::MAX);
        let step = interval.saturating_mul(every);
        let per = per_lot(usize::try_from(span / step + 1).unwrap_or(usize::MAX), wanted.points);
        let lot = step.saturating_mul(i64::try_from(per).unwrap_or(i64::MAX));
        let start = wanted.start.saturating_sub(wanted.start.rem_euclid(lot));
        let steps = (wanted.end.saturating_sub(start).max(0) / step + 1).min(4_000_000);
        Self { start, step, steps: steps as usize, per }
    }

    fn end(&self) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(self.steps as i64 - 1))
    }

    fn at(&self, time: i64) -> Option<usize> {
        let step = usize::try_from(time.checked_sub(self.start)? / self.step).ok()?;
        (step < self.steps).then_some(step)
    }

    /// At each step, NaN where there is nothing.
    fn floats(&self, samples: impl Iterator<Item = (i64, f64)>) -> Vec<f64> {
        let mut values = vec![f64::NAN; self.steps];
        for (time, value) in samples {
            if let Some(step) = self.at(time).filter(|_| !is_stale(value)) {
                values[step] = value;
            }
        }
        values
    }
}

/// Evaluates a chart's queries.
///
/// # Errors
///
/// When one cannot be evaluated, in the words of the engine.
pub fn ask(sides: &[Side], wanted: &Wanted, canceled: &Arc<AtomicBool>) -> Result<Drawn, String> {
    let weight = match wanted.weight {
        Some(weight) => weight,
        None => weigh(sides, wanted)?,
    };
    let grid = Grid::new(wanted, weight);
    let over = grid.step.max(wanted.interval).saturating_mul(2);
    let options = promql::Options {
        deadline: Some(Instant::now() + LONGEST),
        canceled: Some(canceled.clone()),
        ..promql::Options::default()
    };
    let mut found = Found::new(grid, Kind::of(&wanted.chart.kind), sides.len() > 1);
    let over = format!("{}ms", (over / 1_000_000).max(1));
    for side in sides {
        let (start, end) = (grid.start.saturating_add(side.shift), grid.end().saturating_add(side.shift));
        for (text, legend) in filled(&wanted.chart, &over) {
            let answer = promql::range(&*side.source, &text, start, end, grid.step, &options)
                .map_err(|error| error.to_string())?;
            found.notes.extend(answer.notes.warnings);
            if let Value::Matrix(all) = answer.value {
                found.take(side, &legend, all);
            }
        }
    }
    Ok(found.drawn(weight))
}

/// How many values the heaviest of the queries takes at each step.
fn weigh(sides: &[Side], wanted: &Wanted) -> Result<usize, String> {
    let told = |error: promql::Error| error.to_string();
    let mut most = 1;
    for side in sides {
        let kinds = side.source.metadata();
        let (start, end) = (wanted.start.saturating_add(side.shift), wanted.end.saturating_add(side.shift));
        for (text, _) in filled(&wanted.chart, "1s") {
            let mut weight = 0;
            for matchers in promql::selects(&text).map_err(told)?.selectors {
                for labels in side.source.series(&matchers, start, end).map_err(told)? {
                    let histogram = kinds.get(labels.name()).is_some_and(|known| known.kind == "histogram");
                    weight += if histogram { HISTOGRAM } else { 1 };
                }
            }
            most = most.max(weight);
        }
    }
    Ok(most)
}

/// The queries with their places filled in, and legends: for each of the quantiles one, if they
/// speak of them.
fn filled(chart: &Chart, over: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for query in &chart.queries {
        let quantiles = if has_quantile(&query.query) { &QUANTILES[..] } else { &[(0.0, "")][..] };
        let one = |(part, name): &(f64, &str)| {
            (fill(&query.query, over, &part.to_string()), with_quantile(&query.legend, name))
        };
        all.extend(quantiles.iter().map(one));
    }
    all
}

/// What has been found so far.
struct Found {
    grid: Grid,
    kind: Kind,
    /// Whether series have to say of which side they are.
    several: bool,
    lines: Vec<Line>,
    /// At each step the sum of the lines.
    total: Vec<f64>,
    /// Of each lot: what is in the buckets with these (upper) bounds.
    counts: Vec<HashMap<u64, f64>>,
    /// Lower bounds by upper ones.
    bounds: HashMap<u64, f64>,
    notes: BTreeSet<String>,
}

impl Found {
    fn new(grid: Grid, kind: Kind, several: bool) -> Self {
        // What is to be compared does not add up.
        let kind = if several && kind == Kind::Stacked { Kind::Line } else { kind };
        let (counts, bounds) = (Vec::new(), HashMap::new());
        Self {
            grid,
            kind,
            several,
            lines: Vec::new(),
            total: Vec::new(),
            counts,
            bounds,
            notes: BTreeSet::new(),
        }
    }

    fn take(&mut self, side: &Side, legend: &str, all: Vec<Series>) {
        let telling = telling(&all);
        for series in all {
            let samples = series.samples.unpacked();
            let mixed = !matches!(samples.values, Values::Floats(_));
            let name = name_of(legend, &series.labels, &telling);
            let of = if self.several { format!("{}: ", side.name) } else { String::new() };
            let key = format!("{of}{legend} {}", series.labels);
            let samples = samples.iter().map(|(time, sample)| (time.saturating_sub(side.shift), sample));
            if !mixed {
                let floats = samples.filter_map(|(time, sample)| match sample {
                    Sample::Float(value) => Some((time, value)),
                    Sample::Histogram(_) => None,
                });
                let values = self.grid.floats(floats);
                if self.kind == Kind::Stacked {
                    self.add(&values);
                }
                let name = format!("{of}{name}");
                self.lines.push(Line { key, name, lots: reduce(&values, self.grid.per) });
                continue;
            }
            let histograms = samples.filter_map(|(time, sample)| match sample {
                Sample::Histogram(histogram) => Some((time, histogram)),
                Sample::Float(_) => None,
            });
            if self.kind == Kind::Heatmap && !self.several {
                histograms.for_each(|(time, histogram)| self.count(time, &histogram));
                continue;
            }
            // Counts of several sides would be one heap: their quantiles can be told apart.
            self.kind = Kind::Percentiles;
            let histograms: Vec<(i64, Arc<FloatHistogram>)> = histograms.collect();
            let plain = if legend.trim().is_empty() && telling.is_empty() { "" } else { &name };
            for (quantile, short) in QUANTILES {
                let values =
                    histograms.iter().map(|(time, histogram)| (*time, histogram.quantile(quantile).0));
                let lots = reduce(&self.grid.floats(values), self.grid.per);
                let name = format!("{of}{plain} {short}").replace("  ", " ").trim().into();
                self.lines.push(Line { key: format!("{key} {short}"), name, lots });
            }
        }
    }

    /// Adds to the whole.
    fn add(&mut self, values: &[f64]) {
        self.total.resize(values.len(), f64::NAN);
        for (sum, value) in self.total.iter_mut().zip(values).filter(|(_, value)| !value.is_nan()) {
            *sum = if sum.is_nan() { *value } else { *sum + value };
        }
    }

    fn count(&mut self, time: i64, histogram: &FloatHistogram) {
        let Some(step) = self.grid.at(time) else { return };
        let lots = self.grid.steps.div_ceil(self.grid.per);
        self.counts.resize_with(lots, HashMap::new);
        let cells = &mut self.counts[step / self.grid.per];
        for bucket in histogram.buckets() {
            // The negation takes NaN too.
            if !(bucket.count > 0.0 && bucket.count.is_finite()) || bucket.upper.is_nan() {
                continue;
            }
            self.bounds.entry(bucket.upper.to_bits()).or_insert(bucket.lower);
            *cells.entry(bucket.upper.to_bits()).or_insert(0.0) += bucket.count;
        }
    }

    fn drawn(self, weight: usize) -> Drawn {
        let (grid, per) = (self.grid, self.grid.per);
        let body = if self.counts.is_empty() {
            Body::Lines(self.lines)
        } else {
            Body::Heat(heat(&self.bounds, &self.counts))
        };
        Drawn {
            start: grid.start,
            lot: grid.step.saturating_mul(i64::try_from(per).unwrap_or(i64::MAX)),
            count: grid.steps.div_ceil(per),
            reduced: per > 1,
            body,
            kind: self.kind,
            total: (!self.total.is_empty()).then(|| reduce(&self.total, per).greatest),
            weight,
            notes: self.notes.into_iter().collect(),
        }
    }
}

fn heat(bounds: &HashMap<u64, f64>, counts: &[HashMap<u64, f64>]) -> Heat {
    let mut sorted: Vec<(f64, f64)> =
        bounds.iter().map(|(upper, lower)| (*lower, f64::from_bits(*upper))).collect();
    sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
    let index: BTreeMap<u64, usize> =
        sorted.iter().enumerate().map(|(at, (_, upper))| (upper.to_bits(), at)).collect();
    let lot = |cells: &HashMap<u64, f64>| {
        let mut cells: Vec<(usize, f64)> =
            cells.iter().map(|(upper, count)| (index[upper], *count)).collect();
        cells.sort_unstable_by_key(|(bucket, _)| *bucket);
        cells
    };
    Heat { lots: counts.iter().map(lot).collect(), bounds: sorted }
}

fn with_quantile(legend: &str, name: &str) -> String {
    if legend.contains("$quantile") {
        return legend.replace("$quantile", name);
    }
    format!("{legend} {name}").trim().into()
}

/// The names of labels that not all series have with the same value.
fn telling(all: &[Series]) -> BTreeSet<Arc<str>> {
    let names = all.iter().flat_map(|series| series.labels.iter().map(|(name, _)| name.clone()));
    let differs =
        |name: &Arc<str>| all.iter().any(|series| series.labels.get(name) != all[0].labels.get(name));
    let mut names: BTreeSet<Arc<str>> = names.collect();
    names.retain(differs);
    names
}

/// The legend with `{{label}}` replaced; without one, the labels that tell it from others.
fn name_of(legend: &str, labels: &Labels, telling: &BTreeSet<Arc<str>>) -> String {
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
    use rezolus_store::Samples;

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
        let grid = Grid::new(&wanted("line", 300_000, 100), 1);
        assert_eq!((grid.step, grid.per), (1000, 4));
        assert_eq!(grid.start % 4000, 0);
        assert!(grid.start <= 1_000_500 && grid.end() <= 1_300_500 && grid.end() > 1_299_000);
        let grid = Grid::new(&wanted("line", 300_000_000, 100), 1000);
        assert_eq!(grid.step % 1000, 0);
        assert!(grid.steps <= 550 && grid.steps > 100, "{grid:?}");
        for (span, points) in [(0, 0), (i64::MAX - 2_000_000, 5), (1, 1), (-5, 3)] {
            let grid = Grid::new(&wanted("heatmap", span, points), usize::MAX);
            assert!(grid.steps >= 1 && grid.per >= 1 && grid.step >= 1);
        }
    }

    #[test]
    fn series_are_called_by_their_legend_or_their_labels() {
        let series =
            |pairs: [(&str, &str); 3]| Series { labels: Labels::new(pairs), samples: Samples::new([]) };
        let read = series([("op", "read"), ("sampler", "x"), ("id", "3")]);
        let write = series([("op", "write"), ("sampler", "x"), ("id", "3")]);
        let name = |legend: &str| name_of(legend, &read.labels, &telling(&[read.clone(), write.clone()]));
        assert_eq!(name("{{op}} of {{ id }}"), "read of 3");
        assert_eq!(name("{{none}} "), "op=read");
        assert_eq!(name("a {{op"), "a {{op");
        let alone = telling(std::slice::from_ref(&read));
        assert_eq!(name_of("", &read.labels, &alone), "value");
        assert_eq!(name_of("", &read.labels.with("__name__", "up"), &alone), "up");
        assert_eq!(with_quantile("$quantile of it", "p50"), "p50 of it");
        assert_eq!(with_quantile("", "p50"), "p50");
    }
}

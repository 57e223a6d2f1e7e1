//! What scripts load, kept as Prometheus' own storage would hand it out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rezolus_store::histogram::{ResetHint, Span};
use rezolus_store::labels::NAME;
use rezolus_store::memory::Memory;
use rezolus_store::{FloatHistogram, Labels, Sample};

use crate::script::Load;
use crate::series::Description;

/// The schema of histograms with custom buckets.
const CUSTOM: i32 = -53;

/// Series of all loads since the last `clear`.
#[derive(Default)]
pub struct Storage {
    pub memory: Memory,
    /// Of each series the last sample, as the script gives it.
    last: HashMap<Labels, (i64, Sample)>,
}

impl Storage {
    pub fn load(&mut self, load: &Load) -> Result<(), String> {
        for series in &load.series {
            let points = timed(series, load.step);
            for (time, sample) in points {
                self.append(&series.labels, time, sample)?;
            }
        }
        if load.nhcb {
            for (labels, histograms) in converted(load)? {
                for (time, histogram) in histograms {
                    self.append(&labels, time, Sample::Histogram(Arc::new(histogram)))?;
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, labels: &Labels, time: i64, sample: Sample) -> Result<(), String> {
        let last = self.last.get(labels);
        if let Some((last_time, last)) = last {
            if time < *last_time {
                return Err(format!("{labels}: out of order sample"));
            }
            if time == *last_time {
                return if same(last, &sample) {
                    Ok(())
                } else {
                    Err(format!("{labels}: another sample for the same time"))
                };
            }
        }
        let stored = match &sample {
            Sample::Float(_) => sample.clone(),
            Sample::Histogram(histogram) => {
                let mut histogram = (**histogram).clone();
                histogram.hint = stored_hint(last.map(|(_, last)| last), &histogram);
                Sample::Histogram(Arc::new(histogram))
            }
        };
        self.memory.append(labels, time, stored);
        self.last.insert(labels.clone(), (time, sample));
        Ok(())
    }
}

fn same(a: &Sample, b: &Sample) -> bool {
    match (a, b) {
        (Sample::Float(a), Sample::Float(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

fn timed(series: &Description, step: i64) -> impl Iterator<Item = (i64, Sample)> {
    let points = series.points.iter().enumerate();
    points.filter_map(move |(at, point)| Some((step.checked_mul(at as i64)?, point.as_ref()?.sample.clone())))
}

/// The hint with which Prometheus' storage gives back a histogram. It keeps no
/// hints but one per chunk: what follows in a chunk is known not to be a reset,
/// and a reset, another layout, a mark of staleness or a float begins a new chunk.
fn stored_hint(last: Option<&Sample>, new: &FloatHistogram) -> ResetHint {
    match new.hint {
        ResetHint::Gauge => return ResetHint::Gauge,
        ResetHint::Reset => return ResetHint::Reset,
        ResetHint::Unknown | ResetHint::NotReset => {}
    }
    let Some(Sample::Histogram(last)) = last else { return ResetHint::Unknown };
    if last.hint == ResetHint::Gauge {
        return ResetHint::Unknown;
    }
    if new.count < last.count {
        return ResetHint::Reset;
    }
    let custom = new.schema == CUSTOM && new.custom_values != last.custom_values;
    if new.schema != last.schema || new.zero_threshold != last.zero_threshold || custom {
        return ResetHint::Unknown;
    }
    let fewer = |new: BTreeMap<i64, f64>, last: BTreeMap<i64, f64>| {
        last.iter().any(|(index, count)| new.get(index).copied().unwrap_or(0.0) < *count)
    };
    let reset = new.zero_count < last.zero_count
        || fewer(positive(new), positive(last))
        || fewer(negative(new), negative(last));
    if reset { ResetHint::Reset } else { ResetHint::NotReset }
}

/// The hint of two histograms taken together.
pub fn combined_hint(a: ResetHint, b: ResetHint) -> ResetHint {
    if a == b {
        a
    } else if a == ResetHint::Gauge || b == ResetHint::Gauge {
        ResetHint::Gauge
    } else {
        ResetHint::Unknown
    }
}

/// Counts of the buckets that are not empty, by their indexes.
pub fn positive(histogram: &FloatHistogram) -> BTreeMap<i64, f64> {
    buckets(&histogram.positive_spans, &histogram.positive_buckets)
}

pub fn negative(histogram: &FloatHistogram) -> BTreeMap<i64, f64> {
    buckets(&histogram.negative_spans, &histogram.negative_buckets)
}

fn buckets(spans: &[Span], counts: &[f64]) -> BTreeMap<i64, f64> {
    let mut next = 0i64;
    let indexes = spans.iter().flat_map(|span| {
        let first = next + i64::from(span.offset);
        next = first + i64::from(span.length);
        first..next
    });
    indexes.zip(counts.iter().copied()).filter(|(_, count)| *count != 0.0).collect()
}

/// A classic histogram at a time.
#[derive(Default)]
struct Classic {
    /// Upper bounds and cumulative counts, in the order of bounds.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

type Converted = BTreeMap<Labels, BTreeMap<i64, FloatHistogram>>;

/// The classic histograms among the series, as histograms with custom buckets
/// under the base name.
fn converted(load: &Load) -> Result<Converted, String> {
    let mut classics: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
    for series in &load.series {
        let name = series.labels.name();
        let bound: Option<f64> = series.labels.get("le").parse().ok().filter(|le: &f64| !le.is_nan());
        let (base, part): (&str, fn(&mut Classic, f64, f64)) = match bound {
            Some(_) if name.ends_with("_bucket") => {
                (name.trim_end_matches("_bucket"), |classic, bound, value| classic.add(bound, value))
            }
            _ if name.ends_with("_count") => {
                (name.trim_end_matches("_count"), |classic, _, value| classic.count = Some(value))
            }
            _ if name.ends_with("_sum") => {
                (name.trim_end_matches("_sum"), |classic, _, value| classic.sum = value)
            }
            _ => continue,
        };
        let labels = series.labels.filter(|label| label != "le").with(NAME, base);
        let times = classics.entry(labels).or_default();
        for (time, sample) in timed(series, load.step) {
            if let (Sample::Float(value), false) = (&sample, sample.is_stale()) {
                part(times.entry(time).or_default(), bound.unwrap_or_default(), *value);
            }
        }
    }
    let native = |(labels, times): (Labels, BTreeMap<i64, Classic>)| {
        let histograms = times.into_iter().map(|(time, classic)| {
            let histogram = classic.convert().map_err(|why| format!("{labels}: {why}"))?;
            Ok((time, histogram))
        });
        Ok((labels.clone(), histograms.collect::<Result<_, String>>()?))
    };
    classics.into_iter().map(native).collect()
}

impl Classic {
    fn add(&mut self, bound: f64, count: f64) {
        let at = self.buckets.partition_point(|(known, _)| *known < bound);
        if self.buckets.get(at).is_none_or(|(known, _)| *known != bound) {
            self.buckets.insert(at, (bound, count));
        }
    }

    fn convert(mut self) -> Result<FloatHistogram, String> {
        let total = self.count.or_else(|| self.buckets.last().map(|(_, count)| *count)).unwrap_or(0.0);
        if self.buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, total));
        }
        let mut before = 0.0;
        let mut counts = Vec::with_capacity(self.buckets.len());
        for (bound, count) in &self.buckets {
            if count < &before {
                return Err(format!("the bucket le={bound} has less than the one before"));
            }
            counts.push(count - before);
            before = *count;
        }
        if before != total {
            return Err(format!("the buckets have {before}, the count is {total}"));
        }
        let bounds = &self.buckets[..self.buckets.len() - 1];
        Ok(FloatHistogram {
            schema: CUSTOM,
            count: total,
            sum: self.sum,
            positive_spans: vec![Span { offset: 0, length: counts.len() as u32 }],
            positive_buckets: counts,
            custom_values: bounds.iter().map(|(bound, _)| *bound).collect(),
            ..FloatHistogram::default()
        })
    }
}

//! Makes snapshots of what a Prometheus exporter shows.
//!
//! Snapshots have whole numbers and H2 histograms, so:
//!
//! * Counters and gauges are cut off to whole numbers, as existing recordings
//!   have them, and queries for those expect them. As soon as a metric has had
//!   a fraction, each of its series has a second one beside it that keeps it:
//!   `NAME_millionths`, of the same kind and labels, in millionths of the unit.
//!   The factor is the same for all, since one that depends on the values would
//!   change with them. NaN, infinities and what does not fit are no reading.
//! * Histograms have the grouping power 7. The count of a bucket is at the
//!   bucket's upper bound, in nanoseconds for `NAME_seconds`, and otherwise
//!   times the power of ten that makes the smallest bound 1 or more. What is
//!   above the last bound is in `NAME_count` only.
//! * Summaries are gauges with the label `quantile`, counts and sums counters.
//! * `_created` of a counter, a histogram or a summary is left out.
//!
//! Characters of names that are neither letters nor digits become `_`. Labels
//! with the names that descriptions have a use for get the prefix `exported_`,
//! but for `unit`, which says what it says here.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::exposition::{self, Exposition, Labels, Malformed, Sample, Type, Value};
use crate::snapshot::{Group, GroupSchema, LINE, Line, MetricDesc, Numbers, Shape, Snapshot};

/// As the histograms of Prometheus have always been recorded.
const GROUPING_POWER: u8 = 7;
/// The least such a histogram reaches.
const LEAST_MAX_VALUE_POWER: u8 = 8;
/// Bounds below 10^-18 are nothing.
const MOST_DIGITS: usize = 18;
/// Keys of descriptions that are not labels.
const RESERVED: [&str; 4] = ["metric", "metric_type", "grouping_power", "max_value_power"];
/// What a metric's fractions are called.
const FRACTIONS: &str = "_millionths";

/// What stays the same from one page to the next.
#[derive(Default)]
pub struct Cache {
    known: Option<Known>,
    /// Metrics that have had a fraction.
    fractional: BTreeSet<String>,
    descriptions: BTreeMap<String, String>,
}

/// The series a schema was made of.
struct Known {
    schema: Arc<GroupSchema>,
    hash: (u64, u64),
    counters: Vec<Series<'static>>,
    gauges: Vec<Series<'static>>,
    histograms: Vec<(Series<'static>, Layout)>,
}

/// What tells a series apart from others of its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Series<'a> {
    name: Cow<'a, str>,
    labels: Labels<'a>,
}

/// How the bounds of a metric's histograms become whole numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Layout {
    scale: f64,
    max_value_power: u8,
}

/// Everything on a page, sorted.
#[derive(Default)]
struct Page<'a> {
    counters: Vec<(Series<'a>, Value)>,
    gauges: Vec<(Series<'a>, Value)>,
    /// With upper bounds and, for each, how many values are up to it.
    histograms: Vec<(Series<'a>, Vec<(f64, u64)>)>,
}

/// What a sample is part of.
enum Role {
    Counter,
    Gauge,
    /// Of a histogram, with its upper bound.
    Bucket(f64),
    Nothing,
}

impl Cache {
    /// The page as a snapshot. The schema is that of the page before if the
    /// series are.
    ///
    /// # Errors
    ///
    /// When the page is not in the format.
    pub fn snapshot(
        &mut self,
        text: &str,
        source: &str,
        systemtime: SystemTime,
        duration: Duration,
    ) -> Result<Snapshot, Malformed> {
        let exposition = exposition::parse(text)?;
        let page = self.page(&exposition);
        let layouts = layouts(&page.histograms);
        let known = match self.known.take() {
            Some(known) if known.is_of(&page, &layouts) => known,
            _ => {
                let names: HashSet<&str> = page.names().collect();
                self.fractional.retain(|name| names.contains(name.as_str()));
                self.descriptions = descriptions(&exposition, &names);
                Known::new(&page, &layouts, &exposition.units)
            }
        };
        let mut numbers = Numbers {
            counters: page.counters.iter().map(|(_, value)| whole(*value)).collect(),
            gauges: page.gauges.iter().map(|(_, value)| whole(*value)).collect(),
            ..Default::default()
        };
        for ((_, bounds), layout) in page.histograms.iter().zip(&layouts) {
            layout.push(bounds, &mut numbers);
        }
        let group = Group {
            name: "prometheus/main".into(),
            schema: known.schema.clone(),
            hash: known.hash,
            lengths: numbers.lengths(),
        };
        self.known = Some(known);
        let metadata = vec![("source".into(), source.to_string())];
        Ok(Snapshot { systemtime, duration, metadata, groups: vec![group], numbers })
    }

    /// What the metrics mean, as the page said when its series last changed.
    pub fn descriptions(&self) -> &BTreeMap<String, String> {
        &self.descriptions
    }

    fn page<'a>(&mut self, exposition: &Exposition<'a>) -> Page<'a> {
        let mut page = Page::default();
        let mut histograms: BTreeMap<Series<'a>, Vec<(f64, u64)>> = BTreeMap::new();
        for sample in &exposition.samples {
            let series = Series::new(&sample.name, &sample.labels);
            match exposition.role(sample) {
                Role::Counter => page.counters.push((series, sample.value)),
                Role::Gauge => page.gauges.push((series, sample.value)),
                Role::Bucket(bound) => {
                    let bounds = histograms.entry(series.of_bucket()).or_default();
                    bounds.extend(whole(sample.value).map(|count| (bound, count)));
                }
                Role::Nothing => {}
            }
        }
        page.histograms = histograms.into_iter().collect();
        for (_, bounds) in &mut page.histograms {
            bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        for series in [&mut page.counters, &mut page.gauges] {
            self.add_fractions(series);
            series.sort_by(|a, b| a.0.cmp(&b.0));
            let before = series.len();
            series.dedup_by(|b, a| a.0 == b.0);
            if series.len() < before {
                // The first one counts, as it does for Prometheus.
                tracing::debug!("{} series are there twice", before - series.len());
            }
        }
        page
    }

    /// Adds the series that keep what cutting off loses.
    fn add_fractions(&mut self, all: &mut Vec<(Series<'_>, Value)>) {
        for (series, value) in all.iter() {
            let value = value.as_f64();
            if value.is_finite() && value.fract() != 0.0 && !self.fractional.contains(&*series.name) {
                self.fractional.insert(series.name.to_string());
            }
        }
        for at in 0..all.len() {
            let (series, value) = &all[at];
            if self.fractional.contains(&*series.name) {
                let name = format!("{}{FRACTIONS}", series.name).into();
                // It is not the unit that is counted here.
                let labels = series.labels.iter().filter(|(label, _)| label != "unit").cloned().collect();
                let value = Value::Float((value.as_f64() * 1e6).round());
                all.push((Series { name, labels }, value));
            }
        }
    }
}

impl Exposition<'_> {
    fn role(&self, sample: &Sample<'_>) -> Role {
        let name = &*sample.name;
        match self.types.get(name) {
            Some(Type::Counter) => return Role::Counter,
            None | Some(Type::Untyped) => {}
            Some(_) => return Role::Gauge,
        }
        let typed = |suffix| name.strip_suffix(suffix).map(|base| self.types.get(base).copied());
        if let Some(kind) = typed("_bucket")
            && kind != Some(Type::GaugeHistogram)
            && let Some((_, bound)) = sample.labels.iter().find(|(label, _)| label == "le")
            && let Ok(bound) = bound.parse::<f64>()
            && !bound.is_nan()
        {
            return Role::Bucket(bound);
        }
        if let Some(Some(Type::Counter | Type::Histogram | Type::Summary)) = typed("_created") {
            return Role::Nothing;
        }
        let counter = ["_total", "_sum", "_count"].iter().any(|suffix| name.ends_with(suffix));
        if counter { Role::Counter } else { Role::Gauge }
    }
}

impl<'a> Series<'a> {
    fn new(name: &Cow<'a, str>, labels: &Labels<'a>) -> Self {
        let labels = labels.iter().filter(|(_, value)| !value.is_empty()).map(|(label, value)| {
            let label = match plain(label) {
                label if RESERVED.contains(&&*label) => format!("exported_{label}").into(),
                label => label,
            };
            (label, value.clone())
        });
        Self { name: plain(name), labels: labels.collect() }
    }

    /// That of the histogram a bucket is of.
    fn of_bucket(mut self) -> Self {
        self.labels.retain(|(label, _)| label != "le");
        const SUFFIX: &str = "_bucket";
        self.name = match self.name {
            Cow::Borrowed(name) => Cow::Borrowed(name.strip_suffix(SUFFIX).unwrap_or(name)),
            Cow::Owned(name) => Cow::Owned(name.strip_suffix(SUFFIX).unwrap_or(&name).to_string()),
        };
        self
    }

    fn to_static(&self) -> Series<'static> {
        let owned = |text: &Cow<'_, str>| Cow::Owned(text.to_string());
        Series {
            name: owned(&self.name),
            labels: self.labels.iter().map(|(label, value)| (owned(label), owned(value))).collect(),
        }
    }

    /// Name and label values, joined by `/`, and something more if it must be.
    fn column(&self, taken: &mut HashMap<String, usize>) -> String {
        let values = self.labels.iter().map(|(_, value)| &**value);
        let mut column = std::iter::once(&*self.name).chain(values).collect::<Vec<_>>().join("/");
        // The next number is remembered: whoever has many that are the same
        // would be searched through for each of them.
        while let Some(number) = taken.get_mut(&column) {
            *number += 1;
            column = format!("{column}#{number}");
        }
        taken.insert(column.clone(), 1);
        column
    }

    fn describe(&self, unit: Option<&str>, taken: &mut HashMap<String, usize>) -> MetricDesc {
        let labels = self.labels.iter().map(|(label, value)| (label.to_string(), value.to_string()));
        let mut metadata: BTreeMap<String, String> = labels.collect();
        metadata.insert("metric".into(), self.name.to_string());
        if let Some(unit) = unit {
            metadata.insert("unit".into(), unit.into());
        }
        MetricDesc { name: self.column(taken), metadata }
    }
}

/// A name of letters, digits and `_`, not a digit first.
fn plain<'a>(name: &Cow<'a, str>) -> Cow<'a, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let digit = name.starts_with(|c: char| c.is_ascii_digit());
    if !digit && name.chars().all(fits) {
        return name.clone();
    }
    let underscore = if digit { "_" } else { "" };
    format!("{underscore}{}", name.replace(|c| !fits(c), "_")).into()
}

impl Page<'_> {
    fn names(&self) -> impl Iterator<Item = &str> {
        let scalars = self.counters.iter().chain(&self.gauges).map(|(series, _)| &*series.name);
        scalars.chain(self.histograms.iter().map(|(series, _)| &*series.name))
    }
}

impl Known {
    fn new(page: &Page<'_>, layouts: &[Layout], units: &HashMap<Cow<'_, str>, &str>) -> Self {
        let mut taken = HashMap::new();
        let unit = |name: &str| {
            let base = name.strip_suffix("_total").or(name.strip_suffix("_sum")).unwrap_or(name);
            units.get(name).or_else(|| units.get(base)).copied()
        };
        let mut schema = GroupSchema::default();
        for (series, _) in &page.counters {
            schema.counters.push(series.describe(unit(&series.name), &mut taken));
        }
        for (series, _) in &page.gauges {
            schema.gauges.push(series.describe(unit(&series.name), &mut taken));
        }
        for ((series, _), layout) in page.histograms.iter().zip(layouts) {
            let unit = if is_seconds(&series.name) { Some("nanoseconds") } else { None };
            let mut described = series.describe(unit, &mut taken);
            described.metadata.insert("grouping_power".into(), GROUPING_POWER.to_string());
            described.metadata.insert("max_value_power".into(), layout.max_value_power.to_string());
            schema.histograms.push(described);
        }
        let histograms = page.histograms.iter().zip(layouts);
        Self {
            hash: schema.hash(),
            schema: Arc::new(schema),
            counters: page.counters.iter().map(|(series, _)| series.to_static()).collect(),
            gauges: page.gauges.iter().map(|(series, _)| series.to_static()).collect(),
            histograms: histograms.map(|((series, _), layout)| (series.to_static(), *layout)).collect(),
        }
    }

    fn is_of(&self, page: &Page<'_>, layouts: &[Layout]) -> bool {
        let histograms = page.histograms.iter().map(|(series, _)| series).zip(layouts);
        self.counters.iter().eq(page.counters.iter().map(|(series, _)| series))
            && self.gauges.iter().eq(page.gauges.iter().map(|(series, _)| series))
            && self.histograms.iter().map(|(series, layout)| (series, layout)).eq(histograms)
    }
}

/// What HELP says of the metrics there are; OpenMetrics says it of what they
/// have in common.
fn descriptions(exposition: &Exposition<'_>, names: &HashSet<&str>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, help) in &exposition.help {
        for suffix in ["", "_total", "_sum", "_count"] {
            let name = format!("{}{suffix}", plain(name));
            // What is said of a name itself wins over what is said of its base.
            if names.contains(name.as_str())
                && !help.is_empty()
                && (suffix.is_empty() || !all.contains_key(&name))
            {
                all.insert(name, help.to_string());
            }
        }
    }
    all
}

/// The whole part of a value, if it fits.
fn whole<T: TryFrom<i128>>(value: Value) -> Option<T> {
    match value {
        Value::Whole(value) => value.try_into().ok(),
        // Beyond 2^126 nothing fits, and the conversion would saturate.
        Value::Float(value) if value.abs() < 2f64.powi(126) => (value as i128).try_into().ok(),
        Value::Float(_) => None,
    }
}

fn is_seconds(name: &str) -> bool {
    name.ends_with("_seconds")
}

/// For each of the histograms how its bounds become whole numbers. Those of one
/// metric share it, because readers take that of the first for all.
fn layouts(histograms: &[(Series<'_>, Vec<(f64, u64)>)]) -> Vec<Layout> {
    let mut layouts = Vec::with_capacity(histograms.len());
    // They are sorted by name.
    for same in histograms.chunk_by(|a, b| a.0.name == b.0.name) {
        let bounds = same.iter().flat_map(|(_, bounds)| bounds).map(|(bound, _)| *bound);
        let bounds = bounds.filter(|bound| bound.is_finite() && *bound > 0.0);
        let (least, most) =
            bounds.fold((f64::INFINITY, 0.0), |(least, most): (f64, f64), x| (least.min(x), most.max(x)));
        let scale = match is_seconds(&same[0].0.name) {
            true => 1e9,
            false => {
                let powers = (0..=MOST_DIGITS).map(|digits| 10f64.powi(digits as i32));
                powers.clone().find(|power| least * power >= 1.0 - 1e-9).unwrap_or(1e18)
            }
        };
        let bits = (most * scale).log2().ceil() + 1.0;
        // The logarithm of zero is below all limits.
        let max_value_power = bits.clamp(LEAST_MAX_VALUE_POWER.into(), 64.0) as u8;
        layouts.extend(same.iter().map(|_| Layout { scale, max_value_power }));
    }
    layouts
}

impl Layout {
    /// Appends a histogram by its bounds, ascending, and how many values are
    /// up to each.
    fn push(self, bounds: &[(f64, u64)], numbers: &mut Numbers) {
        let before = numbers.lines.len();
        let mut below = 0;
        for &(bound, count) in bounds.iter().filter(|(bound, _)| *bound != f64::INFINITY) {
            let own = count.saturating_sub(below);
            below = below.max(count);
            if own == 0 {
                continue;
            }
            // Bounds below zero become zero, those beyond 2^64 the highest value.
            let index = bucket((bound * self.scale).round() as u64);
            let number = (index / LINE) as u16;
            if numbers.lines.len() == before || numbers.lines.last().is_none_or(|line| line.number != number)
            {
                numbers.lines.push(Line { number, counts: [0; LINE] });
            }
            if let Some(line) = numbers.lines.last_mut() {
                line.counts[index % LINE] = line.counts[index % LINE].saturating_add(own);
            }
        }
        let lines = (numbers.lines.len() - before) as u16;
        let (grouping_power, max_value_power) = (GROUPING_POWER, self.max_value_power);
        numbers.histograms.push(Some(Shape { grouping_power, max_value_power, lines }));
    }
}

/// The bucket of a value. Formula: the histogram crate's, whose own is private.
fn bucket(value: u64) -> usize {
    const EXACT: u64 = 2 << GROUPING_POWER;
    if value < EXACT {
        return value as usize;
    }
    let power = 63 - value.leading_zeros() as usize;
    let g = usize::from(GROUPING_POWER);
    (EXACT as usize) + ((power - g - 1) << g) + ((value - (1 << power)) >> (power - g)) as usize
}

#[cfg(test)]
mod tests;

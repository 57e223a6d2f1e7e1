//! What there is to say of a series' windows: noted as bits while they are
//! evaluated, as texts when the series is done.

use crate::float::format_short;
use crate::histogram::NanNote;
use crate::promql::Notes;

/// A reason for an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    MixedFloatsHistograms,
    IgnoredHistograms,
    MaybeNoCounter,
    NotCounter,
    NotGauge,
    MixedSchemas,
    ReconciledAddition,
    ReconciledSubtraction,
    ReconciledAggregation,
    ResetCollision,
    QuantileNan,
    QuantileSkewed,
    FractionNan,
    MixedClassicNative,
    ForcedMonotonic,
}

const ALL: [Remark; 15] = [
    Remark::MixedFloatsHistograms,
    Remark::IgnoredHistograms,
    Remark::MaybeNoCounter,
    Remark::NotCounter,
    Remark::NotGauge,
    Remark::MixedSchemas,
    Remark::ReconciledAddition,
    Remark::ReconciledSubtraction,
    Remark::ReconciledAggregation,
    Remark::ResetCollision,
    Remark::QuantileNan,
    Remark::QuantileSkewed,
    Remark::FractionNan,
    Remark::MixedClassicNative,
    Remark::ForcedMonotonic,
];

impl From<NanNote> for Remark {
    fn from(note: NanNote) -> Self {
        match note {
            NanNote::Result => Self::QuantileNan,
            NanNote::Skewed => Self::QuantileSkewed,
            NanNote::Excluded => Self::FractionNan,
        }
    }
}

/// The remarks there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(u32);

impl Seen {
    pub fn add(&mut self, remark: Remark) {
        self.0 |= 1 << remark as u32;
    }

    pub fn merge(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub fn has(self, remark: Remark) -> bool {
        self.0 & (1 << remark as u32) != 0
    }

    /// Those of some kinds, and the others.
    pub fn split(self, kinds: &[Remark]) -> (Self, Self) {
        let mask = kinds.iter().fold(0, |mask, kind| mask | 1 << *kind as u32);
        (Self(self.0 & mask), Self(self.0 & !mask))
    }

    /// Says it of a metric, which may have no name.
    pub fn tell(self, name: &str, notes: &mut Notes) {
        for remark in ALL.into_iter().filter(|remark| self.has(*remark)) {
            remark.tell(name, notes);
        }
    }
}

impl Remark {
    /// Prometheus' texts (`util/annotations`).
    fn tell(self, name: &str, notes: &mut Notes) {
        let counters = ["_total", "_sum", "_count", "_bucket"];
        let warning = match self {
            Self::MaybeNoCounter if name.is_empty() || counters.iter().any(|end| name.ends_with(end)) => {
                return;
            }
            Self::MixedFloatsHistograms => named("encountered a mix of histograms and floats", name),
            Self::NotCounter => format!("this native histogram metric is not a counter: {name:?}"),
            Self::NotGauge => format!("this native histogram metric is not a gauge: {name:?}"),
            Self::MixedSchemas => {
                named("vector contains a mix of histograms with exponential and custom buckets schemas", name)
            }
            Self::ResetCollision => "conflicting counter resets during histogram aggregation".to_owned(),
            Self::MixedClassicNative => named("vector contains a mix of classic and native histograms", name),
            _ => return notes.info(self.information(name)),
        };
        notes.warn(warning);
    }

    fn information(self, name: &str) -> String {
        let reconciled = |during| format!("mismatched custom buckets were reconciled during {during}");
        match self {
            Self::IgnoredHistograms => {
                named("ignored histograms in a range containing both floats and histograms", name)
            }
            Self::MaybeNoCounter => format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name:?}"
            ),
            Self::ReconciledAddition => reconciled("addition"),
            Self::ReconciledSubtraction => reconciled("subtraction"),
            Self::ReconciledAggregation => reconciled("aggregation"),
            Self::QuantileNan => named(NanNote::Result.text(), name),
            Self::QuantileSkewed => named(NanNote::Skewed.text(), name),
            Self::FractionNan => named(NanNote::Excluded.text(), name),
            Self::ForcedMonotonic => named(
                "input to histogram_quantile needed to be fixed for monotonicity (see \
                 https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
                name,
            ),
            _ => String::new(),
        }
    }
}

/// A text, and of which metric it speaks if that has a name.
pub fn named(text: &str, name: &str) -> String {
    if name.is_empty() { text.to_owned() } else { format!("{text} for metric name {name:?}") }
}

/// Warns of a quantile that is none.
pub fn check_quantile(q: f64, notes: &mut Notes) {
    if !(0.0..=1.0).contains(&q) {
        notes.warn(format_args!("quantile value should be between 0 and 1, got {}", format_short(q)));
    }
}

//! Samples, and series of them.

use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::compact::Compact;
use crate::histogram::FloatHistogram;
use crate::labels::Labels;

/// The value of a sample that says that its series has ended, as Prometheus
/// writes it (`value.StaleNaN`).
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Whether a value is [`STALE`], bit by bit: other NaNs are values like any.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

/// A value at a time.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl Sample {
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Float(value) if is_stale(*value))
    }
}

/// A part of an array that others may use as well.
#[derive(Clone, Debug)]
pub struct Shared<T> {
    // Not a slice, which a vector would be copied into.
    all: Arc<Vec<T>>,
    range: Range<usize>,
    /// It is known that none is less than the one before, and none a NaN.
    rises: bool,
}

impl Shared<f64> {
    /// Looks at all of them once, so that nobody has to look at parts of them again: most
    /// counters do nothing but rise.
    #[must_use]
    pub fn looked_at(self) -> Self {
        let later = self.get(1..).unwrap_or_default();
        // A NaN is not less, nor more or equal.
        let rises = self.iter().zip(later).fold(true, |rises, (before, now)| rises & (now >= before));
        Self { rises: rises && self.first().is_some_and(|first| !first.is_nan()), ..self }
    }

    /// Whether it is known that none is less than the one before, and none a NaN.
    pub fn rises(&self) -> bool {
        self.rises
    }
}

impl<T> Shared<T> {
    /// A part of this part. Panics if it lies outside.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len());
        let start = self.range.start;
        let range = start + range.start..start + range.end;
        Self { all: self.all.clone(), range, rises: self.rises }
    }

    /// Whether others use the array as well.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.all) > 1
    }

    /// Whether these are the same elements of the same array.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.all, &other.all) && self.range == other.range
    }

    /// Whether these are the elements of another one's part.
    pub fn same_part(&self, other: &Self, part: &Range<usize>) -> bool {
        let start = other.range.start;
        Arc::ptr_eq(&self.all, &other.all) && self.range == (start + part.start..start + part.end)
    }
}

impl<T> From<Vec<T>> for Shared<T> {
    fn from(mut all: Vec<T>) -> Self {
        all.shrink_to_fit();
        let range = 0..all.len();
        Self { all: all.into(), range, rises: false }
    }
}

impl<T> Deref for Shared<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.all[self.range.clone()]
    }
}

/// Samples in time order.
#[derive(Clone, Debug)]
pub struct Samples {
    /// Nanoseconds since the epoch, each later than the one before. Series that
    /// were sampled together share them.
    pub times: Shared<i64>,
    /// As many.
    pub values: Values,
}

#[derive(Clone, Debug)]
pub enum Values {
    /// May contain [`STALE`].
    Floats(Shared<f64>),
    /// Histograms, and perhaps floats between them; [`STALE`] is one of these.
    Mixed(Shared<Sample>),
    /// Histograms only.
    Compact(Compact),
}

impl Samples {
    /// Of samples in time order. Of two at the same time the first one counts.
    pub fn new(samples: impl IntoIterator<Item = (i64, Sample)>) -> Self {
        let (mut times, mut values): (Vec<i64>, Vec<Sample>) = (Vec::new(), Vec::new());
        for (time, value) in samples {
            if times.last().is_none_or(|last| *last < time) {
                times.push(time);
                values.push(value);
            }
        }
        let floats: Option<Vec<f64>> = values
            .iter()
            .map(|sample| match sample {
                Sample::Float(value) => Some(*value),
                Sample::Histogram(_) => None,
            })
            .collect();
        let values = match floats {
            Some(floats) => Values::Floats(floats.into()),
            None => Values::Mixed(values.into()),
        };
        Self { times: times.into(), values }
    }

    pub fn len(&self) -> usize {
        self.times.len()
    }

    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// The value at an index. Of compact ones it takes as long as all before it.
    pub fn get(&self, at: usize) -> Sample {
        match &self.values {
            Values::Floats(floats) => Sample::Float(floats[at]),
            Values::Mixed(samples) => samples[at].clone(),
            Values::Compact(compact) => {
                compact.at([at]).next().map_or(Sample::Float(STALE), Sample::Histogram)
            }
        }
    }

    /// Times and values. Of compact ones it takes as long as the square of them.
    pub fn iter(&self) -> impl Iterator<Item = (i64, Sample)> {
        self.times.iter().enumerate().map(|(at, &time)| (time, self.get(at)))
    }

    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let values = match &self.values {
            Values::Floats(floats) => Values::Floats(floats.slice(range.clone())),
            Values::Mixed(samples) => Values::Mixed(samples.slice(range.clone())),
            Values::Compact(compact) => Values::Compact(compact.slice(range.clone())),
        };
        Self { times: self.times.slice(range), values }
    }

    /// Those in a span of time, both ends included.
    #[must_use]
    pub fn between(&self, start: i64, end: i64) -> Self {
        let first = self.times.partition_point(|&time| time < start);
        let last = self.times.partition_point(|&time| time <= end);
        self.slice(first..last.max(first))
    }

    /// With all histograms in memory, if they are compact.
    #[must_use]
    pub fn unpacked(self) -> Self {
        let Values::Compact(compact) = &self.values else { return self };
        let all: Vec<Sample> = compact.at(0..compact.len()).map(Sample::Histogram).collect();
        Self { values: Values::Mixed(all.into()), times: self.times }
    }

    /// Without the marks that the series ended.
    #[must_use]
    pub fn without_stale(self) -> Self {
        let stale = match &self.values {
            Values::Floats(floats) if floats.rises() => false,
            Values::Floats(floats) => {
                // The mark is a NaN. Looking at all of them takes less time than stopping at one.
                let nan = floats.iter().fold(false, |nan, value| nan | value.is_nan());
                nan && floats.iter().any(|value| is_stale(*value))
            }
            Values::Mixed(samples) => samples.iter().any(Sample::is_stale),
            Values::Compact(_) => false,
        };
        if !stale {
            return self;
        }
        Self::new(self.iter().filter(|(_, sample)| !sample.is_stale()))
    }
}

/// Whatever they are kept as.
impl PartialEq for Samples {
    fn eq(&self, other: &Self) -> bool {
        *self.times == *other.times && self.iter().eq(other.iter())
    }
}

/// What a source hands out, and what queries over a range of time have as answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub labels: Labels,
    pub samples: Samples,
}

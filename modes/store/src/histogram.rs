//! Native histograms, as Prometheus defines them.

mod arithmetic;
mod bounds;
mod buckets;
mod classic;
mod h2;
mod quantile;
mod resets;
mod text;
mod trim;
mod validate;

pub use arithmetic::{Combined, Incompatible};
pub use bounds::{CUSTOM_SCHEMA, HIGHEST_SCHEMA, LOWEST_SCHEMA, exponential_bound, is_exponential};
pub use buckets::Bucket;
pub use classic::{classic_fraction, classic_quantile};
pub use h2::{h2_bounds, h2_middles};
pub use quantile::NanNote;
pub use text::Literal;
pub use trim::Keep;

use crate::float::almost_equal;

/// A histogram of counts that need not be whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FloatHistogram {
    /// -4 to 8: buckets grow by a factor of 2^(2^-schema). -53: custom buckets.
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero_count: f64,
    pub count: f64,
    pub sum: f64,
    pub positive_spans: Vec<Span>,
    pub positive_buckets: Vec<f64>,
    pub negative_spans: Vec<Span>,
    pub negative_buckets: Vec<f64>,
    /// Of custom buckets: their upper bounds but for the last, which is infinity.
    pub custom_values: std::sync::Arc<[f64]>,
    pub hint: ResetHint,
}

/// Buckets one after the other: how many indexes after the last span's end (of
/// the first one: from 0) they begin, and how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub offset: i32,
    pub length: u32,
}

/// What is known of counter resets between this histogram and the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetHint {
    #[default]
    Unknown,
    Reset,
    NotReset,
    Gauge,
}

impl FloatHistogram {
    /// Whether its buckets are custom ones.
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM_SCHEMA
    }

    /// Whether the bounds of custom buckets are the same.
    pub fn same_bounds(&self, other: &Self) -> bool {
        std::sync::Arc::ptr_eq(&self.custom_values, &other.custom_values)
            || self.custom_values == other.custom_values
    }

    /// Without empty buckets, and the spans as few as can be.
    #[must_use]
    pub fn compact(mut self) -> Self {
        self.compact_in_place(0);
        self
    }

    /// Without empty buckets, but for runs of up to so many between others. Gaps
    /// that small are closed by empty buckets.
    pub(crate) fn compact_in_place(&mut self, most_empty: usize) {
        buckets::compact(&mut self.positive_spans, &mut self.positive_buckets, most_empty);
        buckets::compact(&mut self.negative_spans, &mut self.negative_buckets, most_empty);
    }

    /// Whether they are equal as `==` in a query has it: the same buckets, empty
    /// ones included, with the same bits. What is known of resets does not count.
    pub fn equals(&self, other: &Self) -> bool {
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let all = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(*a, *b));
        let sides =
            [(&self.positive_spans, &other.positive_spans), (&self.negative_spans, &other.negative_spans)];
        self.schema == other.schema
            && same(self.count, other.count)
            && same(self.sum, other.sum)
            && (!self.is_custom() || self.same_bounds(other))
            && (self.is_custom()
                || (self.zero_threshold == other.zero_threshold && same(self.zero_count, other.zero_count)))
            && sides.into_iter().all(|(a, b)| buckets::same_layout(a, b))
            && all(&self.positive_buckets, &other.positive_buckets)
            && all(&self.negative_buckets, &other.negative_buckets)
    }

    /// Whether they are equal but for a relative difference of the numbers, once
    /// both are compact. What is known of resets does not count.
    pub fn almost_equal(&self, other: &Self, tolerance: f64) -> bool {
        let (a, b) = (self.clone().compact(), other.clone().compact());
        let near = |a: f64, b: f64| almost_equal(a, b, tolerance);
        let all = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(*a, *b));
        a.schema == b.schema
            && near(a.count, b.count)
            && near(a.sum, b.sum)
            && (!a.is_custom() || a.same_bounds(&b))
            && a.zero_threshold == b.zero_threshold
            && near(a.zero_count, b.zero_count)
            && a.positive_spans == b.positive_spans
            && a.negative_spans == b.negative_spans
            && all(&a.positive_buckets, &b.positive_buckets)
            && all(&a.negative_buckets, &b.negative_buckets)
    }

    fn all_counts_mut(&mut self) -> impl Iterator<Item = &mut f64> {
        let numbers = [&mut self.zero_count, &mut self.count, &mut self.sum];
        numbers.into_iter().chain(&mut self.positive_buckets).chain(&mut self.negative_buckets)
    }
}

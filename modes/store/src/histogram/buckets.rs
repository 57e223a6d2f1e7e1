//! Buckets in their order, and spans of them.

use super::{FloatHistogram, Span};

/// A bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    pub lower: f64,
    pub upper: f64,
    pub lower_inclusive: bool,
    pub upper_inclusive: bool,
    pub count: f64,
    /// Among those of its sign; 0 for the zero bucket.
    pub index: i64,
}

impl Bucket {
    /// Which bounds are in it: 0 the upper, 1 the lower, 2 none, 3 both.
    pub fn boundaries(&self) -> u8 {
        match (self.lower_inclusive, self.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        }
    }
}

impl FloatHistogram {
    /// The buckets from the lowest to the highest: negative ones, the zero bucket
    /// if anything is in it, positive ones. Those that reach into the zero bucket
    /// are cut off there.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        let negative = backward(&self.negative_spans, &self.negative_buckets);
        let positive = forward(&self.positive_spans, &self.positive_buckets);
        let negative = negative.map(|(index, count)| self.cut(self.negative(index, count)));
        let positive = positive.map(|(index, count)| self.cut(self.positive(index, count)));
        negative.chain(self.populated_zero_bucket()).chain(positive)
    }

    /// As [`FloatHistogram::buckets`], from the highest to the lowest.
    pub fn buckets_from_the_top(&self) -> impl Iterator<Item = Bucket> + '_ {
        let positive = backward(&self.positive_spans, &self.positive_buckets);
        let negative = forward(&self.negative_spans, &self.negative_buckets);
        let positive = positive.map(|(index, count)| self.cut(self.positive(index, count)));
        let negative = negative.map(|(index, count)| self.cut(self.negative(index, count)));
        positive.chain(self.populated_zero_bucket()).chain(negative)
    }

    fn populated_zero_bucket(&self) -> Option<Bucket> {
        (self.zero_count > 0.0).then(|| self.zero_bucket())
    }

    pub(super) fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
            index: 0,
        }
    }

    /// The positive bucket with an index. Of custom buckets the first one includes
    /// its lower bound, minus infinity.
    pub(super) fn positive(&self, index: i64, count: f64) -> Bucket {
        let (lower, upper) = (self.bound(index.saturating_sub(1)), self.bound(index));
        let custom = self.is_custom();
        Bucket {
            lower,
            upper,
            lower_inclusive: if custom { index == 0 } else { lower < 0.0 },
            upper_inclusive: custom || upper > 0.0,
            count,
            index,
        }
    }

    /// The negative bucket with an index.
    pub(super) fn negative(&self, index: i64, count: f64) -> Bucket {
        let (lower, upper) = (-self.bound(index), -self.bound(index.saturating_sub(1)));
        let custom = self.is_custom();
        Bucket {
            lower,
            upper,
            lower_inclusive: if custom { index == 0 } else { lower < 0.0 },
            upper_inclusive: custom || upper > 0.0,
            count,
            index,
        }
    }

    fn cut(&self, mut bucket: Bucket) -> Bucket {
        if bucket.upper < 0.0 && bucket.upper > -self.zero_threshold {
            bucket.upper = -self.zero_threshold;
        } else if bucket.lower > 0.0 && bucket.lower < self.zero_threshold {
            bucket.lower = self.zero_threshold;
        }
        bucket
    }
}

/// Indexes and counts of buckets. What spans and counts do not both have is left
/// out.
pub(super) fn forward<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i64, f64)> + 'a {
    let mut next = 0i64;
    let mut spans = spans.iter();
    let mut left = 0u32;
    counts.iter().map_while(move |&count| {
        while left == 0 {
            let span = spans.next()?;
            next = next.saturating_add(i64::from(span.offset));
            left = span.length;
        }
        let index = next;
        next = next.saturating_add(1);
        left -= 1;
        Some((index, count))
    })
}

/// The same from the highest index down.
pub(super) fn backward<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i64, f64)> + 'a {
    let length: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    // Of buckets without a count, the highest have none.
    let mut without = length.saturating_sub(counts.len() as u64);
    let counts = &counts[..counts.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
    let end = spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length));
    let mut end = end.fold(0i64, i64::saturating_add);
    let mut spans = spans.iter().rev();
    let (mut left, mut offset) = (0u64, 0i64);
    counts.iter().rev().map_while(move |&count| {
        while left == 0 {
            let span = spans.next()?;
            end = end.saturating_sub(offset);
            offset = i64::from(span.offset);
            let skipped = without.min(u64::from(span.length));
            without -= skipped;
            left = u64::from(span.length) - skipped;
            end = end.saturating_sub(skipped as i64);
        }
        end = end.saturating_sub(1);
        left -= 1;
        Some((end, count))
    })
}

/// Makes spans of buckets whose indexes rise.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) spans: Vec<Span>,
    pub(super) counts: Vec<f64>,
    next: i64,
}

impl Builder {
    pub(super) fn with_capacity(counts: usize) -> Self {
        Self { spans: Vec::new(), counts: Vec::with_capacity(counts), next: 0 }
    }

    /// Of the same index as the last one: they are one bucket.
    pub(super) fn push(&mut self, index: i64, count: f64) {
        if let Some(last) = self.counts.last_mut()
            && index < self.next
        {
            *last += count;
            return;
        }
        match self.spans.last_mut() {
            Some(span) if index == self.next && span.length < u32::MAX => span.length += 1,
            _ => {
                let gap = index.saturating_sub(self.next).clamp(i32::MIN.into(), i32::MAX.into());
                self.spans.push(Span { offset: gap as i32, length: 1 });
            }
        }
        self.counts.push(count);
        self.next = index.saturating_add(1);
    }
}

/// Leaves out empty buckets, but for runs of up to `most_empty` between others, and
/// closes gaps that small.
pub(super) fn compact(spans: &mut Vec<Span>, counts: &mut Vec<f64>, most_empty: usize) {
    let loose = |(at, span): (usize, &Span)| {
        span.length == 0 || (at > 0 && usize::try_from(span.offset).unwrap_or(0) <= most_empty)
    };
    if !counts.contains(&0.0) && !spans.iter().enumerate().any(loose) {
        return;
    }
    let mut out = Builder::with_capacity(counts.len());
    for (index, count) in forward(spans, counts).filter(|(_, count)| *count != 0.0) {
        let gap = usize::try_from(index.saturating_sub(out.next)).unwrap_or(0);
        if !out.counts.is_empty() && gap <= most_empty {
            (out.next..index).for_each(|empty| out.push(empty, 0.0));
        }
        out.push(index, count);
    }
    (*spans, *counts) = (out.spans, out.counts);
}

/// Whether spans hold the same indexes; empty spans do not count.
pub(super) fn same_layout(a: &[Span], b: &[Span]) -> bool {
    if a == b {
        return true;
    }
    let runs = |spans: &[Span]| {
        let mut runs: Vec<(i64, i64)> = Vec::new();
        let mut next = 0i64;
        for span in spans {
            let start = next.saturating_add(span.offset.into());
            next = start.saturating_add(span.length.into());
            match runs.last_mut() {
                _ if span.length == 0 => {}
                Some((_, end)) if *end == start => *end = next,
                _ => runs.push((start, next)),
            }
        }
        runs
    };
    runs(a) == runs(b)
}

/// The buckets of a lower schema.
pub(super) fn reduce(spans: &[Span], counts: &[f64], from: i32, to: i32) -> (Vec<Span>, Vec<f64>) {
    let mut out = Builder::with_capacity(counts.len());
    let shift = (from - to).clamp(0, 32);
    for (index, count) in forward(spans, counts) {
        out.push(((index - 1) >> shift) + 1, count);
    }
    (out.spans, out.counts)
}

/// Adds buckets to others, or subtracts them. Those for which `skip` says so are
/// left out.
pub(super) fn merge(
    into: (&mut Vec<Span>, &mut Vec<f64>),
    other: (&[Span], &[f64]),
    negative: bool,
    skip: impl Fn(i64) -> bool,
) {
    let (spans, counts) = into;
    let sign = if negative { -1.0 } else { 1.0 };
    let mut others = forward(other.0, other.1).skip_while(|(index, _)| skip(*index)).peekable();
    let Some(&(first, _)) = others.peek() else { return };
    let nothing_skipped = forward(other.0, other.1).next().is_some_and(|(index, _)| index == first);
    if nothing_skipped && spans == other.0 && counts.len() == other.1.len() {
        counts.iter_mut().zip(other.1).for_each(|(count, other)| *count += sign * other);
        return;
    }
    let mut out = Builder::with_capacity(counts.len() + other.1.len());
    for (index, count) in forward(spans, counts) {
        while let Some((index, count)) = others.next_if(|(other, _)| *other < index) {
            out.push(index, sign * count);
        }
        let other = others.next_if(|(other, _)| *other == index).map_or(0.0, |(_, count)| sign * count);
        out.push(index, count + other);
    }
    others.for_each(|(index, count)| out.push(index, sign * count));
    (*spans, *counts) = (out.spans, out.counts);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(offset: i32, length: u32) -> Span {
        Span { offset, length }
    }

    #[test]
    fn compact_leaves_out_what_is_empty() {
        let mut spans = vec![span(-2, 3), span(0, 2), span(5, 1), span(1, 0), span(1, 2)];
        let mut counts = vec![0.0, 1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 4.0];
        compact(&mut spans, &mut counts, 0);
        assert_eq!(counts, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(spans, [span(-1, 1), span(1, 1), span(6, 1), span(3, 1)]);
        compact(&mut spans, &mut counts, 3);
        assert_eq!(counts, [1.0, 0.0, 2.0, 3.0, 0.0, 0.0, 0.0, 4.0]);
        assert_eq!(spans, [span(-1, 3), span(6, 5)]);
        let mut spans = vec![span(3, 2)];
        let mut counts = vec![0.0; 2];
        compact(&mut spans, &mut counts, 9);
        assert!(spans.is_empty() && counts.is_empty());
    }

    #[test]
    fn layouts_without_empty_spans() {
        assert!(same_layout(&[span(1, 2), span(0, 1)], &[span(1, 3)]));
        assert!(same_layout(&[span(1, 2), span(3, 0), span(1, 1)], &[span(1, 2), span(4, 1)]));
        assert!(!same_layout(&[span(1, 2)], &[span(1, 3)]));
    }

    #[test]
    fn a_lower_schema() {
        // Schema 1 to 0: buckets 1 and 2 are one, -1 and 0 are one.
        let (spans, counts) = reduce(&[span(-1, 4)], &[1.0, 2.0, 4.0, 8.0], 1, 0);
        assert_eq!((spans, counts), (vec![span(0, 2)], vec![3.0, 12.0]));
    }

    prop_compose! {
        fn side()(parts in prop::collection::vec((0i32..4, prop::collection::vec(0u8..3, 0..4)), 0..5), first in -9i32..9)
            -> (Vec<Span>, Vec<f64>) {
            let spans = parts.iter().enumerate().map(|(at, (offset, counts))| {
                span(if at == 0 { first } else { *offset }, counts.len() as u32)
            });
            let counts = parts.iter().flat_map(|(_, counts)| counts.iter().map(|count| f64::from(*count)));
            (spans.collect(), counts.collect())
        }
    }

    fn populated(spans: &[Span], counts: &[f64]) -> Vec<(i64, f64)> {
        forward(spans, counts).filter(|(_, count)| *count != 0.0).collect()
    }

    proptest! {
        #[test]
        fn backward_is_forward_reversed((spans, mut counts) in side(), cut in 0usize..3) {
            counts.truncate(counts.len().saturating_sub(cut));
            let mut there: Vec<_> = forward(&spans, &counts).collect();
            there.reverse();
            prop_assert_eq!(there, backward(&spans, &counts).collect::<Vec<_>>());
        }

        #[test]
        fn compact_keeps_what_is_there((mut spans, mut counts) in side(), most in 0usize..5) {
            let before = populated(&spans, &counts);
            compact(&mut spans, &mut counts, most);
            prop_assert_eq!(&before, &populated(&spans, &counts));
            let once = (spans.clone(), counts.clone());
            compact(&mut spans, &mut counts, most);
            prop_assert_eq!(once, (spans, counts));
        }

        #[test]
        fn merged_counts_are_sums((spans, counts) in side(), other in side(), negative: bool) {
            let sign = if negative { -1.0 } else { 1.0 };
            let mut wanted = std::collections::BTreeMap::new();
            forward(&spans, &counts).for_each(|(index, count)| *wanted.entry(index).or_insert(0.0) += count);
            forward(&other.0, &other.1).for_each(|(index, count)| *wanted.entry(index).or_insert(0.0) += sign * count);
            wanted.retain(|_, count| *count != 0.0);
            let (mut into_spans, mut into_counts) = (spans, counts);
            merge((&mut into_spans, &mut into_counts), (&other.0, &other.1), negative, |_| false);
            prop_assert_eq!(wanted.into_iter().collect::<Vec<_>>(), populated(&into_spans, &into_counts));
        }
    }
}

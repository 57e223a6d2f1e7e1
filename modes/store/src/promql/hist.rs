//! Operations on histograms, and what to say of them.

use super::Notes;
use crate::histogram::{Combined, FloatHistogram};

fn tell(combined: Combined, operation: &str, notes: &mut Notes) {
    if combined.reset_collision {
        notes.warn(format_args!("conflicting counter resets during histogram {operation}"));
    }
    if combined.bounds_reconciled {
        notes.info(format_args!("mismatched custom buckets were reconciled during {operation}"));
    }
}

/// `a + b`; None if they cannot be added.
pub fn add(a: &FloatHistogram, b: &FloatHistogram, notes: &mut Notes) -> Option<FloatHistogram> {
    let Ok((sum, combined)) = a.add(b) else {
        notes.warn("incompatible bucket layout encountered for binary operator +");
        return None;
    };
    tell(combined, "addition", notes);
    Some(sum)
}

/// Adds up for an aggregation; false if they cannot be.
pub fn accumulate(sum: &mut FloatHistogram, more: &FloatHistogram, notes: &mut Notes) -> bool {
    match sum.add_assign(more) {
        Ok(combined) => tell(combined, "aggregation", notes),
        Err(_) => {
            notes.warn("vector contains a mix of histograms with exponential and custom buckets schemas");
            return false;
        }
    }
    true
}

/// `a - b`; None if it cannot be had.
pub fn sub(a: &FloatHistogram, b: &FloatHistogram, notes: &mut Notes) -> Option<FloatHistogram> {
    let Ok((difference, combined)) = a.sub(b) else {
        notes.warn("incompatible bucket layout encountered for binary operator -");
        return None;
    };
    tell(combined, "subtraction", notes);
    Some(difference)
}

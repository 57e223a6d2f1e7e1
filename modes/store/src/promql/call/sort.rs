//! Order among series. It says something only of instant queries.

use std::cmp::Ordering;

use super::without_empty;
use crate::promql::value::Row;

/// By the floats, NaN last either way. Histograms have no order, and are left out.
pub fn by_value(mut rows: Vec<Row>, descending: bool) -> Vec<Row> {
    for row in &mut rows {
        row.points.histograms = Vec::new();
    }
    let mut rows = without_empty(rows);
    if rows.iter().all(|row| row.points.len() == 1) {
        rows.sort_by(|a, b| {
            let (a, b) = (a.points.floats[0], b.points.floats[0]);
            match (a.is_nan(), b.is_nan()) {
                (false, false) if descending => b.partial_cmp(&a).unwrap_or(Ordering::Equal),
                (false, false) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
                (a, b) => a.cmp(&b),
            }
        });
    }
    rows
}

/// By labels, numbers in them by value; by all labels where these are the same.
pub fn by_label(mut rows: Vec<Row>, labels: &[String], descending: bool) -> Vec<Row> {
    rows.sort_by(|a, b| {
        let differing = labels.iter().map(|label| natural(a.labels.get(label), b.labels.get(label)));
        let order = differing.reduce(Ordering::then).unwrap_or(Ordering::Equal);
        let order = order.then_with(|| a.labels.cmp(&b.labels));
        if descending { order.reverse() } else { order }
    });
    rows
}

/// Text in its order but for numbers, which are compared as such.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    while !a_rest.is_empty() && !b_rest.is_empty() {
        let (a_chunk, b_chunk);
        (a_chunk, a_rest) = chunk(a_rest);
        (b_chunk, b_rest) = chunk(b_rest);
        let order = match (a_chunk.parse::<i64>(), b_chunk.parse::<i64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => a_chunk.cmp(b_chunk),
        };
        if order.is_ne() {
            return order;
        }
    }
    // 1 and 01 are the same number, and not the same label.
    a_rest.len().cmp(&b_rest.len()).then_with(|| a.cmp(b))
}

/// The digits, or what is none, at the beginning; and the rest.
fn chunk(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

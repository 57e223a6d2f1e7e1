//! What there is not.

use super::Context;
use crate::labels::{Labels, NAME};
use crate::matcher::Op;
use crate::promql::ABSENT;
use crate::promql::ast::Node;
use crate::promql::points::Points;
use crate::promql::value::{RangeVector, Row};

/// 1 at the steps at which no series has anything.
pub fn absent(rows: &[Row], context: &Context<'_>) -> Vec<Row> {
    let mut missing = vec![true; context.grid.count];
    for row in rows {
        for (step, missing) in missing.iter_mut().enumerate() {
            *missing = *missing && !row.points.has(step);
        }
    }
    row(&missing, context)
}

/// 1 at the steps at which no window has anything.
pub fn absent_over_time(vector: &RangeVector, context: &Context<'_>) -> Vec<Row> {
    let mut missing = vec![true; context.grid.count];
    for series in &vector.rows {
        let times = &series.samples.times;
        for (&end, missing) in vector.ends.iter().zip(&mut missing) {
            let last = times.partition_point(|&time| time <= end);
            let some = last > 0 && times[last - 1] > end.saturating_sub(vector.range);
            *missing = *missing && !some;
        }
    }
    row(&missing, context)
}

fn row(missing: &[bool], context: &Context<'_>) -> Vec<Row> {
    if !missing.contains(&true) {
        return Vec::new();
    }
    let floats = missing.iter().map(|&missing| if missing { 1.0 } else { ABSENT }).collect();
    let labels = context.nodes.first().map(labels).unwrap_or_default();
    vec![Row { labels, drop_name: false, points: Points { floats, histograms: Vec::new() } }]
}

/// The labels a selector asks for: those that have one matcher, for equality. (Of
/// several matchers for a label the first may be one for equality if all after it
/// are not there: as Prometheus has it.)
fn labels(node: &Node) -> Labels {
    let selector = match node {
        Node::Paren(inner) => return labels(inner),
        Node::Selector(selector) | Node::Range(selector, _) => selector,
        _ => return Labels::default(),
    };
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in selector.matchers.iter().filter(|matcher| matcher.name != NAME) {
        match &matcher.op {
            Op::Equal(value) if !seen.contains(&matcher.name.as_str()) => {
                seen.push(&matcher.name);
                wanted.push((&matcher.name, value));
            }
            _ => wanted.retain(|(name, _)| *name != matcher.name),
        }
    }
    Labels::new(wanted)
}

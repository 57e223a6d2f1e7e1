//! Aggregations.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use super::ast::{Aggregate, AggregateOp};
use super::eval::is_point;
use super::points::Points;
use super::value::{Grid, Row, Val};
use super::{Error, Notes, hist, parallel};
use crate::float;
use crate::histogram::FloatHistogram;
use crate::labels::{Labels, is_of_metric};

/// Rows that are aggregated into one.
struct Group {
    labels: Labels,
    /// What is grouped by a name that is to go has no name in the end: as the first
    /// member has it.
    drop_name: bool,
    members: Vec<usize>,
}

/// Aggregates rows.
///
/// # Errors
///
/// When the parameter is not one for this aggregation.
pub fn aggregate(
    node: &Aggregate,
    rows: Vec<Row>,
    param: Option<Val>,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Vec<Row>, Error> {
    use AggregateOp as Op;
    let groups = groups(node, &rows);
    let scalar = |param: Option<Val>| match param {
        Some(Val::Scalar(values)) => Ok(values),
        _ => Err(Error::bad_data("the aggregation takes a scalar parameter")),
    };
    match node.op {
        Op::Topk | Op::Bottomk | Op::Limitk | Op::LimitRatio => {
            let params = scalar(param)?;
            return select(node, rows, &groups, &params, grid, notes);
        }
        Op::CountValues => {
            let Some(Val::String(label)) = param else {
                return Err(Error::bad_data("count_values takes the name of a label"));
            };
            return count_values(node, &rows, &groups, &label, grid);
        }
        Op::Quantile => {
            let params = scalar(param)?;
            for &value in &params {
                notes.at(node.param_place, |notes| super::call::check_quantile(value, notes));
            }
            let points = |group: &Group, notes: &mut Notes| quantiles(&rows, group, &params, grid, notes);
            return Ok(finish(&groups, &rows, points, notes));
        }
        _ => {}
    }
    let points = |group: &Group, notes: &mut Notes| match node.op {
        Op::Sum => sum(&rows, group, grid, false, notes),
        Op::Avg => sum(&rows, group, grid, true, notes),
        Op::Count | Op::Group => count(&rows, group, grid, node.op == Op::Group),
        Op::Min | Op::Max => extreme(&rows, group, grid, node.op == Op::Max, notes),
        _ => deviation(&rows, group, grid, node.op == Op::Stddev, notes),
    };
    Ok(finish(&groups, &rows, points, notes))
}

/// Evaluates each group, on several CPUs if there is much to do.
fn finish(
    groups: &[Group],
    rows: &[Row],
    points: impl Fn(&Group, &mut Notes) -> Points + Sync,
    notes: &mut Notes,
) -> Vec<Row> {
    let cost = rows.iter().map(|row| row.points.len()).sum();
    let place = notes.place;
    let done = parallel::map(groups.iter().collect(), cost, |group| {
        let mut notes = Notes { place, ..Notes::default() };
        let points = points(group, &mut notes);
        (Row { labels: group.labels.clone(), drop_name: group.drop_name, points }, notes)
    });
    let mut out = Vec::with_capacity(done.len());
    for (row, said) in done {
        notes.merge(said);
        out.push(row);
    }
    out.retain(|row| !row.points.is_absent());
    out
}

/// The groups, in the order in which they are found.
fn groups(node: &Aggregate, rows: &[Row]) -> Vec<Group> {
    let listed = |name: &str| node.grouping.iter().any(|label| label == name);
    if !node.without && node.grouping.is_empty() && !rows.is_empty() {
        return vec![Group {
            labels: Labels::default(),
            drop_name: false,
            members: (0..rows.len()).collect(),
        }];
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut known: HashMap<Labels, usize> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        let labels = if node.without {
            row.labels.filter(|name| !is_of_metric(name) && !listed(name))
        } else {
            row.labels.filter(listed)
        };
        let group = *known.entry(labels.clone()).or_insert_with(|| {
            groups.push(Group { labels, drop_name: row.drop_name, members: Vec::new() });
            groups.len() - 1
        });
        groups[group].members.push(at);
    }
    groups
}

fn sum(rows: &[Row], group: &Group, grid: Grid, mean: bool, notes: &mut Notes) -> Points {
    let mut sums = vec![float::Sum::default(); grid.count];
    let mut counts = vec![0u32; grid.count];
    for &member in &group.members {
        let floats = &rows[member].points.floats;
        for ((&value, sum), count) in floats.iter().zip(&mut sums).zip(&mut counts) {
            if is_point(value) {
                sum.add(value);
                *count += 1;
            }
        }
    }
    let mut points = Points::absent(grid.count);
    for step in 0..grid.count {
        if counts[step] > 0 {
            let total = sums[step].total();
            points.floats[step] = match mean {
                false => total,
                // The sum may be too large for what the mean is.
                true if total.is_infinite() => gradual_mean(rows, group, step),
                true => total / f64::from(counts[step]),
            };
        }
    }
    histogram_sums(rows, group, mean, &mut points, notes);
    points
}

/// The mean of a step's floats, without their sum.
fn gradual_mean(rows: &[Row], group: &Group, step: usize) -> f64 {
    let (mut mean, mut count) = (float::Sum::default(), 0.0);
    for value in group.members.iter().map(|&member| rows[member].points.floats[step]) {
        if !is_point(value) {
            continue;
        }
        count += 1.0;
        // An infinite mean stays, but for an infinity of the other sign.
        if mean.sum.is_infinite() && (value.is_finite() || value == mean.sum) {
            continue;
        }
        mean.add(value / count - mean.total() / count);
    }
    mean.total()
}

/// Adds up the histograms of a group; a step with floats too has no result.
fn histogram_sums(rows: &[Row], group: &Group, mean: bool, points: &mut Points, notes: &mut Notes) {
    let with: Vec<&Row> = group
        .members
        .iter()
        .map(|&member| &rows[member])
        .filter(|row| !row.points.histograms.is_empty())
        .collect();
    if with.is_empty() {
        return;
    }
    for step in 0..points.len() {
        let mut found = with.iter().filter_map(|row| row.points.histograms[step].as_ref());
        let Some(first) = found.next() else { continue };
        if is_point(points.floats[step]) {
            notes.warn("encountered a mix of histograms and floats for aggregation");
            points.set(step, None);
            continue;
        }
        let mut total: Option<FloatHistogram> = Some((**first).clone());
        let mut count = 1.0;
        for histogram in found {
            count += 1.0;
            total =
                total.and_then(|mut total| hist::accumulate(&mut total, histogram, notes).then_some(total));
        }
        let value = total.map(|total| if mean { total.div(count) } else { total });
        points.set(step, value.map(|value| crate::Sample::Histogram(Arc::new(value.compact()))));
    }
}

fn count(rows: &[Row], group: &Group, grid: Grid, one: bool) -> Points {
    let mut points = Points::absent(grid.count);
    for row in group.members.iter().map(|&member| &rows[member]) {
        for (step, count) in points.floats.iter_mut().enumerate() {
            if row.points.has(step) {
                *count = if one || !is_point(*count) { 1.0 } else { *count + 1.0 };
            }
        }
    }
    points
}

/// Says so if a group has histograms, which the aggregation ignores.
fn ignored(rows: &[Row], group: &Group, name: &str, notes: &mut Notes) {
    let histogram = |&member: &usize| rows[member].points.histograms.iter().any(Option::is_some);
    if group.members.iter().any(histogram) {
        notes.info(format_args!("ignored histogram in {name} aggregation"));
    }
}

fn extreme(rows: &[Row], group: &Group, grid: Grid, max: bool, notes: &mut Notes) -> Points {
    let mut points = Points::absent(grid.count);
    for &member in &group.members {
        for (&value, best) in rows[member].points.floats.iter().zip(&mut points.floats) {
            let better = if max { value > *best } else { value < *best };
            if is_point(value) && (better || best.is_nan()) {
                *best = value;
            }
        }
    }
    ignored(rows, group, if max { "max" } else { "min" }, notes);
    points
}

/// Welford's method.
fn deviation(rows: &[Row], group: &Group, grid: Grid, root: bool, notes: &mut Notes) -> Points {
    let (mut means, mut squares) = (vec![0.0; grid.count], vec![0.0; grid.count]);
    let mut counts = vec![0.0; grid.count];
    for &member in &group.members {
        for (step, &value) in rows[member].points.floats.iter().enumerate() {
            if is_point(value) {
                counts[step] += 1.0;
                let delta = value - means[step];
                means[step] += delta / counts[step];
                squares[step] += delta * (value - means[step]);
            }
        }
    }
    let mut points = Points::absent(grid.count);
    for step in 0..grid.count {
        if counts[step] > 0.0 {
            let variance = squares[step] / counts[step];
            points.floats[step] = if root { variance.sqrt() } else { variance };
        }
    }
    ignored(rows, group, if root { "stddev" } else { "stdvar" }, notes);
    points
}

fn quantiles(rows: &[Row], group: &Group, params: &[f64], grid: Grid, notes: &mut Notes) -> Points {
    let mut points = Points::absent(grid.count);
    let mut values = Vec::with_capacity(group.members.len());
    for (step, &param) in params.iter().enumerate() {
        values.clear();
        values.extend(group.members.iter().map(|&m| rows[m].points.floats[step]).filter(|v| is_point(*v)));
        if !values.is_empty() {
            points.floats[step] = super::call::quantile(param, &mut values);
        }
    }
    ignored(rows, group, "quantile", notes);
    points
}

fn count_values(
    node: &Aggregate,
    rows: &[Row],
    groups: &[Group],
    label: &str,
    grid: Grid,
) -> Result<Vec<Row>, Error> {
    if !super::ast::is_label_name(label) {
        return Err(Error::execution(format!("invalid label name {label:?}")));
    }
    let mut out: Vec<Row> = Vec::new();
    let mut known: HashMap<Labels, usize> = HashMap::new();
    for group in groups {
        // A label of this name gives way, unless it is grouped by.
        let base =
            if node.without { group.labels.clone() } else { group.labels.filter(|name| name != label) };
        for row in group.members.iter().map(|&member| &rows[member]) {
            let mut last: Option<(u64, usize)> = None;
            for step in 0..grid.count {
                let text = match row.points.histograms.get(step) {
                    Some(Some(histogram)) => histogram.to_string(),
                    _ if !is_point(row.points.floats[step]) => continue,
                    _ => {
                        let bits = row.points.floats[step].to_bits();
                        if let Some((_, at)) = last.filter(|(known, _)| *known == bits) {
                            bump(&mut out[at].points.floats[step]);
                            continue;
                        }
                        plain(row.points.floats[step])
                    }
                };
                let labels = base.with(label, &text);
                let at = *known.entry(labels.clone()).or_insert_with(|| {
                    out.push(Row { labels, drop_name: false, points: Points::absent(grid.count) });
                    out.len() - 1
                });
                last = is_point(row.points.floats[step]).then(|| (row.points.floats[step].to_bits(), at));
                bump(&mut out[at].points.floats[step]);
            }
        }
    }
    Ok(out)
}

fn bump(count: &mut f64) {
    *count = if is_point(*count) { *count + 1.0 } else { 1.0 };
}

/// Aggregations whose results are some of their rows.
fn select(
    node: &Aggregate,
    mut rows: Vec<Row>,
    groups: &[Group],
    params: &[f64],
    grid: Grid,
    notes: &mut Notes,
) -> Result<Vec<Row>, Error> {
    use AggregateOp::*;
    let op = node.op;
    let mut kept: Vec<Vec<bool>> = rows.iter().map(|_| vec![false; grid.count]).collect();
    let mut order = Vec::new();
    for (step, &param) in params.iter().enumerate() {
        let most = limit(node, param, notes)?;
        for group in groups {
            let mut present: Vec<usize> =
                group.members.iter().copied().filter(|&m| rows[m].points.has(step)).collect();
            match op {
                LimitRatio => present.retain(|&member| in_ratio(&rows[member].labels, param)),
                Limitk => present.truncate(most),
                _ => {
                    let float = |member: usize| rows[member].points.floats[step];
                    present.retain(|&member| is_point(float(member)));
                    let better = |a: &usize, b: &usize| rank(float(*a), float(*b), op == Topk);
                    if most < present.len() && most > 0 {
                        present.select_nth_unstable_by(most - 1, |a, b| better(a, b).then(a.cmp(b)));
                    }
                    present.truncate(most);
                    present.sort_by(|a, b| better(a, b).then(a.cmp(b)));
                }
            }
            present.iter().for_each(|&member| kept[member][step] = true);
            if grid.count == 1 {
                order.extend(present);
            }
        }
    }
    if matches!(op, Topk | Bottomk) {
        let name = if op == Topk { "topk" } else { "bottomk" };
        groups.iter().for_each(|group| ignored(&rows, group, name, notes));
    }
    for (row, kept) in rows.iter_mut().zip(&kept) {
        for (step, _) in kept.iter().enumerate().filter(|(_, kept)| !**kept) {
            row.points.set(step, None);
        }
    }
    if grid.count == 1 {
        // At one time the order says something.
        let mut rows: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
        return Ok(order.into_iter().filter_map(|at| rows[at].take()).collect());
    }
    rows.retain(|row| !row.points.is_absent());
    Ok(rows)
}

/// How many rows to take.
fn limit(node: &Aggregate, param: f64, notes: &mut Notes) -> Result<usize, Error> {
    if node.op == AggregateOp::LimitRatio {
        if param.is_nan() {
            return Err(Error::execution("Ratio value is NaN"));
        }
        if !(-1.0..=1.0).contains(&param) {
            let capped = if param > 1.0 { "1" } else { "-1" };
            let got = float::format_short(param);
            let text = format!("ratio value should be between -1 and 1, got {got}, capping to {capped}");
            notes.at(node.param_place, |notes| notes.warn(text));
        }
        return Ok(usize::MAX);
    }
    if param.is_nan() {
        return Err(Error::execution("Parameter value is NaN"));
    }
    if param >= 9.223_372_036_854_776e18 {
        return Err(Error::execution(format!("Scalar value {} overflows int64", go_float(param))));
    }
    if param <= -9.223_372_036_854_776e18 {
        return Err(Error::execution(format!("Scalar value {} underflows int64", go_float(param))));
    }
    Ok(if param < 1.0 { 0 } else { param as usize })
}

/// Go's `strconv.FormatFloat(value, 'f', -1, 64)`.
fn plain(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        value => value.to_string(),
    }
}

fn go_float(value: f64) -> String {
    if value.is_infinite() {
        (if value > 0.0 { "+Inf" } else { "-Inf" }).into()
    } else {
        format!("{value:e}")
    }
}

/// The better one first; NaN is never better.
fn rank(a: f64, b: f64, top: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ if top => b.partial_cmp(&a).unwrap_or(Ordering::Equal),
        _ => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
    }
}

/// Whether a series belongs to a fraction of all, by a hash of its labels.
fn in_ratio(labels: &Labels, ratio: f64) -> bool {
    // FNV-1a: the same in every process.
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for (name, value) in labels.iter() {
        for byte in name.bytes().chain([0xff]).chain(value.bytes()).chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let place = hash as f64 / u64::MAX as f64;
    if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio }
}

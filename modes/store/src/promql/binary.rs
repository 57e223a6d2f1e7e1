//! Binary operators.

use std::collections::HashMap;
use std::sync::Arc;

use super::ast::{Binary, BinaryOp, Cardinality, Matching};
use super::eval::{is_point, merge};
use super::points::Points;
use super::value::{Grid, Row, Val};
use super::{Error, Notes, hist};
use crate::histogram::{FloatHistogram, Keep};
use crate::labels::{Labels, NAME};
use crate::sample::Sample;

/// Evaluates an operator.
///
/// # Errors
///
/// When vectors do not match as the query says.
pub fn binary(node: &Binary, lhs: Val, rhs: Val, grid: Grid, notes: &mut Notes) -> Result<Val, Error> {
    match (lhs, rhs) {
        (Val::Scalar(lhs), Val::Scalar(rhs)) => {
            let values = lhs.iter().zip(&rhs).map(|(&a, &b)| {
                let (value, kept) = floats(node.op, a, b);
                if node.op.is_comparison() { f64::from(u8::from(kept)) } else { value }
            });
            Ok(Val::Scalar(values.collect()))
        }
        (Val::Vector(rows), Val::Scalar(scalar)) => {
            Ok(Val::Vector(with_scalar(node, rows, &scalar, false, notes)))
        }
        (Val::Scalar(scalar), Val::Vector(rows)) => {
            Ok(Val::Vector(with_scalar(node, rows, &scalar, true, notes)))
        }
        (Val::Vector(lhs), Val::Vector(rhs)) => {
            let rows = match node.op {
                BinaryOp::And => masked(node, lhs, &rhs, grid, true),
                BinaryOp::Unless => masked(node, lhs, &rhs, grid, false),
                BinaryOp::Or => either(node, lhs, rhs, grid),
                _ => vectors(node, &lhs, &rhs, grid, notes)?,
            };
            Ok(Val::Vector(rows))
        }
        _ => Err(Error::bad_data("binary expression must contain only scalar and instant vector types")),
    }
}

/// An operator on two floats: its value, and whether a comparison holds.
#[inline]
fn floats(op: BinaryOp, a: f64, b: f64) -> (f64, bool) {
    match op {
        BinaryOp::Add => (a + b, true),
        BinaryOp::Sub => (a - b, true),
        BinaryOp::Mul => (a * b, true),
        BinaryOp::Div => (a / b, true),
        BinaryOp::Mod => (a % b, true),
        BinaryOp::Pow => (a.powf(b), true),
        BinaryOp::Atan2 => (a.atan2(b), true),
        BinaryOp::Equal => (a, a == b),
        BinaryOp::NotEqual => (a, a != b),
        BinaryOp::Greater => (a, a > b),
        BinaryOp::Less => (a, a < b),
        BinaryOp::GreaterOrEqual => (a, a >= b),
        BinaryOp::LessOrEqual => (a, a <= b),
        // These are none on floats.
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless | BinaryOp::TrimUpper | BinaryOp::TrimLower => {
            (f64::NAN, false)
        }
    }
}

/// An operator on two samples: None if there is no result.
fn samples(op: BinaryOp, a: &Sample, b: &Sample, notes: &mut Notes) -> Option<(Sample, bool)> {
    let kind = |sample: &Sample| match sample {
        Sample::Float(_) => "float",
        Sample::Histogram(_) => "histogram",
    };
    let histogram = |value: FloatHistogram| Some((Sample::Histogram(Arc::new(value.compact())), true));
    match (a, b, op) {
        (Sample::Float(a), Sample::Float(b), op) if !op.is_trim() => {
            let (value, kept) = floats(op, *a, *b);
            Some((Sample::Float(value), kept))
        }
        (Sample::Histogram(a), Sample::Float(b), BinaryOp::Mul) => histogram(a.mul(*b)),
        (Sample::Float(a), Sample::Histogram(b), BinaryOp::Mul) => histogram(b.mul(*a)),
        (Sample::Histogram(a), Sample::Float(b), BinaryOp::Div) => histogram(a.div(*b)),
        (Sample::Histogram(a), Sample::Float(b), BinaryOp::TrimUpper) => histogram(a.trim(*b, Keep::Below)),
        (Sample::Histogram(a), Sample::Float(b), BinaryOp::TrimLower) => histogram(a.trim(*b, Keep::Above)),
        (Sample::Histogram(a), Sample::Histogram(b), BinaryOp::Add) => histogram(hist::add(a, b, notes)?),
        (Sample::Histogram(a), Sample::Histogram(b), BinaryOp::Sub) => histogram(hist::sub(a, b, notes)?),
        (Sample::Histogram(x), Sample::Histogram(y), BinaryOp::Equal) => Some((a.clone(), x.equals(y))),
        (Sample::Histogram(x), Sample::Histogram(y), BinaryOp::NotEqual) => Some((a.clone(), !x.equals(y))),
        _ => {
            notes.info(format_args!(
                "incompatible sample types encountered for binary operator \"{}\": {} {} {}",
                op.symbol(),
                kind(a),
                op.symbol(),
                kind(b)
            ));
            None
        }
    }
}

/// Whether the name of a metric says no longer what the result is.
fn drops_name(node: &Binary) -> bool {
    !(node.op.is_comparison() || node.op.is_set() || node.op.is_trim()) || node.return_bool
}

fn with_scalar(node: &Binary, rows: Vec<Row>, scalar: &[f64], swapped: bool, notes: &mut Notes) -> Vec<Row> {
    let mut out = Vec::with_capacity(rows.len());
    for mut row in rows {
        if node.op.is_trim() && !row.points.floats.iter().all(|value| super::is_absent(*value)) {
            let _ = samples(node.op, &Sample::Float(0.0), &Sample::Float(0.0), notes);
            row.points.floats.fill(super::ABSENT);
        }
        let values = row.points.floats.iter_mut().zip(scalar);
        for (value, &scalar) in values.filter(|(value, _)| is_point(**value)) {
            let (a, b) = if swapped { (scalar, *value) } else { (*value, scalar) };
            let (result, kept) = floats(node.op, a, b);
            *value = match (node.op.is_comparison(), node.return_bool, kept) {
                (false, ..) => result,
                (true, true, kept) => f64::from(u8::from(kept)),
                // The vector's value stays, whichever side it is on.
                (true, false, true) => *value,
                (true, false, false) => super::ABSENT,
            };
        }
        for step in 0..row.points.histograms.len() {
            let Some(histogram) = row.points.histograms[step].clone() else { continue };
            let (vector, scalar) = (Sample::Histogram(histogram), Sample::Float(scalar[step]));
            let (a, b) = if swapped { (&scalar, &vector) } else { (&vector, &scalar) };
            let result = samples(node.op, a, b, notes).map(|(result, _)| result);
            row.points.set(step, result);
        }
        row.drop_name |= drops_name(node);
        if !row.points.is_absent() {
            out.push(row);
        }
    }
    out
}

/// What has to be the same on both sides.
fn signature(matching: &Matching, labels: &Labels) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|label| label == name);
    if matching.on { labels.filter(listed) } else { labels.filter(|name| name != NAME && !listed(name)) }
}

fn by_signature(matching: &Matching, rows: &[Row]) -> HashMap<Labels, Vec<usize>> {
    let mut all: HashMap<Labels, Vec<usize>> = HashMap::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate() {
        all.entry(signature(matching, &row.labels)).or_default().push(at);
    }
    all
}

/// At which steps any of the rows has a value.
fn presence(rows: &[Row], members: &[usize], grid: Grid) -> Vec<bool> {
    (0..grid.count).map(|step| members.iter().any(|&member| rows[member].points.has(step))).collect()
}

/// `and`, `unless`: the points of the left side where the right one has some with
/// the same signature, or has none.
fn masked(node: &Binary, lhs: Vec<Row>, rhs: &[Row], grid: Grid, wanted: bool) -> Vec<Row> {
    let right: HashMap<Labels, Vec<bool>> = by_signature(&node.matching, rhs)
        .into_iter()
        .map(|(signature, members)| (signature, presence(rhs, &members, grid)))
        .collect();
    let mut out = Vec::new();
    for mut row in lhs {
        match right.get(&signature(&node.matching, &row.labels)) {
            None if wanted => continue,
            None => {}
            Some(present) => {
                for (step, _) in present.iter().enumerate().filter(|(_, present)| **present != wanted) {
                    row.points.set(step, None);
                }
            }
        }
        if !row.points.is_absent() {
            out.push(row);
        }
    }
    out
}

/// `or`: the left side, and of the right one what has no partner there.
fn either(node: &Binary, mut lhs: Vec<Row>, rhs: Vec<Row>, grid: Grid) -> Vec<Row> {
    let others = masked(&Binary { op: BinaryOp::Unless, ..node.clone() }, rhs, &lhs, grid, false);
    // The same series may come from both sides, at different steps.
    let mut known: HashMap<(Labels, bool), usize> = HashMap::new();
    for (at, row) in lhs.iter().enumerate() {
        known.insert((row.labels.clone(), row.drop_name), at);
    }
    for row in others {
        match known.get(&(row.labels.clone(), row.drop_name)) {
            Some(&at) if (0..grid.count).all(|step| !(row.points.has(step) && lhs[at].points.has(step))) => {
                // They do not overlap, so this cannot fail.
                let _ = merge(&mut lhs[at], row);
            }
            _ => lhs.push(row),
        }
    }
    lhs
}

/// Operators between two vectors, but for set operators.
fn vectors(
    node: &Binary,
    lhs: &[Row],
    rhs: &[Row],
    grid: Grid,
    notes: &mut Notes,
) -> Result<Vec<Row>, Error> {
    let matching = &node.matching;
    // "one" has one row for each signature; it is the right side unless the left one is.
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
    let mut partners = by_signature(matching, one);
    if partners.values().any(|members| members.len() > 1) {
        // Against nothing at all nothing is ambiguous.
        let everything: Vec<usize> = (0..many.len()).collect();
        let against = presence(many, &everything, grid);
        for (signature, members) in &partners {
            unique(matching, one, members, signature, &against, swapped)?;
        }
    }
    let (fill_many, fill_one) =
        if swapped { (matching.fill_rhs, matching.fill_lhs) } else { (matching.fill_lhs, matching.fill_rhs) };
    let mut join = Join { node, grid, swapped, out: Vec::new(), known: HashMap::new() };
    let mut matched: HashMap<Labels, Vec<bool>> = HashMap::new();
    let nobody = Vec::new();
    for row in many {
        let signature = signature(matching, &row.labels);
        let members = partners.get(&signature).unwrap_or(&nobody);
        if members.is_empty() && fill_one.is_none() {
            continue;
        }
        let taken = matched.entry(signature.clone()).or_insert_with(|| vec![false; grid.count]);
        join.row(row, one, members, fill_one, taken, notes)?;
    }
    if let Some(fill) = fill_many {
        for (signature, members) in partners.drain() {
            let taken = matched.get(&signature);
            join.unmatched(one, &members, fill, taken.map(Vec::as_slice), notes)?;
        }
    }
    Ok(join.out.into_iter().filter(|row| !row.points.is_absent()).collect())
}

/// Sees to it that at most one of the rows has a value at each step at which there
/// is something on the other side.
fn unique(
    matching: &Matching,
    rows: &[Row],
    members: &[usize],
    signature: &Labels,
    against: &[bool],
    left: bool,
) -> Result<(), Error> {
    if members.len() < 2 {
        return Ok(());
    }
    for (step, _) in against.iter().enumerate().filter(|(_, there)| **there) {
        let mut present = members.iter().filter(|&&member| rows[member].points.has(step));
        if let (Some(&first), Some(&second)) = (present.next(), present.next()) {
            let side = if left { "left" } else { "right" };
            let group = if matching.on { signature.clone() } else { signature.filter(|name| name != NAME) };
            return Err(Error::execution(format!(
                "found duplicate series for the match group {} on the {side} hand-side of the operation: \
                 [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                braces(&group),
                braces(&rows[first].labels),
                braces(&rows[second].labels)
            )));
        }
    }
    Ok(())
}

/// All labels in braces, the name too.
fn braces(labels: &Labels) -> String {
    let all: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", all.join(", "))
}

fn several() -> Error {
    Error::execution(
        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
    )
}

/// The result of an operator between vectors, as it grows.
struct Join<'a> {
    node: &'a Binary,
    grid: Grid,
    /// The left side is the one with unique signatures.
    swapped: bool,
    out: Vec<Row>,
    known: HashMap<Labels, usize>,
}

impl Join<'_> {
    /// Adds the results of a row of the "many" side.
    #[allow(clippy::too_many_arguments)]
    fn row(
        &mut self,
        row: &Row,
        one: &[Row],
        members: &[usize],
        fill: Option<f64>,
        taken: &mut [bool],
        notes: &mut Notes,
    ) -> Result<(), Error> {
        let one_to_one = self.node.matching.cardinality == Cardinality::OneToOne;
        if let (&[member], None) = (members, fill)
            && !self.node.op.is_trim()
            && row.points.histograms.is_empty()
            && one[member].points.histograms.is_empty()
        {
            let points = self.floats(&row.points, &one[member].points, one_to_one, taken)?;
            let labels = self.labels(&row.labels, Some(&one[member].labels));
            return self.push(labels, points, row.drop_name);
        }
        let mut results: HashMap<usize, Points> = HashMap::new();
        for (step, taken) in taken.iter_mut().enumerate() {
            if !row.points.has(step) {
                continue;
            }
            let partner = members.iter().position(|&member| one[member].points.has(step));
            if partner.is_none() && fill.is_none() {
                continue;
            }
            let result =
                self.step(&row.points, partner.map(|at| &one[members[at]].points), fill, step, notes);
            if one_to_one && partner.is_some() {
                if std::mem::replace(taken, true) {
                    return Err(several());
                }
            } else {
                *taken |= partner.is_some();
            }
            if let Some(result) = result {
                let key = partner.unwrap_or(usize::MAX);
                let points = results.entry(key).or_insert_with(|| Points::absent(self.grid.count));
                points.set(step, Some(result));
            }
        }
        let mut results: Vec<_> = results.into_iter().collect();
        results.sort_by_key(|(partner, _)| *partner);
        for (partner, points) in results {
            let labels = self.labels(&row.labels, members.get(partner).map(|&at| &one[at].labels));
            self.push(labels, points, row.drop_name)?;
        }
        Ok(())
    }

    /// The usual case: nothing but floats, of one row on either side.
    fn floats(
        &self,
        many: &Points,
        one: &Points,
        one_to_one: bool,
        taken: &mut [bool],
    ) -> Result<Points, Error> {
        let (op, comparison, return_bool) =
            (self.node.op, self.node.op.is_comparison(), self.node.return_bool);
        let mut points = Points::absent(self.grid.count);
        let values = many.floats.iter().zip(&one.floats).zip(taken).zip(&mut points.floats);
        for (((&many, &one), taken), out) in values {
            if !(is_point(many) && is_point(one)) {
                continue;
            }
            if std::mem::replace(taken, true) && one_to_one {
                return Err(several());
            }
            let (a, b) = if self.swapped { (one, many) } else { (many, one) };
            let (value, kept) = floats(op, a, b);
            if comparison && return_bool {
                *out = f64::from(u8::from(kept));
            } else if kept {
                *out = value;
            }
        }
        Ok(points)
    }

    /// The rows of the "one" side that found no partner, against a fill value.
    fn unmatched(
        &mut self,
        one: &[Row],
        members: &[usize],
        fill: f64,
        taken: Option<&[bool]>,
        notes: &mut Notes,
    ) -> Result<(), Error> {
        let filler = Points { floats: vec![fill; self.grid.count], histograms: Vec::new() };
        for row in members.iter().map(|&member| &one[member]) {
            let mut points = Points::absent(self.grid.count);
            for step in 0..self.grid.count {
                let free = !taken.is_some_and(|taken| taken[step]);
                if free && row.points.has(step) {
                    let result = self.step(&filler, Some(&row.points), None, step, notes);
                    points.set(step, result);
                }
            }
            let labels = self.labels(&signature(&self.node.matching, &row.labels), Some(&row.labels));
            self.push(labels, points, row.drop_name)?;
        }
        Ok(())
    }

    /// The result at a step, if there is one.
    fn step(
        &self,
        many: &Points,
        one: Option<&Points>,
        fill: Option<f64>,
        step: usize,
        notes: &mut Notes,
    ) -> Option<Sample> {
        let many = many.get(step)?;
        let one = match one {
            Some(points) => points.get(step)?,
            None => Sample::Float(fill?),
        };
        let (a, b) = if self.swapped { (&one, &many) } else { (&many, &one) };
        let (value, kept) = samples(self.node.op, a, b, notes)?;
        if self.node.return_bool {
            return Some(Sample::Float(f64::from(u8::from(kept))));
        }
        kept.then_some(value)
    }

    /// The labels of a result.
    fn labels(&self, many: &Labels, one: Option<&Labels>) -> Labels {
        let matching = &self.node.matching;
        let listed = |name: &str| matching.labels.iter().any(|label| label == name);
        let keep_name = !drops_name(self.node) || self.node.return_bool;
        let mut labels = if keep_name { many.clone() } else { many.without_name() };
        if matching.cardinality == Cardinality::OneToOne {
            labels = labels.filter(|name| if matching.on { listed(name) } else { !listed(name) });
        }
        if let Some(one) = one {
            for name in &matching.include {
                // Overwritten, or taken away if the other side has none.
                labels = labels.with(name, one.get(name));
            }
        }
        labels
    }

    fn push(&mut self, labels: Labels, points: Points, drop_name: bool) -> Result<(), Error> {
        let row = Row { labels, drop_name: drop_name || self.node.return_bool, points };
        match self.known.get(&row.labels) {
            Some(&at) => merge(&mut self.out[at], row).map_err(|_| {
                Error::execution("multiple matches for labels: grouping labels must ensure unique matches")
            }),
            None => {
                self.known.insert(row.labels.clone(), self.out.len());
                self.out.push(row);
                Ok(())
            }
        }
    }
}

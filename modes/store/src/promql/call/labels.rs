//! Functions that change labels.

use std::collections::HashMap;

use super::args::Args;
use crate::labels::{Labels, NAME};
use crate::matcher::anchored;
use crate::promql::Error;
use crate::promql::ast::is_label_name;
use crate::promql::value::Row;

pub fn call(function: &str, args: &mut Args<'_>) -> Result<Option<Vec<Row>>, Error> {
    match function {
        "label_replace" => replace(args).map(Some),
        "label_join" => join(args).map(Some),
        _ => Ok(None),
    }
}

fn replace(args: &mut Args<'_>) -> Result<Vec<Row>, Error> {
    let mut rows = args.vector()?;
    let [target, template, source, expression] =
        [args.string()?, args.string()?, args.string()?, args.string()?];
    let regex = anchored(&expression).map_err(|_| {
        Error::execution(format!("invalid regular expression in label_replace(): {expression}"))
    })?;
    if !is_label_name(&target) {
        return Err(Error::execution(format!("invalid destination label name in label_replace(): {target}")));
    }
    for row in &mut rows {
        let Some(captures) = regex.captures(row.labels.get(&source)) else { continue };
        let mut value = String::new();
        captures.expand(&template, &mut value);
        row.labels = row.labels.with(&target, &value);
        // A name that was given is one to keep.
        row.drop_name &= target != NAME;
    }
    merge(rows)
}

fn join(args: &mut Args<'_>) -> Result<Vec<Row>, Error> {
    let mut rows = args.vector()?;
    let (target, separator) = (args.string()?, args.string()?);
    let sources = args.strings()?;
    if let Some(wrong) = sources.iter().find(|source| !is_label_name(source)) {
        return Err(Error::execution(format!("invalid source label name in label_join(): {wrong}")));
    }
    if !is_label_name(&target) {
        return Err(Error::execution(format!("invalid destination label name in label_join(): {target}")));
    }
    for row in &mut rows {
        let values: Vec<&str> = sources.iter().map(|source| row.labels.get(source)).collect();
        row.labels = row.labels.with(&target, &values.join(&separator));
        row.drop_name &= target != NAME;
    }
    merge(rows)
}

/// Makes one of the series that have the same labels.
///
/// # Errors
///
/// When two of them have something at the same step.
pub fn merge(rows: Vec<Row>) -> Result<Vec<Row>, Error> {
    let mut known: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(&at) = known.get(&row.labels) else {
            known.insert(row.labels.clone(), merged.len());
            merged.push(row);
            continue;
        };
        let into = &mut merged[at];
        for step in 0..row.points.len() {
            if !row.points.has(step) {
                continue;
            }
            if into.points.has(step) {
                return Err(Error::execution("vector cannot contain metrics with the same labelset"));
            }
            into.points.set(step, row.points.get(step));
        }
    }
    Ok(merged)
}

//! `info()`: series with the labels of info metrics of the same target.

use std::collections::HashMap;

use super::Error;
use super::points::Points;
use super::value::{Grid, Row};
use crate::labels::{Labels, NAME};
use crate::matcher::Matcher;

/// What says which target a series is of.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
/// The metric whose labels are taken if no other is asked for.
const TARGET: &str = "target_info";

/// What is asked of info metrics: conditions on their names, and on other labels.
pub struct Wanted {
    pub names: Vec<Matcher>,
    data: Vec<Matcher>,
}

impl Wanted {
    pub fn new(matchers: &[Matcher]) -> Self {
        let (mut names, data): (Vec<_>, Vec<_>) =
            matchers.iter().cloned().partition(|matcher| matcher.name == NAME);
        if names.is_empty() {
            names.push(Matcher::equal(NAME, TARGET));
        }
        Self { names, data }
    }

    /// What the info series have to match.
    pub fn matchers(&self) -> Vec<Matcher> {
        self.names.iter().chain(&self.data).cloned().collect()
    }

    fn is_info(&self, labels: &Labels) -> bool {
        self.names.iter().all(|matcher| matcher.matches(labels.name()))
    }

    fn takes(&self, label: &str) -> bool {
        let identifying = label == NAME || IDENTIFYING.contains(&label);
        !identifying && (self.data.is_empty() || self.data.iter().any(|matcher| matcher.name == label))
    }
}

/// Adds labels of info series, whose values are the times of their samples, to rows.
/// Rows that are info series are left as they are.
///
/// # Errors
///
/// When two info series of a target are as new, or say different things.
pub fn join(base: Vec<Row>, infos: &[Row], wanted: &Wanted, grid: Grid) -> Result<Vec<Row>, Error> {
    // By target, and there by metric.
    let mut targets: HashMap<[&str; 2], HashMap<&str, Vec<&Row>>> = HashMap::new();
    for row in infos {
        let metrics = targets.entry(target(&row.labels)).or_default();
        metrics.entry(row.labels.name()).or_default().push(row);
    }
    targets.remove(&["", ""]);
    let optional = wanted.data.iter().all(|matcher| matcher.matches(""));
    let mut out = Vec::with_capacity(base.len());
    for row in base {
        if wanted.is_info(&row.labels) {
            out.push(row);
            continue;
        }
        let metrics = targets.get(&target(&row.labels));
        let mut joined: Vec<Row> = Vec::new();
        for step in 0..grid.count {
            let Some(sample) = row.points.get(step) else { continue };
            let mut added: Vec<(&str, &str)> = Vec::new();
            for rows in metrics.into_iter().flat_map(HashMap::values) {
                if let Some(info) = newest(rows, step)? {
                    add(&row.labels, &info.labels, wanted, &mut added)?;
                }
            }
            if added.is_empty() && !optional {
                continue;
            }
            let labels =
                added.iter().fold(row.labels.clone(), |labels, (name, value)| labels.with(name, value));
            let at = joined.iter().position(|row| row.labels == labels).unwrap_or_else(|| {
                let points = Points::absent(grid.count);
                joined.push(Row { labels, drop_name: row.drop_name, points });
                joined.len() - 1
            });
            joined[at].points.set(step, Some(sample));
        }
        out.append(&mut joined);
    }
    Ok(out)
}

fn target(labels: &Labels) -> [&str; 2] {
    IDENTIFYING.map(|name| labels.get(name))
}

/// The info series with the newest sample at a step.
fn newest<'a>(rows: &[&'a Row], step: usize) -> Result<Option<&'a Row>, Error> {
    let mut best: Option<&Row> = None;
    for row in rows.iter().copied().filter(|row| row.points.has(step)) {
        let time = row.points.floats[step];
        match best.map(|best| (best, best.points.floats[step])) {
            Some((known, known_time)) if known_time == time => {
                let ms = time * 1e3;
                return Err(Error::execution(format!(
                    "found duplicate series for info metric: existing {} @ {ms}, new {} @ {ms}",
                    known.labels, row.labels
                )));
            }
            Some((_, known_time)) if known_time > time => {}
            _ => best = Some(row),
        }
    }
    Ok(best)
}

/// Adds what a row does not have yet.
fn add<'a>(
    base: &Labels,
    info: &'a Labels,
    wanted: &Wanted,
    added: &mut Vec<(&'a str, &'a str)>,
) -> Result<(), Error> {
    for (name, value) in info.iter().filter(|(name, _)| wanted.takes(name)) {
        match added.iter().find(|(known, _)| known == &&**name) {
            Some((_, known)) if *known != &**value => {
                return Err(Error::execution(format!("conflicting label: {name}")));
            }
            None if base.get(name).is_empty() => added.push((name, value)),
            _ => {}
        }
    }
    Ok(())
}

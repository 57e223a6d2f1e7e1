//! OpenMetrics text: a family after the other, of each series all moments.
//!
//! Histograms become classic ones: a `le` for every bucket in which something
//! was ever counted. There is no `_sum`, which H2 histograms do not know, and
//! without it there may be no `_count`: that is the bucket `+Inf`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use serde_json::Value;

use super::Selection;
use crate::recording::buckets::bounds;
use crate::recording::output::Progress;
use crate::recording::{Column, Error, Kind};

/// Histograms are read in parts of this many rows.
const PART: usize = 512;

pub fn write(selection: &Selection, out: &mut dyn Write) -> Result<(), Error> {
    let recording = selection.recording;
    let mut families: BTreeMap<(&str, &'static str), Vec<&Column>> = BTreeMap::new();
    for &position in &selection.positions {
        let column = &recording.columns()[position];
        families.entry((&column.metric, column.kind.name())).or_default().push(column);
    }
    let descriptions = recording.json("descriptions")?.unwrap_or_default();
    let mut taken = BTreeSet::new();
    let mut progress = Progress::new(selection.positions.len());
    for ((metric, kind), columns) in families {
        let family = family(metric, kind, &mut taken);
        writeln!(out, "# TYPE {family} {kind}")?;
        if let Some(text) = descriptions.get(metric).and_then(Value::as_str) {
            writeln!(out, "# HELP {family} {}", escaped(text))?;
        }
        let mut seen = BTreeSet::new();
        for column in columns {
            let mut labels = labels(column);
            if !seen.insert(labels.clone()) {
                // Two columns of the same series: only their place differs.
                labels.push_str(if labels.is_empty() { "" } else { "," });
                labels.push_str(&format!("column=\"{}\"", column.position));
            }
            Series { selection, column, family: &family, labels: &labels }.write(out)?;
            progress.step();
        }
    }
    writeln!(out, "# EOF")?;
    Ok(())
}

/// A name that no other family has, nor any sample of another.
fn family(metric: &str, kind: &str, taken: &mut BTreeSet<String>) -> String {
    let mut name = valid(metric, true);
    if kind == "counter" {
        name = name.strip_suffix("_total").filter(|name| !name.is_empty()).unwrap_or(&name).into();
    }
    let names = |name: &str| -> Vec<String> {
        let suffixes: &[&str] = match kind {
            "counter" => &["", "_total", "_created"],
            "histogram" => &["", "_bucket", "_count", "_sum", "_created"],
            _ => &[""],
        };
        suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect()
    };
    while names(&name).iter().any(|name| taken.contains(name)) {
        name = format!("{name}_{kind}");
    }
    taken.extend(names(&name));
    name
}

/// What is not a name of Prometheus is made one.
fn valid(text: &str, colons: bool) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (c == ':' && colons);
    let name: String = text.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    match name.chars().next() {
        None => "_".into(),
        Some(first) if first.is_ascii_digit() => format!("_{name}"),
        Some(_) => name,
    }
}

fn labels(column: &Column) -> String {
    let mut taken = BTreeSet::from(["le".to_string(), "__name__".to_string()]);
    let label = |(key, value): (&String, &String)| {
        let mut name = valid(key, false);
        while !taken.insert(name.clone()) {
            name = format!("exported_{name}");
        }
        format!("{name}=\"{}\"", escaped(value))
    };
    column.labels.iter().map(label).collect::<Vec<_>>().join(",")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Seconds since the epoch.
fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

/// As Prometheus writes it.
fn float(number: u64) -> String {
    format!("{:?}", number as f64).replace('e', "e+")
}

fn braces(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

/// A column, and what it is called here.
struct Series<'a> {
    selection: &'a Selection<'a>,
    column: &'a Column,
    family: &'a str,
    labels: &'a str,
}

impl Series<'_> {
    fn write(&self, out: &mut dyn Write) -> Result<(), Error> {
        match self.column.kind {
            Kind::Histogram { grouping_power, max_value_power } => {
                self.histogram((grouping_power, max_value_power), out)
            }
            _ => self.scalars(out),
        }
    }

    fn scalars(&self, out: &mut dyn Write) -> Result<(), Error> {
        let Self { selection, column, .. } = self;
        let values = selection.recording.column(column.position, selection.rows.clone())?;
        let times = &selection.recording.timestamps()[selection.rows.clone()];
        let suffix = if column.kind == Kind::Counter { "_total" } else { "" };
        let head = format!("{}{suffix}{}", self.family, braces(self.labels));
        let counts = values.as_primitive_opt::<UInt64Type>();
        let gauges = values.as_primitive_opt::<Int64Type>();
        for (row, &time) in times.iter().enumerate().filter(|(row, _)| values.is_valid(*row)) {
            if let Some(counts) = counts {
                writeln!(out, "{head} {} {}", counts.value(row), seconds(time))?;
            } else if let Some(gauges) = gauges {
                writeln!(out, "{head} {} {}", gauges.value(row), seconds(time))?;
            }
        }
        Ok(())
    }

    /// Twice over the column: first for the buckets in use, which all rows share.
    fn histogram(&self, powers: (u8, u8), out: &mut dyn Write) -> Result<(), Error> {
        let mut used = BTreeSet::new();
        each(self.selection, self.column, |_, counts| {
            used.extend(counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(at, _)| at));
            Ok(())
        })?;
        let separator = if self.labels.is_empty() { "" } else { "," };
        let bucket = |le: &str| format!("{}_bucket{{{}{separator}le=\"{le}\"}}", self.family, self.labels);
        let head = |at: &usize| (*at, bucket(&float(bounds(powers.0, powers.1, *at).1)));
        let heads: Vec<_> = used.iter().map(head).collect();
        let all = bucket("+Inf");
        each(self.selection, self.column, |time, counts| {
            let time = seconds(time);
            let mut running = 0u64;
            for (at, head) in &heads {
                running = running.saturating_add(counts.get(*at).copied().unwrap_or_default());
                writeln!(out, "{head} {running} {time}")?;
            }
            writeln!(out, "{all} {running} {time}")?;
            Ok(())
        })
    }
}

/// Calls `each` with time and counts of every cell that is there.
fn each(
    selection: &Selection,
    column: &Column,
    mut each: impl FnMut(u64, &[u64]) -> Result<(), Error>,
) -> Result<(), Error> {
    let recording = selection.recording;
    for start in selection.rows.clone().step_by(PART) {
        let rows = start..selection.rows.end.min(start + PART);
        let values = recording.column(column.position, rows.clone())?;
        let Some(list) = values.as_list_opt::<i32>() else { continue };
        for (at, &time) in
            recording.timestamps()[rows].iter().enumerate().filter(|(at, _)| list.is_valid(*at))
        {
            let counts = list.value(at);
            if let Some(counts) = counts.as_primitive_opt::<UInt64Type>() {
                let counts: Vec<u64> = counts.iter().map(Option::unwrap_or_default).collect();
                each(time, &counts)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_and_differ() {
        let mut taken = BTreeSet::new();
        assert_eq!(family("requests_total", "counter", &mut taken), "requests");
        assert_eq!(family("requests", "gauge", &mut taken), "requests_gauge");
        assert_eq!(family("9 lives", "gauge", &mut taken), "_9_lives");
        assert_eq!(family("a_count", "counter", &mut taken), "a_count");
        assert_eq!(family("a", "histogram", &mut taken), "a_histogram");
        assert_eq!(escaped("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
        assert_eq!(seconds(1_000_000_001), "1.000000001");
    }
}

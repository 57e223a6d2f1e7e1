//! What a recording consists of: files, or whatever has columns.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow_schema::{DataType, Field};

use super::chunk::{Axis, Chunk};
use super::values;
use crate::labels::{Labels, NAME, is_plain_name};

/// Keys of a field's metadata that are not labels.
const NOT_LABELS: [&str; 6] =
    ["metric", "metric_type", "unit", "grouping_power", "max_value_power", "description"];

/// Rows with the same columns, one group after the other in time.
pub trait Part: Send + Sync {
    /// What it is called in errors.
    fn name(&self) -> String;

    /// The series. No two have the same labels.
    fn columns(&self) -> &[Column];

    fn groups(&self) -> &[Group];

    /// ns between rows, as far as is known.
    fn interval(&self) -> i64;

    /// The times of all rows of a group, ns since the epoch.
    ///
    /// # Errors
    ///
    /// Names the part, the place in it and what is wrong.
    fn times(&self, group: usize) -> Result<Vec<i64>, String>;

    /// A column of a group: at least what it is at the `wanted` ones of the group's times.
    ///
    /// # Errors
    ///
    /// Names the part, the place in it and what is wrong.
    fn decode(
        &self,
        group: usize,
        column: usize,
        axis: &Axis,
        wanted: Range<usize>,
    ) -> Result<Decoded, String>;

    /// What metrics mean: name to sentence.
    fn descriptions(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Columns that are no series, though they should perhaps be.
    fn unread(&self) -> &[Unread] {
        &[]
    }

    /// Whether it stays as it is, so that what is decoded can be kept.
    fn is_settled(&self) -> bool {
        true
    }
}

/// What was decoded of a column of a group.
#[derive(Debug)]
pub struct Decoded {
    /// At which of the group's times.
    pub at: Range<usize>,
    pub chunk: Chunk,
}

impl Decoded {
    /// All of a group.
    pub fn whole(axis: &Axis, chunk: Chunk) -> Self {
        Self { at: 0..axis.len(), chunk }
    }

    /// Whether it has a value at each of its times, and no other.
    pub(super) fn is_full(&self, axis: &Axis) -> bool {
        self.chunk.times().same_part(&axis.times, &self.at)
    }
}

/// Rows of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub rows: usize,
    /// Times of the first and last row, ns since the epoch.
    pub first: i64,
    pub last: i64,
}

/// A column that is neither numbers nor a histogram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    pub name: String,
    /// As Arrow calls it.
    pub data: String,
}

/// So many are named.
const MOST_NAMED: usize = 5;

/// Says which columns of a part are no series.
pub fn left_out(part: &str, unread: &[Unread]) -> String {
    let named = unread.iter().take(MOST_NAMED).map(|column| format!("`{}` ({})", column.name, column.data));
    let mut named = named.collect::<Vec<_>>().join(", ");
    if unread.len() > MOST_NAMED {
        named += ", ...";
    }
    let (count, are) = (unread.len(), if unread.len() == 1 { "column is" } else { "columns are" });
    format!("{part}: {count} {are} neither numbers nor histograms, and left out: {named}")
}

/// A series of a part.
#[derive(Clone, Debug)]
pub struct Column {
    pub labels: Labels,
    pub kind: Kind,
    pub unit: String,
    pub help: String,
    /// Its numbers are signed, if they are whole.
    pub signed: bool,
    /// Where it is in the file.
    pub leaf: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    /// Counts per H2 bucket since the source began.
    Histogram {
        grouping_power: u8,
        max_value_power: u8,
    },
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram { .. } => "histogram",
        }
    }

    /// How many buckets there are; 1 for a number, None if there is no such histogram.
    /// Formula: the histogram crate's configuration, (n - g + 1) * 2^g.
    pub fn width(self) -> Option<usize> {
        let Self::Histogram { grouping_power, max_value_power } = self else { return Some(1) };
        let (g, n) = (usize::from(grouping_power), usize::from(max_value_power));
        // The field uses powers up to 7.
        (g < n && n <= 64 && g <= 13).then(|| (n - g + 1) << g)
    }
}

impl Column {
    /// The series that a field is, at a position among the file's fields. None if it
    /// is none: times, sidecars, and what is neither number nor histogram.
    ///
    /// The field's metadata says name and labels; characters that cannot stand
    /// in a name without quotes become underscores. Without a name there, the
    /// column's own counts.
    pub fn of_field(position: usize, field: &Field) -> Option<Self> {
        if is_aside(position, field) {
            return None;
        }
        let name = field.name().as_str();
        let metadata = field.metadata();
        let said = metadata.get("metric_type").map(String::as_str);
        if said == Some("sparse_histogram") {
            return None;
        }
        let signed = values::signed(field.data_type());
        let kind = match values::plain(field.data_type()) {
            // Others write either kind in any type, and say it.
            _ if signed.is_some() && said == Some("gauge") => Kind::Gauge,
            _ if signed.is_some() && said == Some("counter") => Kind::Counter,
            data if signed == Some(true) || values::is_level(data) => Kind::Gauge,
            _ if signed.is_some() => Kind::Counter,
            DataType::List(item) | DataType::LargeList(item) if *item.data_type() == DataType::UInt64 => {
                let power = |key: &str| metadata.get(key)?.parse().ok();
                Kind::Histogram {
                    grouping_power: power("grouping_power")?,
                    max_value_power: power("max_value_power")?,
                }
            }
            _ => return None,
        };
        kind.width()?;
        let base = name.strip_suffix(":buckets").unwrap_or(name);
        let metric = metadata.get("metric").filter(|metric| !metric.is_empty()).map_or(base, String::as_str);
        Some(Self {
            labels: labels(metric, metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()))),
            kind,
            unit: metadata.get("unit").cloned().unwrap_or_default(),
            help: metadata.get("description").cloned().unwrap_or_default(),
            signed: signed.unwrap_or(false),
            leaf: 0,
        })
    }
}

/// Whether a field is about the rows, or about another field.
pub fn is_aside(position: usize, field: &Field) -> bool {
    let name = field.name().as_str();
    let said = field.metadata().get("metric_type").map(String::as_str);
    let sidecar = [":window_begin", ":window_width", ":wall_offset"];
    matches!(said, Some("timestamp" | "duration"))
        || (position <= 1 && name == "timestamp")
        || (position <= 1 && name == "duration" && *field.data_type() == DataType::UInt64)
        || sidecar.iter().any(|suffix| name.ends_with(suffix))
}

/// The labels of a series, of what a field's metadata says.
pub fn labels<'a>(metric: &str, metadata: impl Iterator<Item = (&'a str, &'a str)>) -> Labels {
    let is_label =
        |key: &str| !NOT_LABELS.contains(&key) && !key.starts_with("PARQUET:") && !key.starts_with("ARROW:");
    let pairs = metadata.filter(|(key, _)| is_label(key)).map(|(key, value)| {
        let key = legal(key, false);
        // The name is the metric's.
        (if key == NAME { "exported__name__".into() } else { key }, value.to_owned())
    });
    Labels::new(pairs.chain([(NAME.into(), legal(metric, true))]))
}

/// A name without what cannot stand in one.
pub fn legal(name: &str, metric: bool) -> String {
    if is_plain_name(name, metric) {
        return name.into();
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (metric && c == ':');
    let mut out: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    if out.is_empty() || out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}

/// Tells columns with the same labels apart: the first stays as it is, others get
/// a label `column`, their name in the file, or their position if even this is taken.
///
/// Whether they are one series in turns cannot be told without reading them, and
/// the labels of a series must not depend on its values.
pub fn tell_apart(columns: &mut [Column], names: &[&str]) {
    let mut known = foldhash::HashSet::default();
    for (column, name) in columns.iter_mut().zip(names) {
        if known.insert(column.labels.clone()) {
            continue;
        }
        let mut told = column.labels.with("column", name);
        if known.contains(&told) {
            told = column.labels.with("column", &format!("{name}@{}", column.leaf));
        }
        known.insert(told.clone());
        column.labels = told;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::sync::Arc;

    fn field(name: &str, data: DataType, metadata: &[(&str, &str)]) -> Field {
        let metadata: HashMap<_, _> = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Field::new(name, data, true).with_metadata(metadata)
    }

    #[test]
    fn fields_of_all_forms_are_series() {
        let list = |name: &str| DataType::List(Arc::new(Field::new(name, DataType::UInt64, true)));
        let series = |field: &Field| Column::of_field(5, field).map(|c| (c.labels.to_string(), c.kind));
        let powers = [("grouping_power", "3"), ("max_value_power", "64")];
        let histogram = Kind::Histogram { grouping_power: 3, max_value_power: 64 };
        let counter = field(
            "0::24x1",
            DataType::UInt64,
            &[
                ("metric", "cpu.usage"),
                ("unit", "ns"),
                ("a.b", "c"),
                ("__name__", "x"),
                ("PARQUET:field_id", "1"),
            ],
        );
        assert_eq!(
            series(&counter),
            Some((r#"cpu_usage{a_b="c", exported__name__="x"}"#.into(), Kind::Counter))
        );
        let named = field("0::get/lat:buckets", list("element"), &powers);
        assert_eq!(series(&named), Some(("_0::get_lat".into(), histogram)));
        let said = [("metric_type", "counter")];
        for (data, said, kind) in [
            (DataType::Int64, &[][..], Kind::Gauge),
            (DataType::Float64, &[], Kind::Gauge),
            (DataType::Float32, &said, Kind::Counter),
            (DataType::Boolean, &[], Kind::Gauge),
            (DataType::UInt16, &[], Kind::Counter),
        ] {
            assert_eq!(series(&field("x", data, said)), Some(("x".into(), kind)));
        }
        for none in [
            field("x", list("item"), &[]),
            field("x", list("item"), &[("grouping_power", "9"), ("max_value_power", "3")]),
            field("x:window_begin", DataType::Int64, &[]),
            field("d", DataType::UInt64, &[("metric_type", "duration")]),
            field("x", DataType::Utf8, &[]),
            field("x", DataType::UInt64, &[("metric_type", "sparse_histogram")]),
        ] {
            assert_eq!(series(&none), None, "{none:?}");
        }
    }

    #[test]
    fn equals_are_told_apart() {
        let column = |leaf| Column {
            labels: Labels::new([(NAME, "a")]),
            kind: Kind::Gauge,
            unit: String::new(),
            help: String::new(),
            signed: true,
            leaf,
        };
        let mut columns = [column(2), column(3), column(4)];
        tell_apart(&mut columns, &["a", "a~2", "a~2"]);
        let labels: Vec<_> = columns.iter().map(|c| c.labels.to_string()).collect();
        assert_eq!(labels, ["a", r#"a{column="a~2"}"#, r#"a{column="a~2@4"}"#]);
    }
}

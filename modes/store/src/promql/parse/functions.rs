//! The functions of PromQL: what they take and yield.

use super::Type;

pub struct Function {
    pub name: &'static str,
    pub takes: &'static [Type],
    /// How many of the arguments: the fewest and the most.
    pub least: usize,
    pub most: usize,
    pub yields: Type,
}

/// A function by its name.
pub fn named(name: &str) -> Option<Function> {
    let (known, takes, yields) = signature(name)?;
    let (least, most) = match known {
        "label_join" => (3, usize::MAX),
        "sort_by_label" | "sort_by_label_desc" => (1, usize::MAX),
        "histogram_quantiles" => (3, 12),
        "round" | "info" => (1, 2),
        _ if is_date(known) => (0, 1),
        _ => (takes.len(), takes.len()),
    };
    Some(Function { name: known, takes, least, most, yields })
}

/// Functions that are about now if they are about nothing else.
fn is_date(name: &str) -> bool {
    matches!(
        name,
        "days_in_month"
            | "day_of_month"
            | "day_of_week"
            | "day_of_year"
            | "hour"
            | "minute"
            | "month"
            | "year"
    )
}

type Signature = (&'static str, &'static [Type], Type);

fn signature(name: &str) -> Option<Signature> {
    use Type::{Range, Scalar, String, Vector};
    const OTHERS: [Signature; 27] = [
        ("clamp", &[Vector, Scalar, Scalar], Vector),
        ("clamp_max", &[Vector, Scalar], Vector),
        ("clamp_min", &[Vector, Scalar], Vector),
        ("double_exponential_smoothing", &[Range, Scalar, Scalar], Vector),
        ("end", &[], Scalar),
        ("histogram_fraction", &[Scalar, Scalar, Vector], Vector),
        ("histogram_quantile", &[Scalar, Vector], Vector),
        ("histogram_quantiles", &[Vector, String, Scalar], Vector),
        ("info", &[Vector, Vector], Vector),
        ("label_join", &[Vector, String, String, String], Vector),
        ("label_replace", &[Vector, String, String, String, String], Vector),
        ("max_of", &[Scalar, Scalar], Scalar),
        ("min_of", &[Scalar, Scalar], Scalar),
        ("pi", &[], Scalar),
        ("predict_linear", &[Range, Scalar], Vector),
        ("quantile_over_time", &[Scalar, Range], Vector),
        ("range", &[], Scalar),
        ("round", &[Vector, Scalar], Vector),
        ("scalar", &[Vector], Scalar),
        ("sort_by_label", &[Vector, String], Vector),
        ("sort_by_label_desc", &[Vector, String], Vector),
        ("start", &[], Scalar),
        ("step", &[], Scalar),
        ("time", &[], Scalar),
        ("timestamp", &[Vector], Vector),
        ("vector", &[Scalar], Vector),
        ("absent", &[Vector], Vector),
    ];
    let of = |names: &'static [&'static str]| names.iter().copied().find(|known| *known == name);
    if let Some(name) = of(&OF_VECTOR) {
        return Some((name, &[Vector], Vector));
    }
    if let Some(name) = of(&OF_RANGE) {
        return Some((name, &[Range], Vector));
    }
    OTHERS.into_iter().find(|(known, ..)| *known == name)
}

const OF_VECTOR: [&str; 38] = [
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "deg",
    "exp",
    "floor",
    "histogram_avg",
    "histogram_count",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
    "hour",
    "ln",
    "log10",
    "log2",
    "minute",
    "month",
    "rad",
    "sgn",
    "sin",
    "sinh",
    "sort",
    "sort_desc",
    "sqrt",
    "tan",
    "tanh",
    "year",
];

const OF_RANGE: [&str; 24] = [
    "absent_over_time",
    "avg_over_time",
    "changes",
    "count_over_time",
    "delta",
    "deriv",
    "first_over_time",
    "idelta",
    "increase",
    "irate",
    "last_over_time",
    "mad_over_time",
    "max_over_time",
    "min_over_time",
    "present_over_time",
    "rate",
    "resets",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
];

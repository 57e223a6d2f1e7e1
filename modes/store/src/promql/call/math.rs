//! Functions of one float at a time. They leave out histograms.

use super::args::Args;
use super::without_empty;
use crate::promql::value::Row;
use crate::promql::{ABSENT, Error, is_absent};

pub fn call(function: &str, args: &mut Args<'_>) -> Result<Option<Vec<Row>>, Error> {
    if let Some(function) = one(function) {
        return Ok(Some(map(args.vector()?, |_, value| function(value))));
    }
    match function {
        "clamp" | "clamp_min" | "clamp_max" => {
            let rows = args.vector()?;
            let least = if function == "clamp_max" { None } else { Some(args.scalar()?) };
            let most = if function == "clamp_min" { None } else { Some(args.scalar()?) };
            Ok(Some(clamp(rows, least.as_deref(), most.as_deref())))
        }
        "round" => {
            let rows = args.vector()?;
            let nearest = if args.is_empty() { None } else { Some(args.scalar()?) };
            Ok(Some(map(rows, |step, value| {
                // Ties go up. By the inverse there are fewer rounding errors.
                let inverse = 1.0 / nearest.as_ref().map_or(1.0, |nearest| nearest[step]);
                (value * inverse + 0.5).floor() / inverse
            })))
        }
        _ => Ok(None),
    }
}

/// Applies a function to all floats; it also gets the step.
pub fn map(mut rows: Vec<Row>, each: impl Fn(usize, f64) -> f64) -> Vec<Row> {
    for row in &mut rows {
        row.drop_name = true;
        row.points.histograms = Vec::new();
        for (step, value) in row.points.floats.iter_mut().enumerate() {
            if !is_absent(*value) {
                *value = each(step, *value);
            }
        }
    }
    without_empty(rows)
}

fn clamp(rows: Vec<Row>, least: Option<&[f64]>, most: Option<&[f64]>) -> Vec<Row> {
    map(rows, |step, value| {
        let least = least.map_or(f64::NEG_INFINITY, |least| least[step]);
        let most = most.map_or(f64::INFINITY, |most| most[step]);
        if most < least { ABSENT } else { max(least, min(most, value)) }
    })
}

/// The greater one; NaN if one is, but for infinity (Go's `math.Max`).
pub fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

/// The lesser one; NaN if one is, but for minus infinity (Go's `math.Min`).
pub fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

fn one(function: &str) -> Option<fn(f64) -> f64> {
    Some(match function {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "sqrt" => f64::sqrt,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "asinh" => f64::asinh,
        "acosh" => f64::acosh,
        "atanh" => f64::atanh,
        "deg" => |value| value * 180.0 / std::f64::consts::PI,
        "rad" => |value| value * std::f64::consts::PI / 180.0,
        // Zero and NaN stay what they are.
        "sgn" => |value| match value {
            value if value < 0.0 => -1.0,
            value if value > 0.0 => 1.0,
            value => value,
        },
        _ => return None,
    })
}

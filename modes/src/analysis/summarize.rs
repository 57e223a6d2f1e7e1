//! How healthy a machine was: a record of a whole recording that programs can compare.

use rezolus_store::Source;
use rezolus_store::promql::{Error, Options};
use serde::Serialize;

use super::catalog::{Aspect, Direction, Resource};
use super::robust;
use super::signals::{self, Absent, Depth, Frame, Scope, Signal};

/// Which record it is. One more when a field is removed or means something else.
pub const SCHEMA_VERSION: u32 = 1;

/// A record of a recording.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    pub schema_version: u32,
    pub frame: Frame,
    /// Seconds between the first and the last step.
    pub duration: f64,
    /// All of them, in the same order in every record.
    pub resources: Vec<ResourceHealth>,
    pub remarks: Vec<String>,
}

/// What is known of a resource.
#[derive(Clone, Debug, Serialize)]
pub struct ResourceHealth {
    pub resource: Resource,
    pub utilisation: Vec<SignalHealth>,
    pub saturation: Vec<SignalHealth>,
    pub errors: Vec<SignalHealth>,
    pub traffic: Vec<SignalHealth>,
    pub latency: Vec<SignalHealth>,
    pub state: Vec<SignalHealth>,
    /// What cannot be said: it is not zero, it is not known.
    pub absent: Vec<Absent>,
}

/// Figures of a signal over its steps, in its unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SignalHealth {
    pub signal: String,
    pub title: String,
    pub unit: String,
    /// PromQL that gives the values.
    pub query: String,
    /// Which way is trouble.
    pub worse: Direction,
    /// The part of the steps that have a value, 0 to 1.
    pub coverage: f64,
    pub mean: f64,
    pub min: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
    /// ns since the epoch: when it was `max` first.
    pub max_at: i64,
}

/// The record of a source, or a part of it.
///
/// # Errors
///
/// When the source cannot be read.
pub fn summarize(
    source: &dyn Source,
    window: Option<(i64, i64)>,
    options: &Options,
) -> Result<Health, Error> {
    let made = signals::signals(source, Scope { window, depth: Depth::Resources }, options)?;
    let of = |resource: Resource| {
        let with = |aspect: Aspect| {
            let these =
                made.all.iter().filter(|signal| signal.resource == resource && signal.aspect == aspect);
            these.filter_map(|signal| figures(signal, &made.frame)).collect()
        };
        ResourceHealth {
            resource,
            utilisation: with(Aspect::Utilisation),
            saturation: with(Aspect::Saturation),
            errors: with(Aspect::Errors),
            traffic: with(Aspect::Traffic),
            latency: with(Aspect::Latency),
            state: with(Aspect::State),
            absent: made.absent.iter().filter(|absent| absent.resource == resource).cloned().collect(),
        }
    };
    Ok(Health {
        schema_version: SCHEMA_VERSION,
        frame: made.frame,
        duration: (made.frame.end() - made.frame.start).max(0) as f64 / 1e9,
        // Of what nobody said what it is there are no resources.
        resources: Resource::ALL
            .into_iter()
            .filter(|resource| *resource != Resource::Other)
            .map(of)
            .collect(),
        remarks: made.remarks.clone(),
    })
}

fn figures(signal: &Signal, frame: &Frame) -> Option<SignalHealth> {
    let mut sorted = robust::present(&signal.values);
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let at = |q: f64| robust::quantile(&sorted, q).unwrap_or(f64::NAN);
    let first = signal.values.iter().position(|value| *value == max).unwrap_or(0);
    Some(SignalHealth {
        signal: signal.id.clone(),
        title: signal.title.clone(),
        unit: signal.unit.clone(),
        query: signal.query.clone(),
        worse: signal.worse,
        coverage: sorted.len() as f64 / frame.count.max(1) as f64,
        mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
        min,
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        max,
        max_at: frame.time(first),
    })
}

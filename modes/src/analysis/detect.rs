//! Findings: what was unusual, from when to when, and where.

use std::collections::BTreeMap;

use rezolus_store::Source;
use rezolus_store::promql::{Error, Options};
use serde::Serialize;

use super::catalog::{Aspect, Direction, Resource};
use super::deviation::{self, Deviation, Shape};
use super::period::{self, Correlator, Period};
use super::signals::{self, Absent, Frame, Scope, Signal, Signals};
use super::{robust, trend};

/// Of the stretches that are called significant at most this part may be so by chance.
const WRONG: f64 = 1e-3;
/// What moves less than this is no part of a finding,
const WEAKEST: f64 = 0.35;
/// what moves most in it, moves at least this much,
const LEADING: f64 = 0.95;
/// and is either not alone: others, each of other metrics, add up to this,
const SUPPORT: f64 = 0.5;
/// or moves so much that it need not be confirmed.
const ALONE: f64 = 1.9;
/// A change for the better says less.
const BETTER: f64 = 0.4;
/// Deviations that begin so many steps apart begin together.
const TOGETHER: usize = 5;
/// What follows while something lasts is of it if the shorter of the two is at least this part of the other.
const SIMILAR: f64 = 0.2;
/// So much of the score of what moves most is enough to say when it began.
const DECIDES: f64 = 0.5;
/// How much the second, third... signal of a resource counts for it.
const FURTHER: f64 = 0.3;
/// Evidence of a finding.
const MOST_EVIDENCE: usize = 24;

/// What was unusual in a recording.
#[derive(Clone, Debug, Serialize)]
pub struct Detection {
    pub frame: Frame,
    /// In the order of their onsets.
    pub findings: Vec<Finding>,
    /// How many signals were looked at.
    pub signals: usize,
    pub absent: Vec<Absent>,
    pub remarks: Vec<String>,
}

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Signals left what is normal, and perhaps came back.
    Change,
    /// Something goes one way all the time.
    Drift,
    /// Something comes again and again.
    Periodic,
}

/// Signals that were unusual together.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub kind: Kind,
    /// ns since the epoch: the first step at which what moved most had left what is normal. What made it
    /// do so happened within the step before.
    pub onset: i64,
    /// ns: the last such step. That of the recording if it did not come back.
    pub end: i64,
    /// Whether it came back before the recording ended.
    pub over: bool,
    /// Of what is periodic: ns from one to the next.
    pub period: Option<i64>,
    /// Where it is: the first of `ranking`.
    pub resource: Resource,
    /// What was affected most, first.
    pub ranking: Vec<Rank>,
    /// How strong it is: that of the first of `ranking`. 1 is as much as matters at all; each 1 more is
    /// twice as far.
    pub score: f64,
    /// What moved first, most first; then the others by when they moved.
    pub evidence: Vec<Evidence>,
    /// How many more signals moved than `evidence` has.
    pub more: usize,
    /// In words.
    pub summary: String,
}

/// How much a resource was affected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rank {
    pub resource: Resource,
    pub score: f64,
    /// ns: when the first of its signals moved.
    pub onset: i64,
    pub signals: usize,
}

/// A signal that moved.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    pub signal: String,
    pub title: String,
    pub resource: Resource,
    pub aspect: Aspect,
    pub unit: String,
    /// PromQL; over the finding's span and before it shows what is said here.
    pub query: String,
    /// ns: from when to when.
    pub onset: i64,
    pub end: i64,
    pub shape: Shape,
    /// In the signal's unit: what was normal, and what it was in that span (the median; of a ramp how far
    /// it went; of bursts the mean).
    pub baseline: f64,
    pub level: f64,
    /// The standard deviation of what was normal, robustly.
    pub noise: f64,
    /// How much this says: the weight of the signal, times the logarithm (base 2) of 1 + the change in
    /// units of what matters.
    pub score: f64,
    /// How likely chance would go as far.
    pub p: f64,
}

/// Looks for what is unusual.
///
/// # Errors
///
/// When the source cannot be read.
pub fn detect(source: &dyn Source, scope: Scope, options: &Options) -> Result<Detection, Error> {
    let signals = signals::signals(source, scope, options)?;
    Ok(detect_in(signals))
}

/// A signal's deviation, and how much it says.
pub(super) struct Moved {
    pub signal: usize,
    pub deviation: Deviation,
    pub score: f64,
}

/// What was found in one signal.
#[derive(Default)]
struct Found {
    deviations: Vec<Deviation>,
    stretches: usize,
    period: Option<Period>,
    trend: Option<Deviation>,
}

/// Looks for what is unusual in signals.
pub fn detect_in(signals: Signals) -> Detection {
    let Signals { frame, all, absent, remarks } = signals;
    let found = look(&all, &frame);
    let moved = significant(&all, &found);
    let mut findings = periodic(&all, &found, &frame);
    findings.extend(drifts(&all, &found, &frame));
    findings.extend(
        joined(moved).into_iter().filter_map(|group| finding(Kind::Change, group, None, &all, &frame)),
    );
    findings.sort_by(|a, b| a.onset.cmp(&b.onset).then(b.score.total_cmp(&a.score)));
    Detection { frame, findings, signals: all.len(), absent, remarks }
}

/// Looks at each signal by itself, on all CPUs.
fn look(all: &[Signal], frame: &Frame) -> Vec<Found> {
    let correlator = Correlator::new(frame.count);
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let share = all.len().div_ceil(workers).max(1);
    let look = |signal: &Signal| look_at(signal, frame, &correlator);
    std::thread::scope(|scope| {
        let chunks: Vec<_> = all
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk.iter().map(look).collect::<Vec<Found>>()))
            .collect();
        let joined = chunks.into_iter().map(|chunk| match chunk.join() {
            Ok(found) => found,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.flatten().collect()
    })
}

fn look_at(signal: &Signal, frame: &Frame, correlator: &Correlator) -> Found {
    let period = period::period(&signal.values, signal.rule, correlator);
    // One time more or fewer is part of what comes again.
    let shortest = period.map_or(0, |period| 2 * period.steps);
    let looked = deviation::deviations(&signal.values, signal.rule, frame.seconds(), shortest);
    let level = matches!(signal.aspect, Aspect::Utilisation) && signal.quantile.is_none();
    let trend = Some(()).filter(|()| level && looked.deviations.is_empty() && period.is_none());
    let trend = trend.and_then(|()| trend::trend(&signal.values, signal.rule));
    Found { deviations: looked.deviations, stretches: looked.stretches, period, trend }
}

pub(super) fn adverse(signal: &Signal, change: f64) -> f64 {
    match signal.worse {
        Direction::Either => 1.0,
        Direction::High if change > 0.0 => 1.0,
        Direction::Low if change < 0.0 => 1.0,
        _ => BETTER,
    }
}

/// What is more than chance, of everything that was looked at.
fn significant(all: &[Signal], found: &[Found]) -> Vec<Moved> {
    let mut p: Vec<f64> =
        found.iter().flat_map(|found| found.deviations.iter().map(|deviation| deviation.p)).collect();
    let stretches: usize = found.iter().map(|found| found.stretches).sum();
    // Those in which nothing was found count as tried.
    p.resize(p.len().max(stretches), 1.0);
    let most = robust::significant(&mut p, WRONG);
    let mut moved = Vec::new();
    for (at, (signal, found)) in all.iter().zip(found).enumerate() {
        for deviation in found.deviations.iter().filter(|deviation| deviation.p <= most) {
            let score =
                signal.weight * deviation.severity * adverse(signal, deviation.level - deviation.baseline);
            if score >= WEAKEST {
                moved.push(Moved { signal: at, deviation: deviation.clone(), score });
            }
        }
    }
    moved
}

/// Puts together what happens at the same time: with what moved most of all that is left, what began with it, and
/// what followed while it lasted. What began before it is something else that goes on meanwhile.
fn joined(mut left: Vec<Moved>) -> Vec<Vec<Moved>> {
    left.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.signal.cmp(&b.signal)));
    let mut groups = Vec::new();
    while !left.is_empty() {
        let most = left[0].deviation.clone();
        let (group, others) =
            left.into_iter().partition(|moved| same_time(&most, &moved.deviation)) as (Vec<_>, Vec<_>);
        groups.push(group);
        left = others;
    }
    groups
}

fn same_time(most: &Deviation, other: &Deviation) -> bool {
    if most.onset.abs_diff(other.onset) <= TOGETHER {
        return true;
    }
    let length = |deviation: &Deviation| (deviation.end - deviation.onset + 1) as f64;
    let shared = (most.end.min(other.end) + 1).saturating_sub(most.onset.max(other.onset)) as f64;
    let (short, long) = (length(most).min(length(other)), length(most).max(length(other)));
    other.onset > most.onset && shared >= 0.5 * short && short >= SIMILAR * long
}

/// What comes again and again: signals with the same period are one.
fn periodic(all: &[Signal], found: &[Found], frame: &Frame) -> Vec<Finding> {
    let mut moved: Vec<(Period, Moved)> = Vec::new();
    for (at, (signal, found)) in all.iter().zip(found).enumerate() {
        let Some(period) = found.period else { continue };
        let matters = signal.rule.matter.max(signal.rule.relative * period.low.abs());
        let severity = (1.0 + period.amplitude / matters).log2();
        let deviation = Deviation {
            onset: period.first,
            end: period.last,
            baseline: period.low,
            level: period.low + period.amplitude,
            noise: 0.0,
            severity,
            // Of the autocorrelation, were it that of noise (Bartlett 1946).
            p: robust::tail(period.strength * (frame.count as f64).sqrt()),
            shape: Shape::Burst,
        };
        moved.push((period, Moved { signal: at, deviation, score: signal.weight * severity }));
    }
    moved.sort_by(|a, b| b.1.score.total_cmp(&a.1.score).then(a.1.signal.cmp(&b.1.signal)));
    let mut groups: Vec<(usize, Vec<Moved>)> = Vec::new();
    for (period, moved) in moved {
        let same = |steps: usize| steps.abs_diff(period.steps) <= 1.max(steps / 30);
        match groups.iter_mut().find(|(steps, _)| same(*steps)) {
            Some((_, group)) => group.push(moved),
            None => groups.push((period.steps, vec![moved])),
        }
    }
    groups
        .into_iter()
        .filter_map(|(steps, group)| finding(Kind::Periodic, group, Some(steps), all, frame))
        .collect()
}

/// What goes one way all the time is one thing, whatever shows it.
fn drifts(all: &[Signal], found: &[Found], frame: &Frame) -> Option<Finding> {
    let mut group = Vec::new();
    for (at, (signal, found)) in all.iter().zip(found).enumerate() {
        let Some(deviation) = &found.trend else { continue };
        let score =
            signal.weight * deviation.severity * adverse(signal, deviation.level - deviation.baseline);
        group.push(Moved { signal: at, deviation: deviation.clone(), score });
    }
    finding(Kind::Drift, group, None, all, frame)
}

/// A finding of what moved together, if it is one.
fn finding(
    kind: Kind,
    mut group: Vec<Moved>,
    period: Option<usize>,
    all: &[Signal],
    frame: &Frame,
) -> Option<Finding> {
    group.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.signal.cmp(&b.signal)));
    let top = group.first()?;
    let metrics = &all[top.signal].metrics;
    let mut others: BTreeMap<&[String], f64> = BTreeMap::new();
    for moved in group.iter().filter(|moved| &all[moved.signal].metrics != metrics) {
        let best = others.entry(&all[moved.signal].metrics).or_default();
        *best = best.max(moved.score);
    }
    let support: f64 = others.values().sum();
    if top.score < LEADING || (top.score < ALONE && support < SUPPORT) {
        return None;
    }
    let ranking = ranking(&group, all, frame);
    let first = *ranking.first()?;
    // What the resource itself shows is of it even if something else shows it better.
    let decides = |moved: &&Moved| {
        moved.score >= DECIDES * top.score
            || (moved.score >= LEADING && all[moved.signal].resource == first.resource)
    };
    let onset = group.iter().filter(decides).map(|moved| moved.deviation.onset).min()?;
    let end = group.iter().filter(decides).map(|moved| moved.deviation.end).max()?;
    let more = group.len().saturating_sub(MOST_EVIDENCE);
    // The strongest stay; of these, what moved first comes first.
    group.truncate(MOST_EVIDENCE);
    let late = |moved: &Moved| moved.deviation.onset.saturating_sub(onset + 2);
    group.sort_by(|a, b| {
        late(a).cmp(&late(b)).then(b.score.total_cmp(&a.score)).then(a.signal.cmp(&b.signal))
    });
    let evidence: Vec<Evidence> =
        group.iter().map(|moved| evidence(moved, &all[moved.signal], frame)).collect();
    let over = end + 1 < frame.count;
    let period = period.map(|steps| frame.step.saturating_mul(steps as i64));
    let summary = summary(kind, first.resource, &group, all, (onset, end, over), period, frame);
    let (onset, end) = (frame.time(onset), frame.time(end));
    Some(Finding {
        kind,
        onset,
        end,
        over,
        period,
        resource: first.resource,
        score: first.score,
        ranking,
        evidence,
        more,
        summary,
    })
}

pub(super) fn evidence(moved: &Moved, signal: &Signal, frame: &Frame) -> Evidence {
    let Deviation { onset, end, baseline, level, noise, p, shape, .. } = moved.deviation;
    Evidence {
        signal: signal.id.clone(),
        title: signal.title.clone(),
        resource: signal.resource,
        aspect: signal.aspect,
        unit: signal.unit.clone(),
        query: signal.query.clone(),
        onset: frame.time(onset),
        end: frame.time(end),
        shape,
        baseline,
        level,
        noise,
        score: moved.score,
        p,
    }
}

/// Resources by how much they were affected: by the strongest of their signals, and a part of the next ones.
pub(super) fn ranking(group: &[Moved], all: &[Signal], frame: &Frame) -> Vec<Rank> {
    let mut by: BTreeMap<Resource, Vec<&Moved>> = BTreeMap::new();
    for moved in group {
        by.entry(all[moved.signal].resource).or_default().push(moved);
    }
    let rank = |(resource, moved): (Resource, Vec<&Moved>)| {
        let mut best: BTreeMap<&[String], f64> = BTreeMap::new();
        for moved in &moved {
            let best = best.entry(&all[moved.signal].metrics).or_default();
            *best = best.max(moved.score);
        }
        let mut scores: Vec<f64> = best.into_values().collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let score = scores.iter().zip(0..).map(|(score, at)| score * FURTHER.powi(at)).sum();
        let onset = moved.iter().map(|moved| moved.deviation.onset).min().unwrap_or(0);
        Rank { resource, score, onset: frame.time(onset), signals: moved.len() }
    };
    let mut ranks: Vec<Rank> = by.into_iter().map(rank).collect();
    ranks.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.resource.cmp(&b.resource)));
    ranks
}

fn summary(
    kind: Kind,
    resource: Resource,
    group: &[Moved],
    all: &[Signal],
    (onset, end, over): (usize, usize, bool),
    period: Option<i64>,
    frame: &Frame,
) -> String {
    let strongest = group.iter().filter(|moved| all[moved.signal].resource == resource);
    let Some(moved) = strongest.max_by(|a, b| a.score.total_cmp(&b.score).then(b.signal.cmp(&a.signal)))
    else {
        return String::new();
    };
    let (signal, deviation) = (&all[moved.signal], &moved.deviation);
    let what = format!(
        "{}: {} ({}) from {} to {} {}",
        resource.name(),
        signal.title,
        signal.id,
        number(deviation.baseline),
        number(deviation.level),
        signal.unit
    );
    let seconds = (end - onset + 1) as f64 * frame.seconds();
    let others = group.len() - 1;
    let with = if others > 0 { format!(", with {others} other signals") } else { String::new() };
    match (kind, period) {
        (Kind::Periodic, Some(period)) => format!("{what}, every {} s{with}", number(period as f64 / 1e9)),
        (Kind::Drift, _) => format!("{what}, steadily over {} s{with}", number(seconds)),
        _ if over => format!("{what}, for {} s{with}", number(seconds)),
        _ => format!("{what}, for {} s and to the end{with}", number(seconds)),
    }
}

/// With three digits.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let digits = (2 - value.abs().log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

//! What changed first and most when something was wrong.

use rezolus_store::Source;
use rezolus_store::promql::{self, Error, Options, Value};
use rezolus_store::sample::Values;
use serde::Serialize;

use super::catalog::Resource;
use super::correlate;
use super::detect::{self, Evidence, Moved, Rank};
use super::deviation::{self, Rule};
use super::robust;
use super::signals::{self, Absent, Depth, Frame, Scope, Signals};
use crate::viewer::text;

/// What moves less than this is no candidate.
const WEAKEST: f64 = 0.35;
/// Of the candidates at most this part may be there by chance.
const WRONG: f64 = 1e-3;
/// Causes are looked for up to this part of the span's length ahead of it,
const AHEAD: usize = 4;
/// and so many steps at least.
const LEAST_AHEAD: usize = 10;
/// What is normal of a symptom's query is not known: half as much more is something.
const RELATIVE: f64 = 0.3;
const MOST_CANDIDATES: usize = 40;

/// What is to be explained.
#[derive(Clone, Copy, Debug)]
pub enum Symptom<'a> {
    /// Something was wrong from and to, ns since the epoch, both ends included.
    Window(i64, i64),
    /// A query's answer, the sum of its series, was not as it mostly is. `$interval` is the window of rates.
    Query(&'a str),
}

/// What may be behind it.
#[derive(Clone, Debug, Serialize)]
pub struct Causes {
    pub frame: Frame,
    /// ns: the span that was explained. None if the symptom's query shows nothing unusual.
    pub window: Option<(i64, i64)>,
    /// Of a symptom given as a query: that query, as it was evaluated.
    pub symptom: Option<String>,
    /// Resources by how much they moved.
    pub ranking: Vec<Rank>,
    /// What moved before the span began or with it, most first; then what moved later.
    pub candidates: Vec<Candidate>,
    pub absent: Vec<Absent>,
    pub remarks: Vec<String>,
    /// In words, with what this does not show.
    pub says: String,
}

/// A signal that moved.
#[derive(Clone, Debug, Serialize)]
pub struct Candidate {
    pub evidence: Evidence,
    /// ns from its onset to that of the symptom. Negative: it moved later.
    pub lead: i64,
    /// With the symptom's query, around the span: the correlation of ranks at the best lag within it.
    pub correlation: Option<correlate::Strength>,
}

/// Ranks what changed first and most. The span's signals are compared with what they were before it.
///
/// # Errors
///
/// When the source cannot be read, or the symptom is no query.
pub fn cause(
    source: &dyn Source,
    symptom: Symptom,
    depth: Depth,
    options: &Options,
) -> Result<Causes, Error> {
    let made = signals::signals(source, Scope { window: None, depth }, options)?;
    let (query, values) = match symptom {
        Symptom::Window(..) => (None, None),
        Symptom::Query(query) => {
            let query = text::fill(query, &made.frame.window(), "0.99");
            let values = total(source, &query, &made.frame, options)?;
            (Some(query), Some(values))
        }
    };
    let span = match symptom {
        Symptom::Window(from, to) => Some(made.frame.steps(from, to)).filter(|span| !span.is_empty()),
        Symptom::Query(_) => values.as_deref().and_then(|values| unusual(values, made.frame.seconds())),
    };
    let Some(span) = span else {
        let says = match query {
            Some(_) => "the symptom's query shows nothing unusual in this recording: give a window instead",
            None => "the recording has nothing in that window",
        };
        let Signals { frame, absent, remarks, .. } = made;
        let (ranking, candidates) = (Vec::new(), Vec::new());
        return Ok(Causes {
            frame,
            window: None,
            symptom: query,
            ranking,
            candidates,
            absent,
            remarks,
            says: says.into(),
        });
    };
    let moved = moved(&made, span.clone());
    let ranking = detect::ranking(&moved, &made.all, &made.frame);
    let mut candidates: Vec<Candidate> = moved
        .iter()
        .map(|moved| {
            let signal = &made.all[moved.signal];
            let lead = (span.start as i64 - moved.deviation.onset as i64).saturating_mul(made.frame.step);
            let correlation =
                values.as_deref().and_then(|values| alike(&signal.values, values, &span, &made.frame));
            Candidate { evidence: detect::evidence(moved, signal, &made.frame), lead, correlation }
        })
        .collect();
    // Within two steps nothing is first.
    let late = |candidate: &Candidate| (-candidate.lead).saturating_sub(2 * made.frame.step).max(0);
    candidates.sort_by(|a, b| {
        late(a)
            .cmp(&late(b))
            .then(b.evidence.score.total_cmp(&a.evidence.score))
            .then(a.evidence.signal.cmp(&b.evidence.signal))
    });
    candidates.truncate(MOST_CANDIDATES);
    let window = (made.frame.time(span.start), made.frame.time(span.end - 1));
    let says = says(&ranking, candidates.first());
    let Signals { frame, absent, remarks, .. } = made;
    Ok(Causes { frame, window: Some(window), symptom: query, ranking, candidates, absent, remarks, says })
}

/// The sum of a query's series at the steps.
fn total(source: &dyn Source, query: &str, frame: &Frame, options: &Options) -> Result<Vec<f64>, Error> {
    let mut sum = vec![f64::NAN; frame.count];
    let answer = promql::range(source, query, frame.start, frame.end(), frame.step, options)?;
    let Value::Matrix(all) = answer.value else { return Err(Error::bad_data("the query gives no series")) };
    for series in all {
        let Values::Floats(floats) = &series.samples.values else {
            return Err(Error::bad_data("the query gives histograms: take histogram_quantile() of it"));
        };
        for (&time, &value) in
            series.samples.times.iter().zip(floats.iter()).filter(|(_, value)| value.is_finite())
        {
            let step = ((time - frame.start) / frame.step) as usize;
            let Some(place) = sum.get_mut(step) else { continue };
            *place = if place.is_nan() { value } else { *place + value };
        }
    }
    Ok(sum)
}

/// Where a symptom is farthest from what it mostly is.
fn unusual(values: &[f64], seconds: f64) -> Option<std::ops::Range<usize>> {
    let mut sorted = robust::present(values);
    sorted.sort_by(f64::total_cmp);
    // A unit that is not known: a part of how far it ever goes matters.
    let reach = robust::quantile(&sorted, 0.99)? - robust::quantile(&sorted, 0.01)?;
    let rule = Rule { matter: 0.2 * reach, relative: RELATIVE, events: true };
    let looked = deviation::deviations(values, rule, seconds, 0);
    let worst = looked
        .deviations
        .into_iter()
        .max_by(|a, b| a.severity.total_cmp(&b.severity).then(b.onset.cmp(&a.onset)))?;
    Some(worst.onset..worst.end + 1)
}

/// The signals that moved in a span, most first.
fn moved(made: &Signals, span: std::ops::Range<usize>) -> Vec<Moved> {
    let before = (span.len() / AHEAD).max(LEAST_AHEAD);
    let mut all = Vec::new();
    for (at, signal) in made.all.iter().enumerate() {
        let Some(deviation) = deviation::within(&signal.values, signal.rule, span.clone(), before) else {
            continue;
        };
        let score = signal.weight
            * deviation.severity
            * detect::adverse(signal, deviation.level - deviation.baseline);
        all.push(Moved { signal: at, deviation, score });
    }
    let mut p: Vec<f64> = all.iter().map(|moved| moved.deviation.p).collect();
    p.resize(made.all.len(), 1.0);
    let most = robust::significant(&mut p, WRONG);
    all.retain(|moved| moved.deviation.p <= most && moved.score >= WEAKEST);
    all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.signal.cmp(&b.signal)));
    all
}

/// How a signal goes with the symptom, in the span and as long around it.
fn alike(
    signal: &[f64],
    symptom: &[f64],
    span: &std::ops::Range<usize>,
    frame: &Frame,
) -> Option<correlate::Strength> {
    let around = span.start.saturating_sub(span.len())..(span.end + span.len()).min(symptom.len());
    let most = (span.len() / AHEAD).min(LEAST_AHEAD);
    let found = correlate::strongest(&signal[around.clone()], &symptom[around], most, frame.step);
    found.map(|(_, best)| best)
}

fn says(ranking: &[Rank], first: Option<&Candidate>) -> String {
    let (Some(rank), Some(first)) = (ranking.first(), first) else {
        return "no signal moved in that window by as much as matters".into();
    };
    let names: Vec<&str> = ranking.iter().map(|rank| Resource::name(rank.resource)).collect();
    format!(
        "{} moved most ({}); first and strongest was {}: {} to {} {}. What moved first is where to look, not proof of a \
         cause: what is not measured may have moved before",
        rank.resource.name(),
        names.join(", "),
        first.evidence.signal,
        detect::number(first.evidence.baseline),
        detect::number(first.evidence.level),
        first.evidence.unit,
    )
}

//! Whether two signals go together, and which one goes first.

use rezolus_store::Source;
use rezolus_store::promql::{self, Error, Options, Value};
use rezolus_store::sample::Values;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::robust;
use super::signals::{self, Depth, Frame, Scope};
use crate::viewer::range::Line;
use crate::viewer::text;

/// Lags of at most this part of the series are looked at: of longer ones too little overlaps.
const LONGEST: usize = 4;
/// Pairs of values below which nothing is said.
const FEWEST: usize = 12;
/// Autocorrelations up to this part of the series count for how many values are independent.
const TAPER: usize = 5;

/// What is correlated: a query that gives one series, or several, of which each is paired with each.
/// `$interval` stands for the window that rates have elsewhere here.
#[derive(Clone, Debug)]
pub struct Pair<'a> {
    pub x: &'a str,
    pub y: &'a str,
    /// ns since the epoch; all of the source if None.
    pub window: Option<(i64, i64)>,
    /// Lags up to this many ns in both directions are looked at.
    pub most_lag: i64,
}

/// How two series go together.
#[derive(Clone, Debug, Serialize)]
pub struct Correlation {
    /// PromQL, and the labels of the one series of its answer.
    pub x: (String, String),
    pub y: (String, String),
    /// ns since the epoch.
    pub window: (i64, i64),
    /// At no lag.
    pub now: Strength,
    /// At the lag at which it is strongest.
    pub best: Strength,
    /// What it says, and what it does not.
    pub says: String,
}

/// How strongly two series go together at a lag.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Strength {
    /// ns. Positive: y follows x by so much.
    pub lag: i64,
    /// Of values,
    pub pearson: f64,
    /// and of their ranks.
    pub spearman: f64,
    /// Values that overlap,
    pub values: usize,
    /// and as how many independent pairs they count (Bartlett 1946, Bayley & Hammersley 1946).
    pub independent: f64,
    /// How likely chance would give as high a Pearson, and a Spearman; of the best lag times the number of lags
    /// tried (Bonferroni).
    pub p_pearson: f64,
    pub p_spearman: f64,
}

/// So many pairs of series are looked at.
const MOST_PAIRS: usize = 400;

/// Correlates each series of one query with each of another; strongest first.
///
/// # Errors
///
/// When a query is none, gives no numbers, or there would be too many pairs.
pub fn correlate(source: &dyn Source, pair: &Pair, options: &Options) -> Result<Vec<Correlation>, Error> {
    let scope = Scope { window: pair.window, depth: Depth::Resources };
    let Some(frame) = signals::frame_of(source, scope)? else { return Ok(Vec::new()) };
    let lookback = frame.step.max(frame.interval).saturating_mul(3);
    let options = Options { lookback, ..options.clone() };
    let evaluated = |query: &str| evaluated(source, query, &frame, &options);
    let ((x, xs), (y, ys)) = (evaluated(pair.x)?, evaluated(pair.y)?);
    if xs.len() * ys.len() > MOST_PAIRS {
        return Err(Error::bad_data(format!(
            "{} and {} series are too many pairs: aggregate, or select fewer",
            xs.len(),
            ys.len()
        )));
    }
    let most = usize::try_from(pair.most_lag.max(0) / frame.step).unwrap_or(0).min(frame.count / LONGEST);
    let mut all = Vec::new();
    for left in &xs {
        for right in &ys {
            let Some((now, best)) = strongest(&left.values, &right.values, most, frame.step) else {
                continue;
            };
            all.push(Correlation {
                x: (x.clone(), left.labels.to_string()),
                y: (y.clone(), right.labels.to_string()),
                window: (frame.start, frame.end()),
                now,
                best,
                says: says(&now, &best),
            });
        }
    }
    let strength = |correlation: &Correlation| correlation.best.spearman.abs();
    all.sort_by(|a, b| strength(b).total_cmp(&strength(a)).then_with(|| (&a.x, &a.y).cmp(&(&b.x, &b.y))));
    Ok(all)
}

/// A query's series at the steps, and the query as it was evaluated.
fn evaluated(
    source: &dyn Source,
    query: &str,
    frame: &Frame,
    options: &Options,
) -> Result<(String, Vec<Line>), Error> {
    let query = text::fill(query, &frame.window(), "0.99");
    let answer = promql::range(source, &query, frame.start, frame.end(), frame.step, options)?;
    let Value::Matrix(all) = answer.value else {
        return Err(Error::bad_data("the query gives no series"));
    };
    let mut lines = Vec::new();
    for series in all {
        let Values::Floats(floats) = &series.samples.values else {
            return Err(Error::bad_data("the query gives histograms: take histogram_quantile() of it"));
        };
        let mut values = vec![f64::NAN; frame.count];
        for (&time, &value) in series.samples.times.iter().zip(floats.iter()) {
            let step = ((time - frame.start) / frame.step) as usize;
            values.get_mut(step).into_iter().for_each(|place| *place = value);
        }
        lines.push(Line { labels: series.labels, quantile: None, values });
    }
    Ok((query, lines))
}

/// At no lag, and at the best of all lags up to `most` steps of `step` ns.
pub(super) fn strongest(x: &[f64], y: &[f64], most: usize, step: i64) -> Option<(Strength, Strength)> {
    let now = at_lag(x, y, 0, step)?;
    let mut best = now;
    for lag in (1..=most as i64).flat_map(|lag| [lag, -lag]) {
        // Only what both say: one spike that meets another is high in values and not in ranks.
        let both = |strength: &Strength| strength.pearson.abs().min(strength.spearman.abs());
        if let Some(strength) = at_lag(x, y, lag, step).filter(|strength| both(strength) > both(&best)) {
            best = strength;
        }
    }
    let tried = (2 * most + 1) as f64;
    best.p_pearson = (best.p_pearson * tried).min(1.0);
    best.p_spearman = (best.p_spearman * tried).min(1.0);
    Some((now, best))
}

fn at_lag(x: &[f64], y: &[f64], lag: i64, step: i64) -> Option<Strength> {
    let shift = lag.unsigned_abs() as usize;
    let (x, y) = if lag >= 0 { (x, y.get(shift..)?) } else { (x.get(shift..)?, y) };
    let there = x.iter().zip(y).filter(|(x, y)| x.is_finite() && y.is_finite());
    let (x, y): (Vec<f64>, Vec<f64>) = there.map(|(x, y)| (*x, *y)).unzip();
    if x.len() < FEWEST {
        return None;
    }
    let pearson = pearson(&x, &y)?;
    let (ranks_x, ranks_y) = (ranks(&x), ranks(&y));
    let spearman = self::pearson(&ranks_x, &ranks_y)?;
    let independent = independent(&ranks_x, &ranks_y);
    let (p_pearson, p_spearman) = (p(pearson, independent), p(spearman, independent));
    let lag = lag.saturating_mul(step);
    Some(Strength { lag, pearson, spearman, values: x.len(), independent, p_pearson, p_spearman })
}

/// None if one of them is constant.
fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let count = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / count, y.iter().sum::<f64>() / count);
    let (mut product, mut square_x, mut square_y) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        product += (x - mean_x) * (y - mean_y);
        square_x += (x - mean_x).powi(2);
        square_y += (y - mean_y).powi(2);
    }
    let power = square_x.sqrt() * square_y.sqrt();
    (power > 0.0 && power.is_finite()).then(|| (product / power).clamp(-1.0, 1.0))
}

/// Places in the order of size; those of equals are the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut place = 0;
    for same in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = place as f64 + (same.len() as f64 - 1.0) / 2.0;
        same.iter().for_each(|&at| ranks[at] = rank);
        place += same.len();
    }
    ranks
}

/// As how many independent pairs two autocorrelated series count: n / (1 + 2 sum over lags k of
/// (1 - k/n) r_x(k) r_y(k)). The sum ends where either stops being like itself: what comes later is chance.
fn independent(x: &[f64], y: &[f64]) -> f64 {
    let count = x.len();
    let (like_x, like_y) =
        (robust::autocorrelations(x, count / TAPER), robust::autocorrelations(y, count / TAPER));
    let chance = 2.0 / (count as f64).sqrt();
    let both = like_x.iter().zip(&like_y).enumerate().take_while(|(_, (x, y))| **x > chance && **y > chance);
    let sum: f64 = both.map(|(at, (x, y))| (1.0 - (at + 1) as f64 / count as f64) * x * y).sum();
    (count as f64 / (1.0 + 2.0 * sum)).clamp(1.0, count as f64)
}

/// Two-sided, by Student's t with two degrees of freedom fewer than pairs.
fn p(correlation: f64, independent: f64) -> f64 {
    let freedom = independent - 2.0;
    if freedom < 1.0 {
        return 1.0;
    }
    let t = correlation.abs() * (freedom / (1.0 - correlation * correlation).max(1e-12)).sqrt();
    StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |student| (2.0 * student.sf(t)).clamp(0.0, 1.0))
}

fn says(now: &Strength, best: &Strength) -> String {
    let strong = best.pearson.abs().min(best.spearman.abs());
    let sure = best.p_pearson.max(best.p_spearman);
    let how = match strong {
        _ if sure > 0.01 => {
            return format!(
                "no more alike than chance makes two series of which {:.0} values are independent",
                best.independent
            );
        }
        strong if strong >= 0.8 => "strongly",
        strong if strong >= 0.5 => "clearly",
        _ => "weakly",
    };
    let way = if best.spearman >= 0.0 { "together" } else { "against each other" };
    let order = match best.lag {
        0 => "at the same time".into(),
        lag if lag > 0 => format!("y {:.1} s after x", lag as f64 / 1e9),
        lag => format!("x {:.1} s after y", -lag as f64 / 1e9),
    };
    let gain = if best.lag == 0 { "" } else { "; a lag that is no longer than the window of a rate is none" };
    let bent = if (best.pearson - best.spearman).abs() > 0.2 {
        "; the line and the ranks disagree, so a few values or a bend make much of it"
    } else {
        ""
    };
    format!(
        "they go {how} {way}, {order} (without a lag: {:.2}){gain}{bent}. It does not show that one causes the other: a third \
         thing, such as load, may move both, and what goes first need not be why",
        now.spearman
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(count: usize, rho: f64, seed: u64) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut last = 0.0;
        let mut next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            last = rho * last + (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
            last
        };
        (0..count + 50).map(&mut next).skip(50).collect()
    }

    #[test]
    fn what_wanders_by_itself_is_not_correlated() {
        for rho in [0.0, 0.7, 0.95] {
            let tries = 200;
            let wrong = (1..=tries).filter(|&seed| {
                let (x, y) = (made(600, rho, seed), made(600, rho, seed + 10_000));
                strongest(&x, &y, 0, 1).is_some_and(|(now, _)| now.p_pearson < 0.01)
            });
            let wrong = wrong.count();
            println!("rho {rho}: {wrong} of {tries} at p < 0.01");
            // One in a hundred is what p says; the number of independent values is itself estimated.
            assert!(wrong <= 10, "{rho}: {wrong}");
        }
    }

    #[test]
    fn the_lag_is_found_and_its_direction() {
        let x = made(400, 0.3, 5);
        let y: Vec<f64> =
            (0..400_usize).map(|at| at.checked_sub(7).map_or(0.0, |from| 2.0 * x[from])).collect();
        let (_, best) = strongest(&x, &y, 20, 1_000).unwrap();
        assert_eq!(best.lag, 7_000);
        assert!(best.pearson > 0.95 && best.p_spearman < 1e-6, "{best:?}");
        let (_, back) = strongest(&y, &x, 20, 1_000).unwrap();
        assert_eq!(back.lag, -7_000);
        assert!(strongest(&[1.0; 50], &x[..50], 5, 1).is_none());
    }
}

//! The levels of a signal, which of them is normal, and what deviates from it.

use super::deviation::{self, DEVIATIONS, Deviation, FEWEST, Looked, QUIETEST, Rule, Shape};
use super::{robust, segment};

/// A stretch has at least so many steps: what is shorter is a spike, which every machine has.
pub(super) const LEAST: usize = 5;
/// More than this are put together to blocks before change points are looked for.
const MOST_BLOCKS: usize = 900;
/// Half a window of the running median that says what is a spike.
const HALF: usize = 3;
/// So many blocks at most say where a level is while its noise is measured.
const AROUND: usize = 10;
/// A value farther from its neighbours than so many deviations counts as being that far (Huber 1964).
const CLAMP: f64 = 3.0;
/// A change point costs so many times the logarithm of the number of values (Zhang & Siegmund 2007).
const PENALTY: f64 = 3.0;
/// A level has to be so many times farther away than the signal goes by itself for as long.
const FARTHER: f64 = 1.5;
/// By itself: as far as in all but this part of the windows.
const BY_ITSELF: f64 = 0.99;
/// For as long, but no longer than so many steps: there would be too few windows.
const LONGEST: usize = 60;
/// A rate over two and a quarter steps rises during as many as this.
const RISE: usize = 3;
/// Up to so many steps a run may be spikes that happen to be near each other,
const SHORT: usize = 30;
/// so this part of its values has to be away from what is normal.
const HOLDS: f64 = 0.85;
/// A stretch that the signal's own excursions, following each other, would make this often is one of them.
const BY_CHANCE: f64 = 0.01;
/// What is normal has to hold for this part of the time.
const NORMAL: f64 = 0.35;

/// Stretches of a series, each with a level.
pub(super) struct Levels<'a> {
    values: &'a [f64],
    rule: Rule,
    /// First step, the step after the last one, and the median.
    all: Vec<(usize, usize, f64)>,
    /// Steps in a block.
    block: usize,
    /// So much is the variance of a mean of n values, times n, for long stretches.
    long_run: f64,
}

/// What is normal.
struct Normal {
    level: f64,
    /// The standard deviation of single values.
    noise: f64,
    /// Whether a stretch is part of it.
    part: Vec<bool>,
}

impl<'a> Levels<'a> {
    pub fn of(values: &'a [f64], rule: Rule) -> Self {
        let smooth = robust::running_median(values, HALF);
        let mut distances: Vec<f64> =
            values.iter().zip(&smooth).map(|(value, smooth)| (value - smooth).abs()).collect();
        let middle = robust::median_of(values).unwrap_or(0.0);
        let matters = rule.matter.max(rule.relative * middle.abs());
        let noise = robust::median(&mut distances).unwrap_or(0.0) * robust::MAD_SCALE;
        let most = CLAMP * noise.max(matters * QUIETEST);
        let calm: Vec<f64> = values
            .iter()
            .zip(&smooth)
            .map(|(value, smooth)| value.clamp(smooth - most, smooth + most))
            .collect();
        let block = values.len().div_ceil(MOST_BLOCKS);
        let blocks: Vec<f64> =
            calm.chunks(block).map(|chunk| chunk.iter().sum::<f64>() / chunk.len() as f64).collect();
        let floor = matters * QUIETEST;
        let long_run = robust::long_run_variance(&blocks, AROUND).max(floor * floor);
        let penalty = PENALTY * (blocks.len() as f64).ln() * long_run;
        let starts = segment::pelt(&blocks, penalty, LEAST.div_ceil(block).max(2));
        let ends = starts.iter().skip(1).map(|start| start * block).chain([values.len()]);
        let stretch = |(start, end): (&usize, usize)| {
            let from = start * block;
            (from, end, robust::median_of(&values[from..end]).unwrap_or(0.0))
        };
        let all = starts.iter().zip(ends).map(stretch).collect();
        Self { values, rule, all, block, long_run: long_run * block as f64 }
    }

    fn matters(&self, level: f64) -> f64 {
        self.rule.matter.max(self.rule.relative * level.abs()).max(f64::MIN_POSITIVE)
    }

    /// The level that holds longest. One that is there at the beginning and at the end is what was left
    /// and come back to.
    fn normal(&self) -> Option<Normal> {
        let count = self.values.len();
        let near = |a: f64, b: f64| (a - b).abs() <= self.matters(a.abs().min(b.abs()));
        let support = |&(_, _, level): &(usize, usize, f64)| {
            let held: usize =
                self.all.iter().filter(|other| near(other.2, level)).map(|(from, to, _)| to - from).sum();
            let first = self.all.first().is_some_and(|first| near(first.2, level));
            let last = self.all.last().is_some_and(|last| near(last.2, level));
            held as f64 + count as f64 * (0.15 * f64::from(u8::from(first)) + 0.1 * f64::from(u8::from(last)))
        };
        let chosen = self
            .all
            .iter()
            .map(support)
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))?
            .0;
        let level = self.all[chosen].2;
        let mut part: Vec<bool> = self.all.iter().map(|other| near(other.2, level)).collect();
        let mut values = self.normal_values(&part);
        if (values.len() as f64) < NORMAL * count as f64 {
            // What only went one way began where it was first.
            if !self.one_way() {
                return None;
            }
            part = (0..self.all.len()).map(|at| at == 0).collect();
            values = self.normal_values(&part);
        }
        if values.len() < FEWEST {
            return None;
        }
        let level = robust::median_of(&values)?;
        Some(Normal { level, noise: robust::spread(&values, level), part })
    }

    /// Whether each level is beyond the one before, on the same side.
    fn one_way(&self) -> bool {
        let ups = self.all.windows(2).filter(|pair| pair[1].2 > pair[0].2).count();
        self.all.len() > 3 && (ups == 0 || ups == self.all.len() - 1)
    }

    fn normal_values(&self, part: &[bool]) -> Vec<f64> {
        let kept = self.all.iter().zip(part).filter(|(_, part)| **part);
        kept.flat_map(|((from, to, _), _)| self.values[*from..*to].iter().copied()).collect()
    }

    pub fn deviations(&self) -> Looked {
        let stretches = self.all.len();
        let nothing = Looked { deviations: Vec::new(), stretches };
        let Some(normal) = self.normal() else { return nothing };
        if self.all.len() < 2 {
            return nothing;
        }
        let needed = self.matters(normal.level).max(DEVIATIONS * normal.noise);
        let beyond = |level: f64| (level - normal.level).abs() >= needed;
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for (at, &(_, _, level)) in self.all.iter().enumerate() {
            if normal.part[at] || !beyond(level) {
                continue;
            }
            match runs.last_mut() {
                Some((first, last)) if self.continues(*first, *last, at, &normal) => *last = at,
                _ => runs.push((at, at)),
            }
        }
        let found: Vec<Deviation> = runs.iter().filter_map(|run| self.deviation(*run, &normal)).collect();
        let sizes: Vec<f64> = found.iter().map(|found| (found.level - found.baseline).abs()).collect();
        let usual = deviation::usual(&sizes, self.values.len());
        let stands_out = sizes.iter().zip(usual).map(|(size, usual)| *size > 2.0 * usual);
        let found = found.into_iter().zip(stands_out).filter(|(_, stands_out)| *stands_out);
        let found = found.map(|(found, _)| found).collect();
        Looked { deviations: found, stretches }
    }

    /// Whether a stretch goes on with what a run of others began: on the same side, after a pause that is
    /// short for what surrounds it. A spike ahead of a long stretch is not its beginning.
    fn continues(&self, first: usize, last: usize, at: usize, normal: &Normal) -> bool {
        let side = |at: usize| self.all[at].2 > normal.level;
        let pause = self.all[at].0 - self.all[last].1;
        let (before, after) = (self.all[last].1 - self.all[first].0, self.all[at].1 - self.all[at].0);
        let short = LEAST.max((before + after) / 5).min(before.min(after) / 2);
        side(last) == side(at) && pause <= short
    }

    fn deviation(&self, (first, last): (usize, usize), normal: &Normal) -> Option<Deviation> {
        let (from, to) = (self.all[first].0, self.all[last].1);
        let mut level = robust::median_of(&self.values[from..to])?;
        let change = level - normal.level;
        if change.abs() < FARTHER * self.by_itself(normal, to - from) {
            return None;
        }
        if to - from <= SHORT && !self.holds(from, to, normal, change) {
            return None;
        }
        if self.by_chance(from, to, normal, change) > BY_CHANCE {
            return None;
        }
        let (mut onset, mut end) = self.edges((first, last), normal, change);
        let mut shape = Shape::Step;
        if let Some((begins, far)) = self.ramp(onset, end, normal) {
            (onset, level, shape) = (begins, far, Shape::Ramp);
        }
        end = end.max(onset);
        let change = level - normal.level;
        let steps = (end - onset + 1) as f64;
        let error = (self.long_run.max(normal.noise.powi(2)) / steps).sqrt().max(f64::MIN_POSITIVE);
        let severity = deviation::severity(change, self.matters(normal.level).max(2.0 * normal.noise));
        let p = robust::tail(change / error);
        let (baseline, noise) = (normal.level, normal.noise);
        Some(Deviation { onset, end, baseline, level, noise, severity, p, shape })
    }

    /// Whether nearly all values of a run are away from what is normal. A few spikes next to each other are
    /// not: between them it is as ever.
    fn holds(&self, from: usize, to: usize, normal: &Normal, change: f64) -> bool {
        let mut away: Vec<f64> =
            self.values[from..to].iter().map(|value| (value - normal.level) * change.signum()).collect();
        away.sort_by(f64::total_cmp);
        robust::quantile(&away, 1.0 - HOLDS).is_some_and(|least| least >= change.abs() / 3.0)
    }

    /// How many stretches that are as far away for as long are to be expected of a signal that leaves what is
    /// normal, and comes back, with the same probability at each step: a chain of two states (Gilbert 1960,
    /// on errors that come in bursts). With r excursions of h steps in all an excursion goes on with probability
    /// 1 - r/h (maximum likelihood), so r (1 - r/h)^(k - 1) of them last k steps or more.
    fn by_chance(&self, from: usize, to: usize, normal: &Normal, change: f64) -> f64 {
        let away = |value: &f64| (value - normal.level) * change.signum() >= change.abs() / 2.0;
        let count = |values: &[f64]| values.iter().filter(|value| away(value)).count();
        let (mut excursions, mut steps) = (0, 0);
        for (&(from, to, _), _) in self.all.iter().zip(&normal.part).filter(|(_, part)| **part) {
            let values = &self.values[from..to];
            steps += count(values);
            excursions += values.chunk_by(|a, b| away(a) == away(b)).filter(|run| away(&run[0])).count();
        }
        let (excursions, steps) = (excursions as f64, steps as f64);
        let goes_on = 1.0 - excursions / steps.max(1.0);
        let exponent = count(&self.values[from..to]).saturating_sub(1);
        excursions * goes_on.powf(exponent as f64)
    }

    /// How far medians of windows as long go from what is normal where all is normal.
    fn by_itself(&self, normal: &Normal, length: usize) -> f64 {
        let length = length.min(LONGEST);
        let mut far = Vec::new();
        for (&(from, to, _), _) in self.all.iter().zip(&normal.part).filter(|(_, part)| **part) {
            let mut start = from;
            while start + length <= to {
                let median = robust::median_of(&self.values[start..start + length]).unwrap_or(normal.level);
                far.push((median - normal.level).abs());
                start += length.div_ceil(2);
            }
        }
        far.sort_by(f64::total_cmp);
        robust::quantile(&far, BY_ITSELF).unwrap_or(0.0)
    }

    /// The first and last steps of a run of stretches: those at which its level, rather than what is normal,
    /// has the least sum of distances, which single excursions hardly move; and what leads there or away from
    /// there beyond what is normal.
    fn edges(&self, (first, last): (usize, usize), normal: &Normal, change: f64) -> (usize, usize) {
        let slack = self.block + LEAST + 1;
        let (from, to) = (self.all[first].0, self.all[last].1);
        let bound = (DEVIATIONS * normal.noise).clamp(0.2 * change.abs(), 0.6 * change.abs());
        let beyond = |at: usize| (self.values[at] - normal.level) * change.signum() >= bound;
        let rather =
            |at: usize, level: f64| (self.values[at] - normal.level).abs() - (self.values[at] - level).abs();
        let best = |places: &mut dyn Iterator<Item = usize>, level: f64, otherwise: usize| {
            let (mut sum, mut most) = (0.0, (0.0, otherwise));
            for at in places {
                sum += rather(at, level);
                if sum > most.0 {
                    most = (sum, at);
                }
            }
            most.1
        };
        let (lowest, inside) = (from.saturating_sub(slack), (from + slack).min(to));
        let mut onset = best(&mut (lowest..inside).rev(), self.all[first].2, from);
        let lowest = lowest.max(onset.saturating_sub(RISE));
        while onset > lowest && beyond(onset - 1) {
            onset -= 1;
        }
        let (inside, highest) = (to.saturating_sub(slack).max(onset), (to + slack).min(self.values.len()));
        let mut end = best(&mut (inside..highest), self.all[last].2, to - 1);
        let highest = highest.min(end + 1 + RISE);
        while end + 1 < highest && beyond(end + 1) {
            end += 1;
        }
        (onset, end.max(onset))
    }

    /// Where a line begins that leaves what is normal and explains a run much better than a level does,
    /// and where it ends up. The place of the knee is that of the least squares (Hudson 1966).
    fn ramp(&self, onset: usize, end: usize, normal: &Normal) -> Option<(usize, f64)> {
        let length = end + 1 - onset;
        if length < 4 * LEAST {
            return None;
        }
        let run = &self.values[onset..=end];
        let mean = run.iter().sum::<f64>() / length as f64;
        let flat: f64 = run.iter().map(|value| (value - mean).powi(2)).sum();
        let earliest = onset.saturating_sub(length / 2);
        let latest = onset + length / 4;
        let stride = (latest - earliest).div_ceil(400).max(1);
        let squares = |knee: usize| {
            let (mut product, mut square) = (0.0, 0.0);
            for at in knee..=end {
                let along = (at - knee) as f64;
                product += along * (self.values[at] - normal.level);
                square += along * along;
            }
            let slope = if square > 0.0 { product / square } else { 0.0 };
            let residual =
                |at: usize| (self.values[at] - normal.level - slope * at.saturating_sub(knee) as f64).powi(2);
            (slope, (earliest..=end).map(residual).sum::<f64>(), (onset..=end).map(residual).sum::<f64>())
        };
        let (knee, slope, within) = (earliest..=latest)
            .step_by(stride)
            .map(|knee| (knee, squares(knee)))
            .min_by(|a, b| a.1.1.total_cmp(&b.1.1))
            .map(|(knee, (slope, _, within))| (knee, slope, within))?;
        // A step has its level at once: of that a line explains little.
        (within < 0.35 * flat).then(|| (knee, normal.level + slope * (end - knee) as f64))
    }
}

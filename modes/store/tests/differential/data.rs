//! What both are asked about.

use std::fmt::Write as _;

use rezolus_store::labels::NAME;
use rezolus_store::memory::Memory;
use rezolus_store::{Labels, Sample};

use crate::queries::Random;

/// ms since the epoch; a whole number of minutes.
pub const START: i64 = 1_700_000_040_000;
/// One sample in so many ms,
const INTERVAL: i64 = 10_000;
/// so many ms after a whole second: evaluations are at half seconds.
const PHASE: i64 = 137;
const SAMPLES: i64 = 180;
/// How long there is data, ms.
pub const LENGTH: i64 = SAMPLES * INTERVAL;

pub struct Data {
    pub memory: Memory,
    /// The same as text.
    pub openmetrics: String,
}

impl Data {
    fn add(&mut self, labels: &[(&str, &str)], points: &[(i64, f64)]) {
        let labels = Labels::new(labels.iter().copied());
        let pairs = labels.iter().filter(|(name, _)| &***name != NAME);
        let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        for (at, value) in points {
            let millis = START + at * INTERVAL + PHASE;
            let shown = match *value {
                f64::INFINITY => "+Inf".to_owned(),
                f64::NEG_INFINITY => "-Inf".to_owned(),
                value => value.to_string(),
            };
            let (name, pairs) = (labels.name(), pairs.join(","));
            let seconds = format!("{}.{:03}", millis / 1000, millis % 1000);
            let _ = writeln!(self.openmetrics, "{name}{{{pairs}}} {shown} {seconds}");
            self.memory.append(&labels, millis * 1_000_000, Sample::Float(*value));
        }
    }
}

/// Gauges `g` and counters `c_total` with labels `id` and `state`, a classic
/// histogram `h_bucket`, one value per id `info`, and `odd` with NaN and infinities.
/// No two series of a metric ever have the same value: otherwise `topk` may choose.
/// Values are quarters, so that sums are exact.
pub fn generate(random: &mut Random) -> Data {
    let mut data = Data { memory: Memory::default(), openmetrics: String::new() };
    let series: Vec<(String, &str)> =
        (0..4).flat_map(|id| ["idle", "busy", "wait"].map(|state| (id.to_string(), state))).collect();
    let count = series.len() as f64;
    for (index, (id, state)) in series.iter().enumerate() {
        let labels = [(NAME, "g"), ("id", id.as_str()), ("state", *state)];
        let points: Vec<(i64, f64)> = times(random)
            .map(|at| (at, (random.below(500) as f64 * count + index as f64) / 4.0 - 500.0))
            .collect();
        data.add(&labels, &points);
    }
    // These begin well above zero, as the histograms do.
    for (index, (id, state)) in series.iter().enumerate() {
        let labels = [(NAME, "c_total"), ("id", id.as_str()), ("state", *state)];
        let (mut value, mut since_reset) = (1200.0 + index as f64, 0);
        let points: Vec<(i64, f64)> = times(random)
            .map(|at| {
                value += random.below(6) as f64 * count;
                since_reset += 1;
                if since_reset > 50 && random.below(15) == 0 {
                    (value, since_reset) = (600.0 + index as f64, 0);
                }
                (at, value)
            })
            .collect();
        data.add(&labels, &points);
    }
    for id in 0..4 {
        let id = id.to_string();
        let kind = if id == "0" { "a" } else { "b" };
        data.add(&[(NAME, "info"), ("id", &id), ("kind", kind)], &[(0, 1.0), (29, 1.0), (58, 1.0)]);
    }
    histograms(random, &mut data);
    let odd = [f64::NAN, f64::INFINITY, 2.5, f64::NEG_INFINITY, 0.0, -7.25, 1e9];
    let points: Vec<(i64, f64)> =
        times(random).map(|at| (at, odd[random.below(odd.len() as u64) as usize])).collect();
    data.add(&[(NAME, "odd")], &points);
    data.openmetrics.push_str("# EOF\n");
    data
}

/// A sample at the start of the series `t` for each value of the label `v`.
pub fn values(values: &[&str]) -> Data {
    let mut data = Data { memory: Memory::default(), openmetrics: String::new() };
    for value in values {
        data.add(&[(NAME, "t"), ("v", value)], &[(0, 1.0)]);
    }
    data.openmetrics.push_str("# EOF\n");
    data
}

/// The samples of a series: it may begin late, end early, and has gaps.
fn times(random: &mut Random) -> impl Iterator<Item = i64> + use<> {
    let mut present = vec![true; SAMPLES as usize];
    let mut leave_out = |first: u64, length: u64| {
        present.iter_mut().skip(first as usize).take(length as usize).for_each(|at| *at = false);
    };
    if random.below(4) == 0 {
        leave_out(0, random.below(60));
    }
    if random.below(4) == 0 {
        leave_out(120 + random.below(60), 60);
    }
    for _ in 0..random.below(4) {
        leave_out(random.below(SAMPLES as u64), 1 + random.below(40));
    }
    (0..SAMPLES).zip(present).filter_map(|(at, present)| present.then_some(at))
}

fn histograms(random: &mut Random, data: &mut Data) {
    for id in 0..3 {
        let id = id.to_string();
        let bounds = ["0.5", "1", "2.5", "10", "+Inf"];
        // Well above zero: Prometheus 3 has another order of the rules for series that
        // may have begun at zero.
        let mut counts = [2000.0, 2500.0, 3000.0, 4000.0, 4500.0];
        let mut all: [Vec<(i64, f64)>; 5] = Default::default();
        for at in times(random) {
            for bucket in 0..5 {
                let more = random.below(9) as f64;
                counts[bucket..].iter_mut().for_each(|count| *count += more);
            }
            all.iter_mut().zip(counts).for_each(|(points, count)| points.push((at, count)));
        }
        for (bound, points) in bounds.iter().zip(&all) {
            data.add(&[(NAME, "h_bucket"), ("id", &id), ("le", bound)], points);
        }
    }
}

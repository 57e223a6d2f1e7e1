//! What is found in made-up signals, and what is not.

mod machine;

use super::deviation::{self, Rule, Shape};
use super::period::{self, Correlator};
use super::{robust, trend};
use proptest::prelude::*;

/// Numbers that are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// About normal (Irwin-Hall of 12).
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

#[derive(Clone, Copy, Debug)]
enum Noise {
    White,
    /// Each value depends on the one before.
    Correlated(f64),
    /// As latencies are.
    Heavy,
    /// High for a few steps, now and then.
    Bursty,
    Walk,
    /// Poisson-like events that are rare.
    Rare,
}

const NOISES: [Noise; 8] = [
    Noise::White,
    Noise::Correlated(0.5),
    Noise::Correlated(0.9),
    Noise::Correlated(0.97),
    Noise::Heavy,
    Noise::Bursty,
    Noise::Walk,
    Noise::Rare,
];

/// Values around 100 whose noise is about 10; what matters is 20.
fn noise(kind: Noise, count: usize, seed: u64) -> Vec<f64> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (0..20).for_each(|_| _ = random.next());
    let mut state = 0.0;
    let mut left = 0;
    let mut one = |_| match kind {
        Noise::White => 100.0 + 10.0 * random.normal(),
        Noise::Correlated(rho) => {
            state = rho * state + (1.0 - rho * rho).sqrt() * random.normal();
            100.0 + 10.0 * state
        }
        Noise::Heavy => 100.0 * (0.4 * random.normal()).exp() / (0.02 + random.next()).powf(0.3),
        Noise::Bursty => {
            if left == 0 && random.next() < 0.03 {
                left = 1 + (random.next() * 4.0) as usize;
            }
            let high = left > 0;
            left = left.saturating_sub(1);
            if high { 300.0 + 100.0 * random.next() } else { 100.0 + 5.0 * random.normal() }
        }
        Noise::Walk => {
            state = (state + 4.0 * random.normal()).clamp(-95.0, 200.0);
            100.0 + state
        }
        Noise::Rare => {
            if random.next() < 0.01 {
                5.0 * random.next()
            } else {
                0.0
            }
        }
    };
    (0..count).map(&mut one).collect()
}

fn rule(kind: Noise) -> Rule {
    Rule { matter: 20.0, relative: 0.3, events: matches!(kind, Noise::Rare) }
}

const HOUR: usize = 3600;

#[test]
fn noise_is_no_finding() {
    let correlator = Correlator::new(HOUR);
    for kind in NOISES {
        let (mut deviations, mut periods, mut trends) = (0, 0, 0);
        let hours = 12;
        for seed in 1..=hours {
            let values = noise(kind, HOUR, seed);
            let looked = deviation::deviations(&values, rule(kind), 1.0, 0);
            deviations += looked.deviations.iter().filter(|found| found.p < 1e-3).count();
            periods += usize::from(period::period(&values, rule(kind), &correlator).is_some());
            trends += usize::from(trend::trend(&values, rule(kind)).is_some());
        }
        println!(
            "{kind:?}: {deviations} deviations, {periods} periods, {trends} trends in {hours} signal-hours"
        );
        // A walk leaves any level for good reason; what it says needs others to say it too.
        let most = match kind {
            Noise::Walk => 2 * hours as usize,
            _ => 1,
        };
        assert!(
            deviations <= most && periods == 0 && trends <= 1,
            "{kind:?}: {deviations} {periods} {trends}"
        );
    }
}

#[test]
fn a_step_is_found_where_it_is() {
    for kind in [Noise::White, Noise::Correlated(0.5), Noise::Correlated(0.9), Noise::Heavy, Noise::Bursty] {
        let (mut found, mut placed, mut others) = (0, 0, 0);
        let tries = 40;
        for seed in 1..=tries {
            let mut random = Random(seed * 7919 + 1);
            (0..9).for_each(|_| _ = random.next());
            let count = 600 + (random.next() * 1200.0) as usize;
            let mut values = noise(kind, count, seed);
            let length = 60 + (random.next() * 180.0) as usize;
            let onset = 60 + (random.next() * (count - length - 120) as f64) as usize;
            values[onset..onset + length].iter_mut().for_each(|value| *value += 400.0);
            let looked = deviation::deviations(&values, rule(kind), 1.0, 0).deviations;
            let hit = looked.iter().find(|found| found.onset < onset + length && found.end >= onset);
            found += usize::from(hit.is_some());
            placed += usize::from(hit.is_some_and(|hit| hit.onset.abs_diff(onset) <= 2));
            others += looked.len() - usize::from(hit.is_some());
        }
        println!("{kind:?}: {found} of {tries} found, {placed} within two steps, {others} others");
        assert!(found >= 39 && placed >= 36 && others <= 1, "{kind:?}: {found} {placed} {others}");
    }
}

/// What is normal has to be known without a long history: of a minute a fourth may be the incident.
#[test]
fn a_step_is_found_in_a_minute() {
    for kind in [Noise::White, Noise::Correlated(0.5), Noise::Rare] {
        let (mut found, mut placed) = (0, 0);
        let tries = 40;
        for seed in 1..=tries {
            let mut random = Random(seed * 15_485_863 + 1);
            (0..9).for_each(|_| _ = random.next());
            let mut values = noise(kind, 60, seed);
            let length = 8 + (random.next() * 8.0) as usize;
            let onset = 10 + (random.next() * (45 - length) as f64) as usize;
            values[onset..onset + length].iter_mut().for_each(|value| *value += 200.0);
            let looked = deviation::deviations(&values, rule(kind), 1.0, 0).deviations;
            let hit = looked.iter().find(|found| found.onset < onset + length && found.end >= onset);
            found += usize::from(hit.is_some());
            placed += usize::from(hit.is_some_and(|hit| hit.onset.abs_diff(onset) <= 1));
        }
        println!("{kind:?}: {found} of {tries} found in a minute, {placed} within one step");
        assert!(found >= 38 && placed >= 36, "{kind:?}: {found} {placed}");
    }
}

#[test]
fn a_ramp_begins_where_it_leaves_what_is_normal() {
    let (mut found, mut placed) = (0, 0);
    let tries = 40;
    for seed in 1..=tries {
        let mut random = Random(seed * 104_729 + 1);
        (0..9).for_each(|_| _ = random.next());
        let mut values = noise(Noise::White, 900, seed);
        let onset = 200 + (random.next() * 300.0) as usize;
        (onset..900).for_each(|at| values[at] += 4.0 * (at - onset) as f64);
        let looked = deviation::deviations(&values, rule(Noise::White), 1.0, 0).deviations;
        let hit = looked.iter().find(|found| found.shape == Shape::Ramp);
        found += usize::from(hit.is_some());
        placed += usize::from(hit.is_some_and(|hit| hit.onset.abs_diff(onset) <= 3));
    }
    println!("{found} of {tries} ramps found, {placed} within three steps");
    assert!(found >= 38 && placed >= 34, "{found} {placed}");
}

#[test]
fn a_slow_leak_is_a_trend() {
    for seed in 1..=10 {
        let mut values = noise(Noise::Correlated(0.5), HOUR, seed);
        values.iter_mut().enumerate().for_each(|(at, value)| *value += 0.05 * at as f64);
        let found = trend::trend(&values, rule(Noise::White));
        assert!(found.is_some_and(|found| (found.level - found.baseline - 180.0).abs() < 20.0), "{seed}");
    }
}

#[test]
fn a_periodic_job_is_found_with_its_period() {
    let correlator = Correlator::new(900);
    for (seed, steps) in [(1, 10), (2, 30), (3, 60), (4, 17), (5, 120)] {
        for kind in [Noise::White, Noise::Correlated(0.5), Noise::Heavy] {
            let mut values = noise(kind, 900, seed);
            let busy = steps / 4;
            (0..900).filter(|at| at % steps < busy).for_each(|at| values[at] += 400.0);
            let found = period::period(&values, rule(kind), &correlator);
            assert!(
                found.is_some_and(|found| found.steps.abs_diff(steps) <= 1),
                "{kind:?} {steps}: {found:?}"
            );
            let shortest = 2 * steps;
            let looked = deviation::deviations(&values, rule(kind), 1.0, shortest);
            assert_eq!(looked.deviations, [], "{kind:?} {steps}");
        }
    }
}

#[test]
fn events_that_never_happen_count_when_they_do() {
    let mut values = vec![0.0; 900];
    values[400] = 0.5;
    values[401] = 0.5;
    let killed = Rule { matter: 0.05, relative: 1.0, events: true };
    let found = deviation::deviations(&values, killed, 1.0, 0).deviations;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].onset, found[0].end, found[0].shape), (400, 401, Shape::Burst));
}

#[test]
fn what_is_steady_or_hardly_there_is_nothing() {
    let of = |values: &[f64]| deviation::deviations(values, rule(Noise::White), 1.0, 0).deviations.len();
    let gaps: Vec<f64> = noise(Noise::White, HOUR, 1)
        .into_iter()
        .enumerate()
        .map(|(at, value)| if at % 300 < 60 { f64::NAN } else { value })
        .collect();
    assert_eq!(of(&[]), 0);
    assert_eq!(of(&[1.0]), 0);
    assert_eq!(of(&[f64::NAN; 100]), 0);
    assert_eq!(of(&[7.0; HOUR]), 0);
    assert_eq!(of(&gaps), 0);
    // Heavy load all the time.
    assert_eq!(of(&noise(Noise::White, HOUR, 3).iter().map(|value| value * 50.0).collect::<Vec<f64>>()), 0);
}

proptest! {
    #[test]
    fn a_running_median_is_the_median_of_each_window(
        values in proptest::collection::vec(prop_oneof![Just(0.0), Just(-0.0), Just(f64::NAN), -9.0f64..9.0], 0..60),
        half in 0usize..30,
    ) {
        for (at, median) in robust::running_median(&values, half).into_iter().enumerate() {
            let reach = half.min(at).min(values.len() - 1 - at);
            let mut window = values[at - reach..=at + reach].to_vec();
            window.sort_by(f64::total_cmp);
            prop_assert_eq!(median.to_bits(), window[reach].to_bits());
        }
    }

    #[test]
    fn nothing_is_too_strange(
        values in proptest::collection::vec(
            prop_oneof![
                Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(0.0), Just(-0.0),
                Just(f64::MAX), Just(f64::MIN), Just(f64::MIN_POSITIVE), -9.0f64..9.0, any::<f64>(),
            ],
            0..200,
        ),
        events: bool,
        shortest in 0usize..50,
    ) {
        let rule = Rule { matter: 1.0, relative: 0.5, events };
        let looked = deviation::deviations(&values, rule, 1.0, shortest);
        prop_assert!(looked.deviations.iter().all(|found| found.onset <= found.end && found.end < values.len()));
        let _ = period::period(&values, rule, &Correlator::new(values.len()));
        let _ = trend::trend(&values, rule);
        prop_assert_eq!(looked.deviations.len(), deviation::deviations(&values, rule, 1.0, shortest).deviations.len());
    }
}

//! When ticks are due, and what time they are given.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Points in time at whole multiples of an interval of wall time.
#[derive(Debug)]
pub struct Grid {
    interval: u64,
    /// The point handled last, ns since the epoch.
    last: Option<u64>,
    /// The clock when it was last looked at.
    seen: Option<Seen>,
}

/// What a clock showed (ns since the epoch), at some moment between two.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub clock: u64,
    pub from: Instant,
    pub to: Instant,
}

impl Seen {
    /// This machine's clock, now.
    pub fn now() -> Self {
        let from = Instant::now();
        let clock = nanos(SystemTime::now());
        Self { clock, from, to: Instant::now() }
    }

    /// By how much (ns) the clock was set since `before`, if it was: that much
    /// more went by on it than can have gone by.
    fn set_since(&self, before: &Self) -> Option<i128> {
        let signed = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
        let gone = i128::from(self.clock) - i128::from(before.clock);
        let least = signed(self.from.saturating_duration_since(before.to));
        let most = signed(self.to.saturating_duration_since(before.from));
        if gone < least - STEP || gone > most + STEP { Some(gone - (least + most) / 2) } else { None }
    }
}

pub fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

impl Grid {
    pub fn new(interval: Duration) -> Self {
        Self {
            interval: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1),
            last: None,
            seen: None,
        }
    }

    /// The next point, and how long until then. Late by a little is still in
    /// time; points that are gone by are not made up for.
    pub fn next(&mut self, seen: Seen) -> (u64, Duration) {
        self.follow(seen);
        let now = seen.clock;
        let current = now - now % self.interval;
        let next = match *self.last.get_or_insert(current) {
            // A clock that was set back by a little, but more than a point.
            last if last < current || last > now.saturating_add(2 * self.interval) => current,
            last => last + self.interval,
        };
        (next, Duration::from_nanos(next.saturating_sub(now)))
    }

    /// Moves along with a clock that is set, by whole points: so that as many
    /// pass as time does, none are missed, and none are waited for twice.
    fn follow(&mut self, seen: Seen) {
        let before = self.seen.replace(seen);
        let set = before.and_then(|before| seen.set_since(&before));
        if let (Some(set), Some(last)) = (set, &mut self.last) {
            let moved = u64::try_from((i128::from(*last) + set).max(0)).unwrap_or(u64::MAX);
            *last = moved.saturating_add(self.interval / 2) / self.interval * self.interval;
        }
    }

    /// Notes that a point is being handled. Returns how many were passed over.
    pub fn handle(&mut self, point: u64) -> u64 {
        let missed = match self.last {
            Some(last) if point > last => (point - last) / self.interval - 1,
            _ => 0,
        };
        self.last = Some(point);
        missed
    }
}

/// Times that only ever go up, though the clock they are read from may be set.
#[derive(Debug, Default)]
pub struct Timeline {
    before: Option<Seen>,
    /// How far this is ahead of the clock, ns.
    ahead: u64,
    last: u64,
}

/// Differences below this are the clock being steered, not set.
const STEP: i128 = 200_000_000;

impl Timeline {
    /// All times are to be after this one.
    pub fn after(&mut self, last: u64) {
        self.last = last;
    }

    /// The time to record for a time on a clock, which showed `seen` then; and
    /// by how much the clock was set since the last one (ns), if it was.
    pub fn stamp(&mut self, time: u64, seen: Seen) -> (u64, Option<i64>) {
        let before = self.before.replace(seen);
        let set = before.and_then(|before| seen.set_since(&before));
        if let Some(set) = set {
            let by = u64::try_from(set.unsigned_abs()).unwrap_or(u64::MAX);
            self.ahead = if set < 0 { self.ahead.saturating_add(by) } else { self.ahead.saturating_sub(by) };
        }
        let time = time.saturating_add(self.ahead).max(self.last + 1);
        self.last = time;
        (time, set.map(|set| i64::try_from(set).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that shows so many ms, after so many ms.
    fn at(start: Instant, clock: u64, passed: u64) -> Seen {
        let moment = start + Duration::from_millis(passed);
        Seen { clock: clock * 1_000_000, from: moment, to: moment }
    }

    #[test]
    fn points_are_multiples_and_late_ones_do_not_shift_the_rest() {
        let start = Instant::now();
        let at = |millis| at(start, millis, millis);
        let mut grid = Grid::new(Duration::from_millis(100));
        let (first, wait) = grid.next(at(1_234));
        assert_eq!((first, wait), (1_300_000_000, Duration::from_millis(66)));
        assert_eq!(grid.handle(first), 0);
        let (second, wait) = grid.next(at(1_310));
        assert_eq!((second, wait), (1_400_000_000, Duration::from_millis(90)));
        assert_eq!(grid.handle(second), 0);
        // Two points and a half later.
        let (late, wait) = grid.next(at(1_750));
        assert_eq!((late, wait), (1_700_000_000, Duration::ZERO));
        assert_eq!(grid.handle(late), 2);
        assert_eq!(grid.next(at(1_751)).0, 1_800_000_000);
    }

    #[test]
    fn a_clock_that_is_set_costs_no_points_and_adds_none() {
        for set in [-3_600_000, -60_400, -60_000, -900, 900, 30_000, 30_499, 3_600_000i64] {
            let start = Instant::now();
            let mut grid = Grid::new(Duration::from_secs(1));
            let (mut points, mut missed) = (0u64, 0);
            for passed in (0..60_000).step_by(50) {
                let by = if passed < 20_020 { 0 } else { set };
                let seen = at(start, (10_000_000 + passed as i64 + by) as u64, passed);
                let (point, wait) = grid.next(seen);
                if wait.is_zero() {
                    missed += grid.handle(point);
                    points += 1;
                    assert!(seen.clock - point < 1_000_000_000, "{set}: {point} at {}", seen.clock);
                }
            }
            assert!(missed == 0 && (58..=61).contains(&points), "{set}: {points} points, {missed} missed");
        }
    }

    #[test]
    fn points_that_were_missed_while_the_clock_was_set_are_counted() {
        let start = Instant::now();
        let mut grid = Grid::new(Duration::from_secs(1));
        let (point, _) = grid.next(at(start, 100_000, 0));
        grid.handle(point);
        // Stopped for five seconds, in which it was set back by a minute.
        let (point, wait) = grid.next(at(start, 46_050, 6_050));
        assert_eq!((point, wait, grid.handle(point)), (46_000_000_000, Duration::ZERO, 4));
    }

    #[test]
    fn time_goes_up_whatever_the_clock_does() {
        let start = Instant::now();
        let mut line = Timeline::default();
        let second = 1_000_000_000;
        let mut stamp =
            |clock: u64, passed: u64| line.stamp(clock * second, at(start, clock * 1_000, passed * 1_000));
        assert_eq!(stamp(100, 0), (100 * second, None));
        assert_eq!(stamp(101, 1), (101 * second, None));
        // Back by a minute, on from there, and forward again.
        assert_eq!(stamp(42, 2), (102 * second, Some(-60 * second as i64)));
        assert_eq!(stamp(43, 3), (103 * second, None));
        assert_eq!(stamp(104, 4), (104 * second, Some(60 * second as i64)));
        // Forward by an hour is a gap.
        assert_eq!(stamp(3_705, 5), (3_705 * second, Some(3_600 * second as i64)));
    }

    #[test]
    fn a_slow_answer_is_no_clock_that_was_set() {
        let start = Instant::now();
        let mut line = Timeline::default();
        let mut stamp = |clock: u64, from: u64, to: u64| {
            let moment = |millis| start + Duration::from_millis(millis);
            let seen = Seen { clock: clock * 1_000_000, from: moment(from), to: moment(to) };
            line.stamp(seen.clock, seen)
        };
        assert_eq!(stamp(10_000, 0, 10), (10_000_000_000, None));
        // Read early and late in the three seconds that the answer took.
        assert_eq!(stamp(11_000, 1_000, 4_000), (11_000_000_000, None));
        assert_eq!(stamp(15_000, 5_000, 5_001), (15_000_000_000, None));
        assert_eq!(stamp(19_000, 6_000, 9_000), (19_000_000_000, None));
        assert_eq!(stamp(20_000, 10_000, 10_001), (20_000_000_000, None));
    }
}

//! When ticks are due, and what time they are given.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Points in time at whole multiples of an interval of wall time.
#[derive(Debug)]
pub struct Grid {
    interval: u64,
    /// The point handled last, ns since the epoch.
    last: Option<u64>,
}

pub fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

impl Grid {
    pub fn new(interval: Duration) -> Self {
        Self { interval: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1), last: None }
    }

    /// The next point, and how long until then. Late by a little is still in
    /// time; points that are gone by are not made up for.
    pub fn next(&mut self, now: SystemTime) -> (u64, Duration) {
        let now = nanos(now);
        let current = now - now % self.interval;
        let next = match *self.last.get_or_insert(current) {
            // A clock that was set back by more than a point starts over.
            last if last < current || last > now.saturating_add(2 * self.interval) => current,
            last => last + self.interval,
        };
        (next, Duration::from_nanos(next.saturating_sub(now)))
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
    before: Option<(u64, Instant)>,
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

    /// The time to record for a time on the clock, seen at `now`; and by how
    /// much the clock was set since the last one (ns), if it was.
    pub fn stamp(&mut self, clock: u64, now: Instant) -> (u64, Option<i64>) {
        let mut set = None;
        if let Some((before, then)) = self.before {
            let passed = i128::try_from(now.duration_since(then).as_nanos()).unwrap_or(i128::MAX);
            let step = i128::from(clock) - i128::from(before) - passed;
            if step < -STEP {
                self.ahead = self.ahead.saturating_add(u64::try_from(-step).unwrap_or(u64::MAX));
            } else if step > STEP {
                self.ahead = self.ahead.saturating_sub(u64::try_from(step).unwrap_or(u64::MAX));
            }
            if step.abs() > STEP {
                set = Some(i64::try_from(step).unwrap_or(i64::MAX));
            }
        }
        self.before = Some((clock, now));
        let time = clock.saturating_add(self.ahead).max(self.last + 1);
        self.last = time;
        (time, set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    #[test]
    fn points_are_multiples_and_late_ones_do_not_shift_the_rest() {
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
    fn a_clock_set_back_does_not_stop_the_ticks() {
        let mut grid = Grid::new(Duration::from_secs(1));
        grid.handle(100_000_000_000);
        assert_eq!(grid.next(at(40_500)), (40_000_000_000, Duration::ZERO));
        assert_eq!(grid.handle(40_000_000_000), 0);
        assert_eq!(grid.next(at(40_600)).0, 41_000_000_000);
    }

    #[test]
    fn time_goes_up_whatever_the_clock_does() {
        let start = Instant::now();
        let mut line = Timeline::default();
        let second = 1_000_000_000;
        let mut stamp =
            |clock: u64, passed: u64| line.stamp(clock * second, start + Duration::from_secs(passed));
        assert_eq!(stamp(100, 0), (100 * second, None));
        assert_eq!(stamp(101, 1), (101 * second, None));
        // Back by a minute, on from there, and forward again.
        assert_eq!(stamp(42, 2), (102 * second, Some(-60 * second as i64)));
        assert_eq!(stamp(43, 3), (103 * second, None));
        assert_eq!(stamp(104, 4), (104 * second, Some(60 * second as i64)));
        // Forward by an hour is a gap.
        assert_eq!(stamp(3_705, 5), (3_705 * second, Some(3_600 * second as i64)));
    }
}

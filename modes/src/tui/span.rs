//! The span of time on screen: all there is, a part of it, or its end while it grows.

use super::clock::SECOND;

/// What is shown when following begins.
const WINDOW: i64 = 300 * SECOND;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    All,
    Part {
        start: i64,
        end: i64,
    },
    /// So much until the newest sample.
    Last(i64),
}

#[derive(Clone, Debug)]
pub struct Span {
    interval: i64,
    /// Of what can still grow.
    live: bool,
    extent: Option<(i64, i64)>,
    shown: Shown,
    /// Of what can grow, and is held.
    paused: bool,
}

impl Span {
    pub fn new(live: bool, interval: i64) -> Self {
        let shown = if live { Shown::Last(WINDOW) } else { Shown::All };
        Self { interval: interval.max(1), live, extent: None, shown, paused: false }
    }

    /// Says from when to when there are samples.
    pub fn set_extent(&mut self, extent: Option<(i64, i64)>) {
        self.extent = extent;
    }

    /// From when to when there are samples, a few intervals at least.
    fn extent(&self) -> Option<(i64, i64)> {
        let (start, end) = self.extent?;
        Some((start, end.max(start.saturating_add(self.interval))))
    }

    /// What is on screen; nothing while there are no samples.
    pub fn shown(&self) -> Option<(i64, i64)> {
        let (first, last) = self.extent()?;
        Some(match self.shown {
            Shown::All => (first, last),
            Shown::Part { start, end } => (start, end),
            Shown::Last(window) => (last.saturating_sub(window), last),
        })
    }

    pub fn is_live(&self) -> bool {
        self.live
    }

    pub fn is_following(&self) -> bool {
        self.live && !self.paused
    }

    /// Holds what is on screen, or follows the end again with as much time as is shown.
    pub fn toggle(&mut self) {
        let Some((start, end)) = self.shown().filter(|_| self.live) else { return };
        if self.paused {
            self.paused = false;
            self.shown = Shown::Last(end.saturating_sub(start).max(self.interval));
        } else {
            self.hold(start, end);
        }
    }

    fn hold(&mut self, start: i64, end: i64) {
        self.paused = self.live;
        self.shown = Shown::Part { start, end };
    }

    /// All there is, and what will be.
    pub fn all(&mut self) {
        self.paused = false;
        self.shown = Shown::All;
    }

    /// Shows `factor` as much time around the middle; of what is followed, up to the end.
    pub fn zoom(&mut self, factor: f64) {
        let (Some((start, end)), Some((first, last))) = (self.shown(), self.extent()) else { return };
        let width = end.saturating_sub(start);
        let wanted = ((width as f64 * factor) as i64).max(self.interval.saturating_mul(4));
        if self.is_following() {
            // A window may be wider than what there is so far, but not without bound.
            let most = last.saturating_sub(first).max(WINDOW);
            self.shown = Shown::Last(wanted.min(most));
            return;
        }
        let middle = start.saturating_add(width / 2);
        self.show(middle.saturating_sub(wanted / 2), wanted);
    }

    /// Moves by a share of what is on screen. What is followed is held then.
    pub fn pan(&mut self, share: f64) {
        let Some((start, end)) = self.shown() else { return };
        let width = end.saturating_sub(start);
        self.show(start.saturating_add((width as f64 * share) as i64), width);
    }

    /// Shows a span, kept within what there is.
    fn show(&mut self, start: i64, width: i64) {
        let Some((first, last)) = self.extent() else { return };
        let all = last.saturating_sub(first);
        if width >= all - all / 1000 {
            if self.live {
                self.hold(first, last);
            } else {
                self.shown = Shown::All;
            }
            return;
        }
        let start = start.clamp(first, last.saturating_sub(width));
        self.hold(start, start.saturating_add(width));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> Span {
        let mut span = Span::new(false, SECOND);
        span.set_extent(Some((0, 1000 * SECOND)));
        span
    }

    #[test]
    fn a_recording_is_shown_whole_and_zoomed_within_its_ends() {
        let mut span = recorded();
        assert_eq!(span.shown(), Some((0, 1000 * SECOND)));
        span.zoom(0.5);
        assert_eq!(span.shown(), Some((250 * SECOND, 750 * SECOND)));
        span.pan(-0.25);
        assert_eq!(span.shown(), Some((125 * SECOND, 625 * SECOND)));
        for _ in 0..10 {
            span.pan(0.25);
        }
        assert_eq!(span.shown(), Some((500 * SECOND, 1000 * SECOND)));
        for _ in 0..40 {
            span.zoom(0.5);
        }
        let (start, end) = span.shown().unwrap();
        assert_eq!(end - start, 4 * SECOND);
        span.toggle();
        assert!(!span.is_following());
        for _ in 0..40 {
            span.zoom(2.0);
        }
        assert_eq!(span.shown(), Some((0, 1000 * SECOND)));
    }

    #[test]
    fn what_is_live_is_followed_until_it_is_held() {
        let mut span = Span::new(true, SECOND);
        assert_eq!(span.shown(), None);
        span.toggle();
        span.zoom(0.5);
        span.set_extent(Some((0, 1000 * SECOND)));
        assert_eq!(span.shown(), Some((700 * SECOND, 1000 * SECOND)));
        span.toggle();
        span.set_extent(Some((0, 1001 * SECOND)));
        assert_eq!(span.shown(), Some((700 * SECOND, 1000 * SECOND)));
        assert!(!span.is_following());
        span.toggle();
        span.zoom(0.5);
        assert_eq!(span.shown(), Some((851 * SECOND, 1001 * SECOND)));
        assert!(span.is_following());
        span.pan(-1.0);
        assert!(!span.is_following());
        span.all();
        span.set_extent(Some((0, 1002 * SECOND)));
        assert_eq!(span.shown(), Some((0, 1002 * SECOND)));
        assert!(span.is_following());
    }

    #[test]
    fn the_ends_of_time_are_borne() {
        for extent in [(i64::MIN, i64::MAX), (i64::MAX, i64::MAX), (5, 5)] {
            let mut span = Span::new(true, i64::MAX);
            span.set_extent(Some(extent));
            for factor in [0.1, 1e30, 0.0, 0.5] {
                span.zoom(factor);
                span.pan(-7.0);
                span.pan(1e30);
                span.toggle();
                assert!(span.shown().unwrap().0 <= span.shown().unwrap().1);
            }
        }
    }
}

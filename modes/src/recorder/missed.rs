//! Points of the grid without a tick.

/// Some that follow each other, for one reason.
#[derive(Clone, Debug, PartialEq)]
struct Run {
    from: u64,
    to: u64,
    reason: String,
}

/// All of them, in the order in which they were given up.
#[derive(Debug)]
pub struct Missed {
    step: u64,
    runs: Vec<Run>,
    pub count: u64,
}

impl Missed {
    /// Of a grid whose points are `step` ns apart.
    pub fn new(step: u64) -> Self {
        Self { step: step.max(1), runs: Vec::new(), count: 0 }
    }

    /// Gives up so many points from `from` on.
    pub fn add(&mut self, from: u64, count: u64, reason: &str) {
        self.count += count;
        let to = from.saturating_add(count.saturating_sub(1).saturating_mul(self.step));
        match self.runs.last_mut() {
            Some(last) if last.reason == reason && last.to + self.step == from => last.to = to,
            _ => self.runs.push(Run { from, to, reason: reason.into() }),
        }
    }

    /// A tick came after all; others may have been given up since.
    pub fn remove(&mut self, point: u64) {
        let Some(at) = self.runs.iter().rposition(|run| (run.from..=run.to).contains(&point)) else { return };
        self.count -= 1;
        let run = self.runs.remove(at);
        let after = (point < run.to).then(|| Run { from: point + self.step, ..run.clone() });
        let before = (point > run.from).then(|| Run { to: point - self.step, ..run });
        self.runs.splice(at..at, before.into_iter().chain(after));
    }

    /// First and last point, how many, and why.
    pub fn runs(&self) -> impl Iterator<Item = (u64, u64, u64, &str)> {
        self.runs
            .iter()
            .map(|run| (run.from, run.to, (run.to - run.from) / self.step + 1, run.reason.as_str()))
    }

    pub fn last_reason(&self) -> Option<&str> {
        self.runs.last().map(|run| run.reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_is_not_missed() {
        let mut missed = Missed::new(10);
        missed.add(100, 1, "slow");
        missed.add(110, 3, "slow");
        missed.add(140, 1, "gone");
        assert_eq!(missed.count, 5);
        missed.remove(110);
        missed.remove(500);
        let runs: Vec<_> = missed.runs().collect();
        assert_eq!(runs, [(100, 100, 1, "slow"), (120, 130, 2, "slow"), (140, 140, 1, "gone")]);
        missed.remove(140);
        missed.remove(120);
        assert_eq!(missed.runs().collect::<Vec<_>>(), [(100, 100, 1, "slow"), (130, 130, 1, "slow")]);
        assert_eq!((missed.count, missed.last_reason()), (2, Some("slow")));
    }
}

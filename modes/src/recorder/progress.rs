//! What a person at a terminal sees of a recording.

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::log::Log;

pub struct Progress {
    bar: ProgressBar,
    duration: Option<Duration>,
    shown: Option<Instant>,
}

/// Between two looks at the log.
const PAUSE: Duration = Duration::from_millis(250);

impl Progress {
    /// Shows nothing unless standard error is a terminal.
    pub fn new(duration: Option<Duration>) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        Self { bar, duration, shown: None }
    }

    pub fn show(&mut self, elapsed: Duration, taken: u64, missed: u64, log: &Log) {
        if self.bar.is_hidden() || self.shown.is_some_and(|shown| shown.elapsed() < PAUSE) {
            return;
        }
        self.shown = Some(Instant::now());
        let bytes = log.parts().iter().map(|part| part.bytes).sum();
        let left = match self.duration {
            Some(duration) => format!(", {} left", clock(duration.saturating_sub(elapsed))),
            None => ", Ctrl-C to end".into(),
        };
        self.bar.set_message(format!(
            "{} recorded, {taken} ticks, {missed} missed, {}{left}",
            clock(elapsed),
            HumanBytes(bytes)
        ));
        self.bar.tick();
    }

    /// A line that stays.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("rezolus: {text}"));
    }

    pub fn end(&self, output: &Path, taken: u64, missed: u64, elapsed: Duration) {
        self.bar.finish_and_clear();
        let size = std::fs::metadata(output).map_or(0, |file| file.len());
        let missed = if missed > 0 { format!(", {missed} missed") } else { String::new() };
        eprintln!("{}: {taken} ticks{missed} in {}, {}", output.display(), length(elapsed), HumanBytes(size));
    }
}

/// `0.5 s`, `17 seconds`, `3 minutes`.
fn length(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{:.1} s", time.as_secs_f64()),
        _ => HumanDuration(time).to_string(),
    }
}

/// `1:02:03` or `02:03`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

//! Decodes histograms while nobody asks anything: whoever looks at one page has the next one at once. They are what takes
//! longest to decode, and little room once they are.

use std::sync::{Arc, Weak};
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

use rezolus_store::Matcher;
use rezolus_store::labels::NAME;

use super::Viewer;
use crate::query::Origin;

/// Nobody asks anything if nobody did for so long. A page that is being drawn asks more often.
const QUIET: Duration = Duration::from_millis(150);
/// After so much work it is enough: a recording of a day has more than anybody will look at.
const MOST_WORK: Duration = Duration::from_secs(2);
/// Whoever asks all the time leaves no time for this.
const PATIENCE: Duration = Duration::from_secs(60);
/// Takes at most this part of the cache.
const SHARE: usize = 2;

/// Starts a thread that looks at all histograms of what is open now. What is live changes while it is looked at: of that nothing is.
pub fn start(viewer: &Arc<Viewer>) {
    if viewer.inputs().iter().any(|input| matches!(input.origin, Origin::Live(_))) {
        return;
    }
    let weak = Arc::downgrade(viewer);
    if let Err(error) = Builder::new().name("ahead".into()).spawn(move || look(&weak)) {
        tracing::debug!("nothing is decoded ahead: {error}");
    }
}

fn look(viewer: &Weak<Viewer>) -> Option<()> {
    let source = quiet(viewer)?.exchange.current();
    let (start, end) = source.range()?;
    let histograms = source.metadata().into_iter().filter(|(_, known)| known.kind == "histogram");
    let mut worked = Duration::ZERO;
    for (name, _) in histograms {
        let all = source.series(&[Matcher::equal(NAME, &name)], start, end).ok()?;
        for labels in all {
            let viewer = quiet(viewer)?;
            let cache = &viewer.options.query.cache;
            let enough = worked > MOST_WORK || cache.stats().bytes > cache.budget() / SHARE;
            if enough || !Arc::ptr_eq(&source, &viewer.exchange.current()) {
                return None;
            }
            let begun = Instant::now();
            let matchers: Vec<_> =
                labels.iter().map(|(name, value)| Matcher::equal(&**name, &**value)).collect();
            // Errors are left to who asks.
            let _ = source.select(&matchers, start, end);
            worked += begun.elapsed();
        }
    }
    None
}

/// The viewer, once nobody asks anything; None if it is gone, or asked all the time.
fn quiet(viewer: &Weak<Viewer>) -> Option<Arc<Viewer>> {
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        let viewer = viewer.upgrade()?;
        if viewer.runner.idle_for() >= QUIET {
            return Some(viewer);
        }
        drop(viewer);
        sleep(QUIET / 4);
    }
    None
}

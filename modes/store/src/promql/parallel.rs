//! Work spread over the CPUs, where it is worth a thread.

use std::num::NonZero;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Values to compute before a second thread pays: some hundred microseconds.
const WORTH: usize = 1 << 16;

/// So many columns are decoded by one thread at a time.
const FEW: usize = 2;

/// How many queries are being evaluated in this process.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// As long as it lives, a query is being evaluated.
pub struct Busy(());

impl Busy {
    pub fn begin() -> Self {
        BUSY.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The CPUs there are, divided among the queries that are being evaluated: more threads than CPUs only
/// take turns.
fn share() -> usize {
    // Asking reads files of the cgroup.
    static CPUS: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get));
    CPUS.div_ceil(BUSY.load(Ordering::Relaxed).max(1))
}

/// On how many threads so many items are worked at, of which so many values come.
pub fn threads(items: usize, cost: usize) -> usize {
    let most = (cost / WORTH).saturating_add(1).min(items).max(1);
    if most == 1 { 1 } else { share().min(most) }
}

/// Applies `f` to all items, in their order. `cost` is how many values that is
/// to compute altogether.
pub fn map<T: Send, R: Send>(items: Vec<T>, cost: usize, f: impl Fn(T) -> R + Sync) -> Vec<R> {
    let threads = threads(items.len(), cost);
    if threads < 2 {
        return items.into_iter().map(f).collect();
    }
    let share = items.len() / threads;
    let mut first = items;
    // From the end on: what stays where it is need not be moved.
    let shares: Vec<Vec<T>> = (1..threads).map(|_| first.split_off(first.len() - share)).collect();
    thread::scope(|scope| {
        let f = &f;
        let run = |share: Vec<T>| move || share.into_iter().map(f).collect::<Vec<R>>();
        let others: Vec<_> = shares.into_iter().map(|share| scope.spawn(run(share))).collect();
        let mut all = Vec::with_capacity(first.len() + share * others.len());
        all.extend(first.into_iter().map(f));
        for other in others.into_iter().rev() {
            match other.join() {
                Ok(part) => all.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

/// Applies `f` to all items, each of which is some work, until one fails. The order is
/// kept.
pub fn try_map<T: Sync, R: Send, E: Send>(
    items: &[T],
    f: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let threads = share().min(items.len().div_ceil(FEW));
    if threads < 2 {
        return items.iter().map(f).collect();
    }
    // Some are more work than others: whoever is done takes the next.
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::with_capacity(items.len() / threads + FEW);
        loop {
            let at = next.fetch_add(FEW, Ordering::Relaxed);
            let Some(some) = items.get(at..items.len().min(at.saturating_add(FEW))) else { return Ok(done) };
            if some.is_empty() {
                return Ok(done);
            }
            for (at, item) in (at..).zip(some) {
                match f(item) {
                    Ok(result) => done.push((at, result)),
                    Err(error) => {
                        next.store(items.len(), Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
        }
    };
    let parts = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut parts = vec![work()];
        for other in others {
            match other.join() {
                Ok(part) => parts.push(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        parts
    });
    let mut done = Vec::with_capacity(items.len());
    for part in parts {
        done.extend(part?);
    }
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_order_is_kept() {
        for count in [0, 1, 7, 1000] {
            let all: Vec<usize> = super::map((0..count).collect(), usize::MAX, |n: usize| n * 2);
            assert_eq!(all, (0..count).map(|n| n * 2).collect::<Vec<_>>());
            let items: Vec<usize> = (0..count).collect();
            let tried = super::try_map(&items, |n| if *n == 700 { Err(*n) } else { Ok(n * 2) });
            assert_eq!(tried, if count > 700 { Err(700) } else { Ok(all) });
        }
    }
}

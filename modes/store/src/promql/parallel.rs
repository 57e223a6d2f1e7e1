//! Work spread over the CPUs, where it is worth a thread.

use std::num::NonZero;
use std::thread;

/// Values to compute before a second thread pays: some hundred microseconds.
const WORTH: usize = 1 << 16;

/// Applies `f` to all items, in their order. `cost` is how many values that is
/// to compute altogether.
pub fn map<T: Send, R: Send>(items: Vec<T>, cost: usize, f: impl Fn(T) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min((cost / WORTH).saturating_add(1))
        .min(items.len());
    if threads < 2 {
        return items.into_iter().map(f).collect();
    }
    let share = items.len().div_ceil(threads);
    let mut rest = items.into_iter();
    let parts: Vec<Vec<T>> = (0..threads).map(|_| rest.by_ref().take(share).collect()).collect();
    thread::scope(|scope| {
        let mut parts = parts.into_iter();
        let first = parts.next().unwrap_or_default();
        let f = &f;
        let others: Vec<_> =
            parts.map(|part| scope.spawn(move || part.into_iter().map(f).collect::<Vec<R>>())).collect();
        let mut all: Vec<R> = first.into_iter().map(f).collect();
        for other in others {
            match other.join() {
                Ok(part) => all.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_order_is_kept() {
        for count in [0, 1, 7, 1000] {
            let all: Vec<usize> = super::map((0..count).collect(), usize::MAX, |n: usize| n * 2);
            assert_eq!(all, (0..count).map(|n| n * 2).collect::<Vec<_>>());
        }
    }
}

//! The parquet crate may panic on damaged files. Here that is an error.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls `read`, and turns what goes wrong into a reason.
pub fn guarded<T, E: ToString>(read: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    // The reason is told once, by who asked: panics elsewhere are reported as ever.
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                before(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(outer);
    match result {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(reason(panic.as_ref())),
    }
}

fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("does not decode: {}", text.unwrap_or("for an unknown reason"))
}

#[cfg(test)]
mod tests {
    use super::guarded;

    #[test]
    fn panics_are_reasons() {
        assert_eq!(guarded(|| Ok::<_, String>(1)), Ok(1));
        assert_eq!(guarded(|| Err::<(), _>("why")), Err("why".into()));
        let index = 5;
        let error = guarded(|| Ok::<u8, String>([1, 2][index])).unwrap_err();
        assert!(error.contains("out of bounds"), "{error}");
    }
}

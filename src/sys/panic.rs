//! Panics of the user's code, and calls that may panic themselves.

use std::any::Any;
use std::mem;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::thread::{self, ThreadId};

/// Calls the user's code. Returns the text of its panic if it panics.
pub(crate) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    // Whatever a panic leaves half-done belongs to the user, or is dropped with the connection.
    catch_unwind(AssertUnwindSafe(call)).map_err(panic_message)
}

/// Calls the user's code. If it panics, `keep` gets the panic, and another one with its text goes
/// on.
#[inline] // into the test that calls it, as it would make every program larger
pub(crate) fn split<T>(call: impl FnOnce() -> T, keep: impl FnOnce(Box<dyn Any + Send>)) -> T {
    let panic = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(value) => return value,
        Err(panic) => panic,
    };
    let mut text = panic.downcast_ref::<String>().cloned();
    if let Some(literal) = panic.downcast_ref::<&str>() {
        text = Some(String::from(*literal));
    }
    keep(panic);
    resume_unwind(Box::new(text.unwrap_or_default()))
}

/// Returns the text of a panic, or an empty one if it has none.
fn panic_message(panic: Box<dyn Any + Send>) -> String {
    let panic = match panic.downcast::<&str>() {
        Ok(text) => return String::from(*text),
        Err(panic) => panic,
    };
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => {
            // Dropping it would run the user's code, which could panic again. So it is leaked.
            mem::forget(panic);
            String::new()
        }
    }
}

/// Returns the id of this thread, if it can be found out.
///
/// Until Rust 1.84, `thread::current` panics in the destructor of a thread-local once std has
/// dropped its own. Then nothing can tell that the thread is one of the server's.
pub(crate) fn current_thread_id() -> Option<ThreadId> {
    catch_unwind(|| thread::current().id()).ok()
}

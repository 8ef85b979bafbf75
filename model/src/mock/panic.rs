//! Panics, which std counts for each thread of the system.
//!
//! All tasks of the model run on one such thread. So the panic hook of the program notes which task
//! panics, and `catch_unwind` notes that its panic has ended.

use super::kernel;

pub use ::std::panic::*;

pub fn catch_unwind<F: FnOnce() -> R + UnwindSafe, R>(f: F) -> ::std::thread::Result<R> {
    let result = ::std::panic::catch_unwind(f);
    if result.is_err() {
        kernel::end_unwinding();
    }
    result
}

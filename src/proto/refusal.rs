//! Refusals: the reasons for rejecting a request.

use super::status::StatusCode;

/// The reason for rejecting a request: the status code and the text of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) reason: &'static str,
}

/// Refuses with that status code, for this reason.
pub(super) fn bail<T>(status: u16, reason: &'static str) -> Result<T, Refusal> {
    Err(Refusal {
        status: StatusCode::from(status),
        reason,
    })
}

/// Refuses with that status code, for this reason, unless the condition holds.
pub(crate) fn ensure(condition: bool, status: u16, reason: &'static str) -> Result<(), Refusal> {
    if condition {
        Ok(())
    } else {
        bail(status, reason)
    }
}

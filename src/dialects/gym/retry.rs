//! When NeMo Gym's client calls an engine again: its constants.

use std::time::Duration;

/// The pause of Gym's client before a call is made again; `Retry-After` is not looked at.
pub const PAUSE: Duration = Duration::from_millis(500);

/// Calls that end in 500 are made this often in total; others in between do not count.
pub const SERVER_ERROR_TRIES: usize = 3;

/// Whether an answer with `status` is repeated for as long as the caller is patient.
#[must_use]
pub fn is_overload(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504 | 520)
}

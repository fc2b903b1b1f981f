//! When a call to an engine is repeated: the rules of Gym's client.
//!
//! A connection that fails or breaks before an answer, and a status of overload, are repeated after [`PAUSE`] for as long as
//! `retry_for` allows (Gym: without end). A 500 is tried [`SERVER_ERROR_TRIES`] times in total; other failures in between
//! do not count. Every other status is final. `Retry-After` is not looked at.

use std::time::Duration;

/// The pause before a call is repeated.
pub const PAUSE: Duration = Duration::from_millis(500);

/// How often a call that ends in 500 is tried, the first time included.
pub const SERVER_ERROR_TRIES: usize = 3;

/// Whether the status says that the engine is overloaded or away.
#[must_use]
pub fn is_overload(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504 | 520)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_of_overload() {
        let overload: Vec<u16> = (100..600).filter(|status| is_overload(*status)).collect();
        assert_eq!(overload, [429, 502, 503, 504, 520]);
    }
}

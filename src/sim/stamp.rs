//! What makes an answer one of its kind: an id and a time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Sixteen hexadecimal digits.
pub(crate) fn random_id() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// Now.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

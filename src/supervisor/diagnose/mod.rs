//! What an engine's log tells: `progress` (how far it has loaded); `logtail`, `known` and `reason` (why it failed).

pub(super) mod known;
pub(super) mod logtail;
pub(super) mod progress;
pub(super) mod reason;

//! Looking at one engine: `probe`, `cards` and `resolve` (does it serve what it should), `progress` (how far it has
//! loaded), `logtail`, `known` and `reason` (why it failed).

pub(super) mod cards;
pub(super) mod known;
pub(super) mod logtail;
pub(super) mod probe;
pub(super) mod progress;
pub(super) mod reason;
pub(super) mod resolve;

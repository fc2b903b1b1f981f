//! The processes of one engine: `spawn` (its leader), `group`, `kin` and `limit` (all that came from it), `reaper` (what
//! lost its parent), `port` (where it listens).

pub(super) mod group;
pub(super) mod kin;
mod limit;
pub(super) mod port;
pub(super) mod reaper;
pub(super) mod spawn;

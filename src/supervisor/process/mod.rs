//! The processes of one engine: `spawn` (its leader), `group` and `kin` (all that came from it), `reaper` (what lost its
//! parent), `port` (where it listens).

pub(super) mod group;
pub(super) mod kin;
pub(super) mod port;
pub(super) mod reaper;
pub(super) mod spawn;

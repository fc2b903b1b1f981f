//! The processes of one engine: `spawn` (its leader), `group` and `kin` (all that came from it, `marker` and
//! `limit`: what that carries), `seen` (processes as `/proc` shows them), `reaper` (what lost its parent), `port` (where it
//! listens).

pub(super) mod group;
pub(super) mod kin;
mod limit;
pub(super) mod marker;
pub(super) mod port;
pub(super) mod reaper;
pub(super) mod seen;
pub(super) mod spawn;

//! The processes of one engine: `spawn` (its leader), `group` and `process_tree` (all that came from it; `marker` and
//! `limit`: what that carries), `procfs` (processes as `/proc` shows them), `reaper` (orphans), `port` (where it listens).

pub(super) mod group;
mod limit;
pub(super) mod marker;
pub(super) mod port;
pub(super) mod process_tree;
pub(super) mod procfs;
pub(super) mod reaper;
pub(super) mod spawn;

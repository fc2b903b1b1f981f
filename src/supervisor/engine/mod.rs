//! One engine that runs here: `actor` owns its process and has done what `lifecycle` decides, with `sleep`, `lora` and
//! `memory`; `shutdown_signal` ends all of them. `watcher` looks at an engine that somebody else runs.

pub(super) mod actor;
pub(super) mod lora;
pub(super) mod memory;
pub(super) mod shutdown_signal;
pub(super) mod sleep;
pub(super) mod watcher;

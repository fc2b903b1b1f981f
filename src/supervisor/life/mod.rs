//! The life of one engine: `machine`, `backoff` and `orders` decide, purely; `actor` and `watcher` do it,
//! with `sleep`, `lora` and `memory`; `stopping` ends.

pub(super) mod actor;
pub(super) mod backoff;
pub(super) mod lora;
pub(super) mod machine;
pub(super) mod memory;
pub(super) mod orders;
pub(super) mod sleep;
pub(super) mod stopping;
pub(super) mod watcher;

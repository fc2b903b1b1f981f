//! The life of one engine: `machine`, `vitals`, `backoff`, `hang` and `orders` decide, purely; `actor` and `watcher` do it,
//! with `nap`, `lora` and `memory`; `announce` tells, `stopping` ends.

pub(super) mod actor;
pub(super) mod announce;
pub(super) mod backoff;
pub(super) mod hang;
pub(super) mod lora;
pub(super) mod machine;
pub(super) mod memory;
pub(super) mod nap;
pub(super) mod orders;
pub(super) mod stopping;
pub(super) mod vitals;
pub(super) mod watcher;

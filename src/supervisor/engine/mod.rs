//! One engine that runs here: `actor` owns its process and hears what happens, `effects` has done what `lifecycle` decides,
//! with `sleep`, `lora` and `memory`; `handle` is the way to it, `factory` makes it, `shutdown_signal` ends all of them.

pub(super) mod actor;
mod effects;
pub(super) mod factory;
pub(super) mod handle;
pub(super) mod lora;
pub(super) mod memory;
pub(super) mod shutdown_signal;
mod sleep;

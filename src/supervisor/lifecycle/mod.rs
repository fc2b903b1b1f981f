//! What is decided about one engine, purely: `terms` (phases, events, effects), `machine` (what follows from what),
//! `backoff` (when a failed one is started again), `orders` (what an operator's order means in a phase).

pub(super) mod backoff;
pub(super) mod machine;
pub(super) mod orders;
pub(super) mod terms;

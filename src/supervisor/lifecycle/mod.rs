//! What is decided about one engine, purely: `machine` (phases, events, effects), `backoff` (when it is started again),
//! `orders` (what an operator's order means in a phase).

pub(super) mod backoff;
pub(super) mod machine;
pub(super) mod orders;

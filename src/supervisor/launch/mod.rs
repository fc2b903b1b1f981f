//! What is run for one engine: `recipe` (from what, each time), `command` (arguments and environment), `ranks` (of adapters on
//! disk).

pub(super) mod command;
pub(super) mod ranks;
pub(super) mod recipe;

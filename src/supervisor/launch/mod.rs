//! What is run for one engine: `spec` (from what, each time), `command` (program, arguments, environment), `ranks` (of
//! adapters on disk), `launcher` (where it runs).

pub(super) mod command;
pub(super) mod launcher;
pub(super) mod ranks;
pub(super) mod spec;

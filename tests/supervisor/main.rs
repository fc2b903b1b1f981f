//! Supervision over real child processes: engines start, stay up, survive the gateway and leave nothing behind.

#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub, reason = "a test binary tells what it saw")]

#[path = "../support/mod.rs"]
mod support;

mod adoption;
mod chaos;
mod daemons;
mod descriptors;
mod disk;
mod doctor;
mod failing;
mod foreign;
mod gpus;
mod on_demand;
mod orders;
mod projects;
mod reloads;
mod rolling;
mod shutdown_command;
mod signals;
mod stalls;
mod start_order;
mod stopping;

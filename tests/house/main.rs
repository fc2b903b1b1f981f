//! The house over real child processes: engines start, stay up, survive us and leave nothing behind.

#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub, reason = "a test binary tells what it saw")]

#[path = "../gateway/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the other suite uses the rest")]
mod support;

#[path = "../nvml/machine.rs"]
mod machine;

mod adoption;
mod chaos;
mod closing;
mod daemons;
mod disk;
mod failing;
mod gpus;
mod hanging;
mod house;
mod load;
mod mount;
mod orders;
mod priorities;
mod processes;
mod rolling;
mod stopping;
mod stranger;
mod strangers;

// What the suite over a real vLLM uses, too, knows it by this name.
use house as lodge;

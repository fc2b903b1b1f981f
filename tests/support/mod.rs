//! What the suites share: a gateway and engines as child processes that end with the test, clients for them, and state
//! directories whose gateways can be killed and replaced.

#![allow(dead_code, unused_imports, reason = "each suite uses a part")]

mod client;
pub mod deployment;
pub mod foreign;
mod gateway;
pub mod large;
pub mod load;
#[path = "../nvml/machine.rs"]
pub mod machine;
pub mod mount;
mod process;
pub mod processes;
pub mod python;
mod ready;
mod sim;
pub mod watchers;

pub use client::{Wire, chat, http};
pub use gateway::{Gateway, pid_of, port_of};
pub use process::{BINARY, eventually, eventually_within, found_within, group_members, time_passes};
pub use ready::{Ready, is_ready};
pub use sim::Sim;

//! A gateway and simulated engines as child processes that end with the test, and clients for them.

mod client;
mod gateway;
mod process;
pub mod python;
mod sim;

pub use client::{Wire, chat, http};
pub use gateway::{Gateway, pid_of, port_of};
pub use process::{BINARY, eventually, group_members};
pub use sim::Sim;

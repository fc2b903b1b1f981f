//! A gateway and simulated engines as child processes that end with the test, and clients for them.

mod client;
mod process;
pub mod python;

pub use client::{Wire, chat, http};
pub use process::{Gateway, Sim, eventually, group_members};

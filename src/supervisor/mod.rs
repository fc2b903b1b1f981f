//! The life of engines that run here: starts, watches, replaces and stops them, and finds again what an earlier gateway
//! left.
//!
//! Read in this order: `startup` (what a configuration needs, and what was left), `fleet` (what should run, what does, and
//! what follows), `allocator` (who has which GPU), `engine` (the actor of one engine), `lifecycle` (what is decided about
//! it), `launch` (what is run), `process` (its processes), `diagnose` (what its log tells), `store` and `folder` (what is
//! kept for the next gateway), `control` (the way to the fleet), `shutdown` (ends what runs on a state directory from
//! outside); `service` is all of it.

use std::io;
use std::path::Path;

mod allocator;
mod control;
mod diagnose;
mod engine;
mod fleet;
mod folder;
mod launch;
mod lifecycle;
mod own_log;
mod process;
mod service;
mod shutdown;
mod startup;
mod store;
mod terms;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

/// Makes a state directory where it is missing, only for this user. Blocks.
///
/// # Errors
/// What the system says, or that others could change what is in it.
pub fn make_state_dir(folder: &Path) -> io::Result<()> {
    folder::make(folder).map_err(|error| error.source)
}

pub use self::control::{Begun, Control, ModelStatus};
pub use self::own_log::rotate_own_log;
pub use self::service::{Dependencies, Supervisor};
pub use self::shutdown::{EndedGateway, ShutdownError, ShutdownReport, gateway, processes, shut_down};
pub use self::startup::{Claim, Home, Prepared, StartError};

pub use self::terms::{Command, ControlError, Order};

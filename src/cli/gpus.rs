//! `enginehouse gpus`: what this machine's GPUs are and do.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::inventory::{self, Inventory};

/// Names the driver's library where it is not found by itself.
const LIBRARY: &str = "ENGINEHOUSE_NVML";

/// Prints the inventory to standard output; a machine without GPUs is no failure.
#[must_use]
pub(super) fn run(json: bool) -> ExitCode {
    let inventory = read();
    let text = if json { inventory::json(&inventory) } else { inventory::table(&inventory) };
    // A reader that went away (`| head`) is no failure.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Library of the driver, where the environment names one.
#[must_use]
pub(super) fn library() -> Option<OsString> {
    std::env::var_os(LIBRARY).filter(|path| !path.is_empty())
}

/// What the driver tells now.
#[must_use]
pub(super) fn read() -> Inventory {
    inventory::read(library().as_deref())
}

//! `enginehouse gpus`: prints the GPUs of this machine and their use.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::inventory::{self, Inventory};

/// Prints the inventory to standard output; a machine without GPUs is no failure.
#[must_use]
pub(super) fn run(json: bool) -> ExitCode {
    let inventory = read();
    let text = if json { inventory::json(&inventory) } else { inventory::table(&inventory) };
    // A reader that went away (`| head`) is no failure.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// What the driver reports now.
#[must_use]
pub(super) fn read() -> Inventory {
    inventory::read(inventory::named_library().as_deref())
}

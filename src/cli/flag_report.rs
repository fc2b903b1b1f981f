//! The flags part of `enginehouse check`: what the installed vLLM would refuse.

use std::io::{self, IsTerminal, Write};

use crate::config::Config;
use crate::flags::{self, Options, Severity};

/// Prints errors and warnings to `err` and notes to `out`; whether there is no error.
///
/// It can take a minute, the first time after vLLM was installed: Python has to import it.
pub(super) fn print(config: &Config, out: &mut dyn Write, err: &mut dyn Write) -> bool {
    if io::stderr().is_terminal() {
        let _ = writeln!(err, "Checking flags against the installed vLLM; the first time this takes a while ...");
    }
    let found = flags::check(config, &Options::from_env(&|name| std::env::var_os(name)));
    for diagnostic in &found {
        // A reader that stopped reading (`| head`) is no failure of the check.
        let _ = match diagnostic.severity {
            Severity::Note => writeln!(out, "note: {diagnostic}"),
            Severity::Warning => writeln!(err, "warning: {diagnostic}"),
            Severity::Error => writeln!(err, "error: {diagnostic}"),
        };
    }
    found.iter().all(|diagnostic| diagnostic.severity != Severity::Error)
}

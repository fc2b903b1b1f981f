//! The flags part of `enginehouse check`: what the installed vLLM would refuse.

use std::io::{self, IsTerminal, Write};

use crate::config::Config;
use crate::flags::{self, Grade, Options};

/// Prints faults and warnings to `err` and notes to `out`; whether there is no fault.
///
/// It can take a minute, the first time after vLLM was installed: Python has to import it.
pub(super) fn print(config: &Config, out: &mut dyn Write, err: &mut dyn Write) -> bool {
    if io::stderr().is_terminal() {
        let _ = writeln!(err, "Checking flags against the installed vLLM; the first time this takes a while ...");
    }
    let findings = flags::check(config, &Options::from_env(&|name| std::env::var_os(name)));
    for finding in &findings {
        // A reader that went away (`| head`) is no failure of the check.
        let _ = match finding.grade {
            Grade::Note => writeln!(out, "note: {finding}"),
            Grade::Warning => writeln!(err, "warning: {finding}"),
            Grade::Fault => writeln!(err, "fault: {finding}"),
        };
    }
    findings.iter().all(|finding| finding.grade != Grade::Fault)
}

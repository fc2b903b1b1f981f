//! Talks with the person at the terminal.

use std::io::{self, BufRead, IsTerminal, Write};

/// Prints to standard output. A reader that went away (`| head`) is no failure.
pub(in crate::cli) fn say(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// Whether a person says yes.
///
/// # Errors
/// When nobody can be asked, with what to do.
pub(super) fn confirmed(question: &str) -> Result<bool, String> {
    if !can_ask() {
        return Err(format!("{question} Nobody can be asked here: give --yes."));
    }
    Ok(matches!(asked(&format!("{question} [y/N] ")).as_str(), "y" | "yes"))
}

/// Whether somebody sits at a terminal.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The answer in lower case; nothing where there is none.
pub(super) fn asked(question: &str) -> String {
    let _ = write!(io::stderr(), "{question}");
    let mut answer = String::new();
    let _ = io::stdin().lock().read_line(&mut answer);
    answer.trim().to_lowercase()
}

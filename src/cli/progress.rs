//! How long work goes: one line that is written over on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::api::{EngineState, EngineView};

/// Lines for a person who waits, on standard error: standard output is for results.
pub(super) struct Progress {
    is_terminal: bool,
    last: String,
    width: usize,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { is_terminal: io::stderr().is_terminal(), last: String::new(), width: 0 }
    }

    /// Shows how it is: `what` on a terminal with the time, elsewhere only when it differs from before.
    pub(super) fn show(&mut self, what: &str, since: Duration) {
        let mut err = io::stderr().lock();
        if self.is_terminal {
            let line = format!("{what} ({} s)", since.as_secs());
            let line: String = line.chars().take(columns().saturating_sub(1)).collect();
            let width = line.chars().count();
            let rest = self.width.saturating_sub(width);
            let _ = write!(err, "\r{line}{:rest$}", "");
            let _ = err.flush();
            self.width = width;
        } else if what != self.last {
            let _ = writeln!(err, "{what}");
            self.last = what.to_owned();
        }
    }
}

impl Drop for Progress {
    /// What comes next begins at the start of an empty line.
    fn drop(&mut self) {
        if self.is_terminal && self.width > 0 {
            let width = self.width;
            let _ = write!(io::stderr().lock(), "\r{:width$}\r", "");
        }
    }
}

/// Columns of the terminal.
pub(super) fn columns() -> usize {
    rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| usize::from(size.ws_col)).max(20)
}

/// What engines do now, in a line: each with its state, and what is known of the time that it will take.
pub(super) fn doing(engines: &[EngineView]) -> String {
    let one = |engine: &EngineView| {
        let mut said = format!("{}: {}", engine.engine, engine.state.word());
        if let Some(detail) = &engine.detail {
            said += &format!(", {}", detail.lines().next().unwrap_or_default());
        }
        if let (EngineState::Starting { .. }, Some(seconds)) = (&engine.state, engine.start_seconds) {
            said += &format!(", took {seconds:.0} s the last time");
        }
        said
    };
    // More would not fit a line.
    let mut said: Vec<String> = engines.iter().take(4).map(one).collect();
    if engines.len() > said.len() {
        said.push(format!("and {} more", engines.len() - said.len()));
    }
    said.join("; ")
}

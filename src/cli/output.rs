//! What every subcommand prints, and its exit codes.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::change::errors;
use super::outlet::harmless;
use crate::api::ClientError;

/// How a subcommand ends when it does not succeed. `enginehouse --help` lists these codes; 2 is a command line that is not
/// understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// It was not done.
    Failed = 1,
    /// The words do not fit each other.
    Usage = 2,
    /// No gateway answers.
    NoGateway = 3,
    /// There is no such model, alias, engine, request.
    Unknown = 4,
}

/// Why a subcommand did not do what it was asked.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) text: String,
}

impl Failure {
    /// It was not done, for this reason.
    pub(super) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into() }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::new(Exit::Failed, text)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::Unreachable { .. } | ClientError::Silent { .. } => Exit::NoGateway,
            ClientError::Refused { status: 404, .. } => Exit::Unknown,
            _ => Exit::Failed,
        };
        let text = match error {
            ClientError::Configuration(found) => {
                format!("{}\nNothing was changed.", errors(&found, Path::new("configuration")))
            }
            // In the gateway's words: the status says no more.
            ClientError::Refused { status: 400..=499, message } => message,
            error => format!("enginehouse: {error}"),
        };
        Self { exit, text }
    }
}

/// Prints why something failed, if it did; the exit code.
pub(super) fn ended(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.text);
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Prints `text` to standard error and returns the exit code of a failure.
pub(super) fn fail(text: &str) -> ExitCode {
    complain(text);
    ExitCode::FAILURE
}

/// Prints `text` to standard error. Control characters, which an argument that it repeats may have, are escaped.
pub(super) fn complain(text: &str) {
    // Where nobody reads it, there is nobody to tell.
    let _ = writeln!(io::stderr(), "{}", harmless(text.trim_end()));
}

/// Prints `text` to standard output; whether somebody reads it. A reader that went away (`| head`) is no failure.
pub(super) fn print(text: &str) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// Prints `value` as indented JSON.
pub(super) fn print_json(value: &impl Serialize) {
    print(&format!("{}\n", serde_json::to_string_pretty(value).unwrap_or_default()));
}

/// Prints `value` as JSON in one line; whether somebody reads it.
pub(super) fn print_json_line(value: &impl Serialize) -> bool {
    print(&format!("{}\n", serde_json::to_string(value).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_the_exit_code_of_their_kind() {
        let exit = |error: ClientError| Failure::from(error).exit;
        assert_eq!(exit(ClientError::Unreachable { address: "a".into(), why: "b".into() }), Exit::NoGateway);
        assert_eq!(exit(ClientError::Refused { status: 404, message: "c".into() }), Exit::Unknown);
        assert_eq!(exit(ClientError::Refused { status: 409, message: "c".into() }), Exit::Failed);
        assert_eq!(exit(ClientError::Unauthorized), Exit::Failed);
    }
}

//! What every import ends with: the configuration on standard output, what was said about it on standard error, and
//! whether it would pass `enginehouse check`.

use std::io::Write;
use std::process::ExitCode;

use super::document::Section;
use super::secret::Secrets;
use crate::config::{self, Diagnostic, Diagnostics};

/// What became of the files of another program.
pub(super) struct Outcome {
    /// The configuration.
    pub(super) document: Section,
    /// What could not be carried over, or is left to do; each begins with its place.
    pub(super) said: Vec<String>,
    /// What there is, in one sentence.
    pub(super) summary: String,
    /// Whether nothing is left that could be written.
    pub(super) is_empty: bool,
    /// Whether it is not a configuration of its own, but a part of one that has models.
    pub(super) is_part: bool,
    /// What must not be printed, whatever was overlooked.
    pub(super) secrets: Secrets,
}

impl Outcome {
    /// The same as a part of a configuration.
    pub(super) fn part(self, summary: &str) -> Self {
        Self { summary: summary.to_owned(), is_empty: false, is_part: true, ..self }
    }
}

/// Prints the outcome of an import from `program`; fails where the configuration has errors, or there is none.
pub(super) fn finish(
    program: &str,
    files: usize,
    outcome: &Outcome,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    // A reader that stopped reading (`| head`) is no failure.
    let _ = write!(err, "{}", outcome.secrets.without(&told(outcome)));
    if outcome.is_empty {
        return ExitCode::FAILURE;
    }
    let head = format!("# Made by `enginehouse import {program}` from {}.", several(files, "file"));
    let check = "# Read the comments; then: enginehouse check THIS_FILE";
    let text = format!("{head}\n{check}\n{}\n", outcome.secrets.without(&outcome.document.text()));
    let _ = write!(out, "{text}");
    let model = if outcome.is_part { "models: { m: { source: s } }\n" } else { "" };
    let wrong = errors(&format!("{text}{model}"));
    if wrong.is_empty() {
        return ExitCode::SUCCESS;
    }
    let count = several(wrong.len(), "error");
    let _ = writeln!(
        err,
        "The configuration has {count} to correct before it can be \
            served:\n\n{}",
        Diagnostics(wrong)
    );
    ExitCode::FAILURE
}

/// Says why nothing could be read; fails.
pub(super) fn nothing(errors: &[String], err: &mut dyn Write) -> ExitCode {
    let _ = writeln!(err, "Nothing was imported:\n  {}", errors.join("\n  "));
    ExitCode::FAILURE
}

fn told(outcome: &Outcome) -> String {
    let mut told = format!("{}\n", outcome.summary);
    if !outcome.said.is_empty() {
        told.push_str("Please read, and act where needed:\n");
        outcome.said.iter().for_each(|said| told.push_str(&format!("  {said}\n")));
    }
    told
}

/// What is wrong with the configuration, whatever the variables are set to that it names.
pub(super) fn errors(text: &str) -> Vec<Diagnostic> {
    let lines: Vec<&str> = text.lines().collect();
    let line =
        |one: &Diagnostic| usize::try_from(one.line).ok().and_then(|line| lines.get(line.checked_sub(1)?).copied());
    let found = |env: &dyn Fn(&str) -> Option<String>| {
        let found = config::parse(text, env).err().map_or_else(Vec::new, |Diagnostics(found)| found);
        found.into_iter().filter(|one| !line(one).is_some_and(|line| line.contains("${"))).collect::<Vec<_>>()
    };
    // A variable that is not set hides what comes after it, and defaults are used only where one is not set.
    let (unset, set) = (found(&|_| None), found(&|name| Some(name.to_ascii_lowercase())));
    if unset.is_empty() { set } else { unset }
}

/// `1 file`, `2 files`.
pub(super) fn several(count: usize, word: &str) -> String {
    let ending = match word {
        _ if count == 1 => "",
        "alias" => "es",
        _ => "s",
    };
    format!("{count} {word}{ending}")
}

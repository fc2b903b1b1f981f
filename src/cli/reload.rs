//! `enginehouse reload` and `enginehouse plan`: make a running gateway read its configuration again, or show what that would
//! change.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::output::fail;
use crate::api::{
    ChangeKind, Client, ClientError, ConfigChange, ConfigError, NameChange, ReloadOutcome, SettingChange,
};
use crate::app::Source;

/// The gateway to ask.
#[derive(Debug, clap::Args)]
pub(super) struct Gateway {
    /// The configuration (YAML) of the gateway
    file: PathBuf,
    /// Address of the operators' API (instead of `admin.listen` of the configuration)
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

/// `enginehouse reload`.
pub(super) fn reload(gateway: &Gateway) -> ExitCode {
    let report = client(gateway).and_then(|client| client.reload().map_err(|error| told(&error, gateway)));
    let report = match report {
        Ok(report) => report,
        Err(text) => return fail(&text),
    };
    let file = Path::new(&report.file);
    if report.outcome == ReloadOutcome::Rejected {
        return fail(&format!("{}\nNothing was changed.", errors(&report.errors, file)));
    }
    let done = say(&described(&report.change, "The gateway reloaded its configuration", "Nothing changed"));
    if !report.errors.is_empty() {
        return fail(&errors(&report.errors, file));
    }
    let is_other = |own: PathBuf| std::fs::canonicalize(file).is_ok_and(|file| file != own);
    if std::fs::canonicalize(&gateway.file).is_ok_and(is_other) {
        let (own, given) = (file.display(), gateway.file.display());
        return fail(&format!(
            "enginehouse: this gateway runs with {own} and reloaded that file; {given} was not used."
        ));
    }
    done
}

/// `enginehouse plan`.
pub(super) fn plan(gateway: &Gateway) -> ExitCode {
    let change = client(gateway).and_then(|client| {
        let text =
            std::fs::read_to_string(&gateway.file).map_err(|error| format!("{}: {error}", gateway.file.display()))?;
        client.plan(&text).map_err(|error| told(&error, gateway))
    });
    match change {
        Ok(change) => say(&described(&change, "A reload would change", "A reload would change nothing")),
        Err(text) => fail(&text),
    }
}

fn client(gateway: &Gateway) -> Result<Client, String> {
    match (Source::new(&gateway.file, None).load(), gateway.admin) {
        (Ok(config), admin) => Ok(Client::new(admin.unwrap_or(config.admin.listen), config.admin.token.as_ref())),
        // The gateway itself tells what is wrong with the file: it may have variables that this shell has not.
        (Err(_), Some(admin)) => Ok(Client::new(admin, None)),
        (Err(found), None) => Err(format!("{found}\n\n{}: nothing was changed.", gateway.file.display())),
    }
}

fn told(error: &ClientError, gateway: &Gateway) -> String {
    match error {
        ClientError::Configuration(found) => errors(found, &gateway.file),
        ClientError::Unreachable { .. } if gateway.admin.is_none() => format!(
            "enginehouse: {error}\nIf `admin.listen` of this file was changed after the gateway was started: the gateway \
             listens at the address that it had, until it is restarted. Give that one: --admin ADDRESS."
        ),
        other => format!("enginehouse: {other}"),
    }
}

/// One error in each paragraph.
fn errors(found: &[ConfigError], file: &Path) -> String {
    let one = |error: &ConfigError| {
        let line = error.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let key = if error.key.is_empty() { "(the file)" } else { &error.key };
        format!("{}: {key}{line}\n    {}\n", file.display(), error.message)
    };
    found.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn say(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What changes, one line for each thing.
fn described(change: &ConfigChange, some: &str, none: &str) -> String {
    let mut lines = Vec::new();
    for (what, changes) in [("model", &change.models), ("alias", &change.aliases), ("caller", &change.callers)] {
        lines.extend(changes.iter().map(|one| format!("{what} {}", named(one).replace('\n', "\n  "))));
    }
    lines.extend(change.engines.iter().map(|one| format!("engines of {}", one.to_string().replace('\n', "\n  "))));
    lines.extend(change.listeners.iter().map(ToString::to_string));
    lines.extend(change.settings.iter().map(ToString::to_string));
    let mut out = if lines.is_empty() { format!("{none}.\n") } else { format!("{some}:\n") };
    let kept = |SettingChange { key, from, to }: &SettingChange| {
        format!("{key}: stays {from}; {to} needs a restart of the gateway")
    };
    lines.extend(change.restart_required.iter().map(kept));
    lines.iter().for_each(|line| out.extend(["  ", line, "\n"]));
    out
}

fn named(one: &NameChange) -> String {
    let word = match one.kind {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "removed",
        ChangeKind::Changed => "changed",
    };
    let keys = if one.keys.is_empty() { String::new() } else { format!(" ({})", one.keys.join(", ")) };
    let values: String = one.values.iter().map(|value| format!("\n  {value}")).collect();
    format!("{}: {word}{keys}{values}", one.name)
}

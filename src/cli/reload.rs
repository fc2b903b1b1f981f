//! `enginehouse reload` and `enginehouse plan`: make a running gateway read its configuration again, or show what that would
//! change.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use super::config_arg::ConfigArgs;
use super::output::fail;
use crate::api::{
    ChangeKind, Client, ClientError, ConfigChange, ConfigError, NameChange, ReloadOutcome, SettingChange,
};
use crate::app::Source;

/// The gateway to ask.
#[derive(Debug, clap::Args)]
pub(super) struct Gateway {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address of the operators' API (instead of `admin.listen` of the configuration)
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

/// A gateway, found by its configuration.
struct Found {
    source: Source,
    client: Client,
    has_address: bool,
}

/// `enginehouse reload`.
pub(super) fn reload(gateway: &Gateway) -> ExitCode {
    if !gateway.config.settings().is_empty() {
        return fail(
            "enginehouse: `reload` has the gateway read its own files again, with the `--set` that it was started with; leave \
             out `--set`. `enginehouse plan` shows what other settings would change.",
        );
    }
    let done = found(gateway).and_then(|found| {
        let report = found.client.reload().map_err(|error| told(&error, &found))?;
        Ok((found, report))
    });
    let (found, report) = match done {
        Ok(done) => done,
        Err(text) => return fail(&text),
    };
    if report.outcome == ReloadOutcome::Rejected {
        return fail(&format!("{}\nNothing was changed.", errors(&report.errors, &report.file)));
    }
    let done = say(&described(&report.change, "The gateway reloaded its configuration", "Nothing changed"));
    if !report.errors.is_empty() {
        return fail(&errors(&report.errors, &report.file));
    }
    let (own, given) = (&report.file, found.source.title());
    let is_same = *own == given
        || std::fs::canonicalize(own).is_ok_and(|own| std::fs::canonicalize(&given).is_ok_and(|given| own == given));
    if !is_same {
        return fail(&format!("enginehouse: this gateway runs with {own} and reloaded that; {given} was not used."));
    }
    done
}

/// `enginehouse plan`.
pub(super) fn plan(gateway: &Gateway) -> ExitCode {
    let change = found(gateway).and_then(|found| {
        let layers = found.source.read().map_err(|why| why.to_string())?;
        let text =
            layers.text().ok_or_else(|| format!("{} cannot be read as one configuration", found.source.title()))?;
        found.client.plan(&text).map_err(|error| told(&error, &found))
    });
    match change {
        Ok(change) => say(&described(&change, "A reload would change", "A reload would change nothing")),
        Err(text) => fail(&text),
    }
}

fn found(gateway: &Gateway) -> Result<Found, String> {
    let source = gateway.config.source(None)?;
    let client = match (source.load(), gateway.admin) {
        (Ok(config), admin) => Client::new(admin.unwrap_or(config.admin.listen), config.admin.token.as_ref()),
        // The gateway itself tells what is wrong with the file: it may have variables that this shell has not.
        (Err(_), Some(admin)) => Client::new(admin, None),
        (Err(found), None) => return Err(format!("{found}\n\n{}: nothing was changed.", source.title())),
    };
    Ok(Found { source, client, has_address: gateway.admin.is_some() })
}

fn told(error: &ClientError, found: &Found) -> String {
    match error {
        ClientError::Configuration(wrong) => errors(wrong, &found.source.title()),
        ClientError::Unreachable { .. } if !found.has_address => format!(
            "enginehouse: {error}\nIf `admin.listen` of this file was changed after the gateway was started: the gateway \
             listens at the address that it had, until it is restarted. Give that one: --admin ADDRESS."
        ),
        other => format!("enginehouse: {other}"),
    }
}

/// One error in each paragraph. `file`: where they are that name no other.
fn errors(found: &[ConfigError], file: &str) -> String {
    let one = |error: &ConfigError| {
        let line = error.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let key = if error.key.is_empty() { "(the file)" } else { &error.key };
        let file = error.file.as_deref().unwrap_or(file);
        format!("{file}: {key}{line}\n    {}\n", error.message)
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

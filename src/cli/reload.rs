//! `enginehouse reload` and `enginehouse plan`: make a running gateway read its configuration again, or show what that would
//! change.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::change::{described, errors};
use super::output::{Exit, Failure, ended, print, print_json};
use super::running::Running;
use crate::api::{Client, ClientError, ReloadOutcome};
use crate::app::{self, RunningGateway, Source};

/// `enginehouse reload`: which gateway.
#[derive(Debug, clap::Args)]
pub(super) struct Reload {
    /// The configuration (YAML) of the gateway; without it: the gateway that runs on this machine
    file: Option<PathBuf>,
    #[command(flatten)]
    running: Running,
    /// Print what changed as JSON
    #[arg(long)]
    json: bool,
}

/// `enginehouse plan`: of which file, and which gateway.
#[derive(Debug, clap::Args)]
pub(super) struct Plan {
    /// The configuration (YAML) that is compared with what the gateway runs by
    file: PathBuf,
    #[command(flatten)]
    running: Running,
    /// Print what would change as JSON
    #[arg(long)]
    json: bool,
}

/// `enginehouse reload`.
pub(super) fn reload(ask: &Reload) -> ExitCode {
    ended(reloaded(ask))
}

fn reloaded(Reload { file: given, running, json }: &Reload) -> Result<(), Failure> {
    let failed = |text: String| Failure::new(Exit::Failed, text);
    let client = match given {
        Some(file) => client(file, running)?,
        None => running.find()?.client,
    };
    let report = client.reload().map_err(|error| told(error, given.as_deref(), running))?;
    if *json {
        print_json(&report);
    }
    let file = Path::new(&report.file);
    if report.outcome == ReloadOutcome::Rejected {
        return Err(failed(format!("{}\nNothing was changed.", errors(&report.errors, file))));
    }
    if !json {
        print(&described(&report.change, "The gateway reloaded its configuration", "Nothing changed"));
    }
    if !report.errors.is_empty() {
        return Err(failed(errors(&report.errors, file)));
    }
    let is_other = |given: &PathBuf| {
        let (own, given) = (std::fs::canonicalize(file), std::fs::canonicalize(given));
        own.is_ok_and(|own| given.is_ok_and(|given| given != own))
    };
    match given {
        Some(given) if is_other(given) => Err(failed(format!(
            "enginehouse: this gateway runs with {} and reloaded that file; {} was not used.",
            file.display(),
            given.display()
        ))),
        _ => Ok(()),
    }
}

/// `enginehouse plan`.
pub(super) fn plan(ask: &Plan) -> ExitCode {
    ended(planned(ask))
}

fn planned(Plan { file, running, json }: &Plan) -> Result<(), Failure> {
    let client = client(file, running)?;
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", file.display())))?;
    let change = client.plan(&text).map_err(|error| told(error, Some(file), running))?;
    if *json {
        print_json(&change);
    } else {
        print(&described(&change, "A reload would change", "A reload would change nothing"));
    }
    Ok(())
}

/// The gateway that is given, or that of `file`: the one that runs on its state directory, or at its address.
fn client(file: &Path, running: &Running) -> Result<Client, Failure> {
    if running.is_given() {
        return Ok(running.find()?.client);
    }
    let config = Source::new(file, None)
        .load()
        .map_err(|found| Failure::new(Exit::Failed, format!("{found}\n\n{}: nothing was changed.", file.display())))?;
    let told = RunningGateway::on(&app::state_dir(&config)).ok().flatten().filter(RunningGateway::is_there);
    Ok(match told {
        Some(gateway) => Client::new(gateway.admin, gateway.token.as_ref()),
        None => Client::new(config.admin.listen, config.admin.token.as_ref()),
    })
}

fn told(error: ClientError, file: Option<&Path>, running: &Running) -> Failure {
    match (error, file) {
        (ClientError::Configuration(found), Some(file)) => Failure::new(Exit::Failed, errors(&found, file)),
        (error @ ClientError::Unreachable { .. }, Some(_)) if !running.is_given() => Failure::new(
            Exit::NoGateway,
            format!(
                "enginehouse: {error}\nIf `admin.listen` of this file was changed after the gateway was started: the \
                 gateway listens at the address that it had, until it is restarted. Give that one: --admin ADDRESS."
            ),
        ),
        (error, _) => error.into(),
    }
}

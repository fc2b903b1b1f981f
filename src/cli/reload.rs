//! `enginehouse reload` and `enginehouse plan`: make a running gateway read its configuration again, or show what that would
//! change.

use std::path::Path;
use std::process::ExitCode;

use super::change::{described, errors};
use super::config_arg::{ConfigArg, ConfigArgs, files};
use super::output::{Exit, Failure, ended, print, print_json};
use super::running::Running;
use crate::api::{Client, ClientError, ReloadOutcome};
use crate::app::{self, RunningGateway, Source};

/// `enginehouse reload`: which gateway.
#[derive(Debug, clap::Args)]
pub(super) struct Reload {
    /// The configuration of the gateway: the files or saved names that it was started with; without it: the gateway that runs on
    /// this machine
    #[arg(value_name = "FILE|NAME")]
    configurations: Vec<ConfigArg>,
    #[command(flatten)]
    running: Running,
    /// Print what changed as JSON
    #[arg(long)]
    json: bool,
}

/// `enginehouse plan`: of which file, and which gateway.
#[derive(Debug, clap::Args)]
pub(super) struct Plan {
    #[command(flatten)]
    config: ConfigArgs,
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

fn reloaded(Reload { configurations, running, json }: &Reload) -> Result<(), Failure> {
    let failed = |text: String| Failure::new(Exit::Failed, text);
    let given = match &configurations[..] {
        [] => None,
        all => Some(Source::new(&files(all).map_err(failed)?, Vec::new(), None)),
    };
    let client = match &given {
        Some(source) => client(source, running)?,
        None => running.find()?.client,
    };
    let report = client.reload().map_err(|error| told(error, given.as_ref(), running))?;
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
    let is_other = |given: &Source| {
        let (own, given) = (std::fs::canonicalize(file), std::fs::canonicalize(given.title()));
        own.is_ok_and(|own| given.is_ok_and(|given| given != own))
    };
    match given {
        Some(given) if is_other(&given) => Err(failed(format!(
            "enginehouse: this gateway runs with {} and reloaded that file; {} was not used.",
            file.display(),
            given.title()
        ))),
        _ => Ok(()),
    }
}

/// `enginehouse plan`.
pub(super) fn plan(ask: &Plan) -> ExitCode {
    ended(planned(ask))
}

fn planned(Plan { config, running, json }: &Plan) -> Result<(), Failure> {
    let failed = |text: String| Failure::new(Exit::Failed, text);
    let source = config.source(None).map_err(failed)?;
    let client = client(&source, running)?;
    let layers = source.read().map_err(|why| failed(why.to_string()))?;
    let text = layers.text().ok_or_else(|| failed(format!("{} is not one configuration", source.title())))?;
    let change = client.plan(&text).map_err(|error| told(error, Some(&source), running))?;
    if *json {
        print_json(&change);
    } else {
        print(&described(&change, "A reload would change", "A reload would change nothing"));
    }
    Ok(())
}

/// The gateway that is given, or that of `file`: the one that runs on its state directory, or at its address.
fn client(source: &Source, running: &Running) -> Result<Client, Failure> {
    if running.is_given() {
        // A file with errors may be one that is right where the gateway runs: it may have variables that this shell has not.
        let token = source.load().ok().and_then(|config| config.admin.token);
        return Ok(running.find_with(token)?.client);
    }
    let config = source
        .load()
        .map_err(|found| Failure::new(Exit::Failed, format!("{found}\n\n{}: nothing was changed.", source.title())))?;
    let told = RunningGateway::on(&app::state_dir(&config)).ok().flatten().filter(RunningGateway::is_there);
    Ok(match told {
        Some(gateway) => Client::new(gateway.admin, gateway.token.as_ref()),
        None => Client::new(config.admin.listen, config.admin.token.as_ref()),
    })
}

fn told(error: ClientError, source: Option<&Source>, running: &Running) -> Failure {
    match (error, source) {
        (ClientError::Configuration(found), Some(source)) => {
            Failure::new(Exit::Failed, errors(&found, Path::new(&source.title())))
        }
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

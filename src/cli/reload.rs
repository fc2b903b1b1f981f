//! `enginehouse reload` and `enginehouse plan`: make a running gateway read its configuration again, or show what that would
//! change.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use super::change::{described, errors};
use super::config_arg::{ConfigArg, ConfigArgs, files};
use super::output::{Exit, Failure, ended, print, print_json};
use super::running::{Running, answering};
use crate::api::{Client, ClientError, ReloadOutcome, reachable};
use crate::app::{self, RunningGateway, Source};
use crate::config::Config;

/// `enginehouse reload`: which gateway.
#[derive(Debug, clap::Args)]
pub(super) struct Reload {
    /// The configuration of the gateway: the files or saved names that it was started with; without it: the gateway that runs on
    /// this machine
    #[arg(value_name = "FILE|NAME")]
    configurations: Vec<ConfigArg>,
    /// Print what changed as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

/// `enginehouse plan`: of which file, and which gateway.
#[derive(Debug, clap::Args)]
pub(super) struct Plan {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print what would change as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
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
        Some(source) => client(source, running, Ask::Reload)?,
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
    Ok(())
}

/// `enginehouse plan`.
pub(super) fn plan(ask: &Plan) -> ExitCode {
    ended(planned(ask))
}

fn planned(Plan { config, running, json }: &Plan) -> Result<(), Failure> {
    let failed = |text: String| Failure::new(Exit::Failed, text);
    let source = config.source(None).map_err(failed)?;
    let client = client(&source, running, Ask::Plan)?;
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

/// What is asked of a gateway about a configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// To read its own files again: they must be these.
    Reload,
    /// What these files would change, which may be a draft beside its own.
    Plan,
}

/// The gateway that is given, or that of the files: the one that runs on their state directory, or at their address. One that
/// runs with another configuration is sent nothing.
fn client(source: &Source, running: &Running, ask: Ask) -> Result<Client, Failure> {
    // A file with errors may be one that is right where the gateway runs: it may have variables that this shell has not.
    let config = source.load();
    if running.is_given() {
        let token = config.ok().and_then(|config| config.admin.token);
        let found = running.find_with(token)?;
        let (name, runs_with) = (found.status.name, found.status.configuration_file);
        return match source.is_titled(&runs_with) {
            Some(false) if ask == Ask::Reload => {
                let to_do = format!("To have it read its own files, give the same command without {}.", source.title());
                Err(another(source, (&name, &runs_with), &to_do))
            }
            _ => Ok(found.client),
        };
    }
    let config = config
        .map_err(|found| Failure::new(Exit::Failed, format!("{found}\n\n{}: nothing was changed.", source.title())))?;
    let state_dir = app::state_dir(&config);
    let here = RunningGateway::on(&state_dir).ok().flatten().filter(RunningGateway::is_there);
    // One of another name may listen at the address, and has told so where all do.
    let at = reachable(config.admin.listen);
    let listens = |gateway: &RunningGateway| reachable(gateway.admin) == at;
    if let Some(gateway) = here.or_else(|| RunningGateway::all().into_iter().find(listens)) {
        let runs_with = gateway.configuration_file.display().to_string();
        check((source, &config), (&gateway.name, &runs_with, gateway.admin), ask)?;
        // One that hangs is told of at once: what is asked of it below may take as long as it likes.
        if let Some(found) = answering(&gateway)? {
            return Ok(found.client);
        }
    }
    // A token is shown only to who asks for one.
    let mut client = Client::new(at, None);
    let mut status = client.status();
    if let (Err(ClientError::Unauthorized), Some(token)) = (&status, &config.admin.token) {
        client = Client::new(at, Some(token));
        status = client.status();
    }
    let status = status.map_err(|error| told(error, Some(source), running))?;
    check((source, &config), (&status.name, &status.configuration_file, at), ask)?;
    Ok(client)
}

/// Whether the gateway of this name and address, which runs with these files, is that of `source`, which means `config`. Where its
/// files are not on this machine, as in a container, the name tells.
fn check(
    (source, config): (&Source, &Config),
    (name, runs_with, at): (&str, &str, SocketAddr),
    ask: Ask,
) -> Result<(), Failure> {
    let has_name = config.name == name;
    match source.is_titled(runs_with) {
        Some(true) => Ok(()),
        Some(false) if ask == Ask::Plan && has_name => Ok(()),
        None if has_name => Ok(()),
        _ => {
            let command = if ask == Ask::Plan { "enginehouse plan FILE" } else { "enginehouse reload" };
            let to_do = format!("If that is the one you mean: {command} --admin {at}");
            Err(another(source, (name, runs_with), &to_do))
        }
    }
}

/// Another gateway than that of `source` is where that one would be.
fn another(source: &Source, (name, runs_with): (&str, &str), to_do: &str) -> Failure {
    Failure::new(
        Exit::Failed,
        format!(
            "The gateway `{name}`, which answers there, runs with another configuration: {runs_with}, not {}. It was sent \
             nothing, and nothing was changed. {to_do}",
            source.title()
        ),
    )
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

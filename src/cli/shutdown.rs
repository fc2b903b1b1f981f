//! `enginehouse shutdown`: stops gateways and their engines, also engines whose gateway is dead.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::config_arg::{ConfigArg, files_that_run};
use super::output::{Exit, Failure, ended};
use super::running;
use crate::app::{self, RunningGateway, Source};
use crate::config::{Config, Engines};
use crate::supervisor::{self, EndedGateway, ShutdownError, ShutdownReport};

/// How much longer a gateway may take to exit than its configuration allows for requests and engines.
const SLACK: Duration = Duration::from_secs(15);

/// `stop_timeout` of a gateway whose configuration is not known.
const UNKNOWN: Duration = Duration::from_secs(30);

/// How long such a gateway may go on with its requests before it counts as one that does not end: more than nearly all
/// configurations say, because it may be well.
const UNKNOWN_DRAIN: Duration = Duration::from_secs(600);

/// One gateway to stop, dead or alive, known by its state directory.
struct Target {
    state_dir: PathBuf,
    /// How long its requests may go on.
    drain: Duration,
    /// How long each of its engines may take to exit after SIGTERM.
    stop_timeout: Duration,
}

/// What told the state directories.
#[derive(Clone, Copy)]
enum From {
    /// A configuration file, as it is now.
    File,
    /// The command line.
    StateDir,
    /// The usual place.
    All,
}

/// The gateway to stop.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration of the gateway: the files or saved names that it was started with; this, --state-dir or --all is needed
    #[arg(value_name = "FILE|NAME")]
    configurations: Vec<ConfigArg>,
    /// The state directory of the gateway (instead of `state_dir` of the configuration)
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Stop all gateways of this user whose state directory is in the default place
    #[arg(long, conflicts_with_all = ["configurations", "state_dir"])]
    all: bool,
}

/// Stops the gateway of these files, or the one on the state directory, or every gateway of this user whose state directory is
/// in the usual place; each with all its engines.
pub(super) fn run(args: &Args) -> ExitCode {
    match targets(args).and_then(|targets| Ok((targets, runtime()?))) {
        Ok((targets, runtime)) => {
            let from = if args.all {
                From::All
            } else if args.configurations.is_empty() {
                From::StateDir
            } else {
                From::File
            };
            runtime.block_on(stop(targets, from))
        }
        Err(failure) => ended(Err(failure)),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start worker threads: {error}"))
}

fn targets(args: &Args) -> Result<Vec<Target>, Failure> {
    let state_dir = args.state_dir.clone();
    let plain = |state_dir| Target { state_dir, drain: UNKNOWN_DRAIN, stop_timeout: UNKNOWN };
    if args.all {
        let folder = app::state_dirs();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => {
                return Err(format!("cannot look for state directories in {}: {error}", folder.display()).into());
            }
        };
        return Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).map(plain).collect());
    }
    if args.configurations.is_empty() {
        let none = "Say what to stop: give the configuration FILE of a gateway, its state directory (--state-dir DIR), or --all.";
        return state_dir.map(|folder| vec![plain(folder)]).ok_or_else(|| Failure::new(Exit::Usage, none));
    }
    let source = Source::new(&files_that_run(&args.configurations)?, Vec::new(), None);
    let config = source.load().map_err(|found| {
        format!(
            "{}:\n\n{found}\nTo stop the gateway without its configuration, give its state directory: --state-dir DIR.",
            source.title()
        )
    })?;
    let state_dir = state_dir.unwrap_or_else(|| app::state_dir(&config));
    Ok(vec![Target { state_dir, drain: config.timeouts.drain, stop_timeout: stop_timeout(&config) }])
}

/// The longest `stop_timeout` of all models.
fn stop_timeout(config: &Config) -> Duration {
    let times = config.models.iter().filter_map(|model| match &model.engines {
        Engines::Spawn(spawn) => Some(spawn.stop_timeout),
        Engines::Urls(_) => None,
    });
    times.max().unwrap_or(UNKNOWN)
}

async fn stop(targets: Vec<Target>, from: From) -> ExitCode {
    let ends = targets.iter().map(|target| async { (&target.state_dir, end(target).await) });
    let mut code = ExitCode::SUCCESS;
    let mut found = false;
    for (state_dir, (other, result)) in futures::future::join_all(ends).await {
        let place = state_dir.display();
        let mut said = Vec::new();
        if let Some(other) = other {
            found = true;
            if other.is_err() {
                code = ExitCode::FAILURE;
            }
            let text = other.map_or_else(|why| why, |pid| format!("the gateway (pid {pid}) has ended"));
            said.push(format!("{place}: {text}"));
        }
        match result {
            Ok(closed) => {
                found |= closed.gateway.is_some() || !closed.engines.is_empty();
                said.extend(closed.gateway.map(|gateway| format!("{place}: {}", told(&gateway))));
                said.extend(closed.engines.iter().map(|engine| format!("{place}: {engine} has ended")));
                if !closed.survivors.is_empty() {
                    code = ExitCode::FAILURE;
                    let who = closed.survivors.join(", ");
                    said.push(format!(
                        "{place}: {who} still runs after SIGKILL; it may be blocked in a driver: see `dmesg`"
                    ));
                }
            }
            Err(error) => {
                code = ExitCode::FAILURE;
                found = true;
                said.push(error.to_string());
            }
        }
        for line in said {
            let _ = writeln!(io::stdout(), "{line}");
        }
    }
    if !found {
        let _ = writeln!(io::stdout(), "{}", nothing(&targets, from));
    }
    code
}

/// Ends what runs on a state directory: a gateway by its lock, and one that could take none, because nothing could be written
/// there, by its operators' API.
async fn end(target: &Target) -> (Option<Result<u32, String>>, Result<ShutdownReport, ShutdownError>) {
    let Target { state_dir, drain, stop_timeout } = target;
    let report = supervisor::shut_down(state_dir, *drain + *stop_timeout + SLACK, *stop_timeout).await;
    if !report.as_ref().is_ok_and(|closed| closed.gateway.is_none()) {
        return (None, report);
    }
    let (state_dir, patience) = (state_dir.clone(), *drain + SLACK);
    let is_used = report.as_ref().is_ok_and(|closed| !closed.engines.is_empty());
    let other = tokio::task::spawn_blocking(move || running::end(&state_dir, patience, is_used)).await;
    (other.unwrap_or_else(|error| Some(Err(error.to_string()))), report)
}

/// What became of a gateway.
fn told(gateway: &EndedGateway) -> String {
    let EndedGateway { pid, was_paused, killed_after } = gateway;
    let before = if *was_paused { " was stopped by a signal (SIGSTOP or Ctrl-Z); it was continued, and" } else { "" };
    match killed_after {
        None => format!("the gateway (pid {pid}){before} has ended"),
        Some(time) => format!(
            "the gateway (pid {pid}){before} did not end within {time:?} after SIGTERM and was killed; its engines were ended \
             by their records"
        ),
    }
}

/// What is said when there was nothing to stop, and what the reason may be.
fn nothing(targets: &[Target], from: From) -> String {
    let none = "There was nothing to stop: no gateway and no engine runs";
    let (From::File | From::StateDir, [Target { state_dir, .. }]) = (from, targets) else {
        return format!(
            "{none}.\nLooked for in {}. A gateway with a `state_dir` of its own is not found there: give its configuration \
             FILE, or --state-dir DIR.",
            app::state_dirs().display()
        );
    };
    let mut said = format!("{none} on {}.", state_dir.display());
    if matches!(from, From::File) {
        said += "\nIf `name` or `state_dir` of the file was changed after the gateway was started, or the file was moved, give \
                 the directory that it was started with: --state-dir DIR.";
    }
    let others = RunningGateway::all();
    if !others.is_empty() {
        let others: Vec<String> = others.iter().map(|other| format!("{} (pid {})", other.name, other.pid)).collect();
        said += &format!("\nOthers run here: {}.", others.join(", "));
    }
    said
}

//! `enginehouse stop`: ends a house, also the engines of a gateway that is dead.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::config::{self, Config, Engines};
use crate::{app, supervisor};

/// How long a gateway may take to end beyond what its configuration gives requests and engines.
const SLACK: Duration = Duration::from_secs(15);

/// What `drain` and `stop_timeout` are taken for where no configuration says.
const USUAL: Duration = Duration::from_secs(30);

/// One house to end.
struct House {
    state_dir: PathBuf,
    drain: Duration,
    stop_timeout: Duration,
}

/// Ends the house of `file`, or on `state_dir`, or with `all` every house of this user that is where houses usually are.
pub(super) fn run(file: Option<&Path>, state_dir: Option<PathBuf>, all: bool) -> ExitCode {
    match houses(file, state_dir, all).and_then(|houses| Ok((houses, runtime()?))) {
        Ok((houses, runtime)) => runtime.block_on(end(houses)),
        Err(text) => {
            let _ = writeln!(io::stderr(), "{}", text.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start worker threads: {error}"))
}

fn houses(file: Option<&Path>, state_dir: Option<PathBuf>, all: bool) -> Result<Vec<House>, String> {
    let plain = |state_dir| House { state_dir, drain: USUAL, stop_timeout: USUAL };
    if all {
        let folder = app::state_dirs();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(format!("cannot look for houses in {}: {error}", folder.display())),
        };
        return Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).map(plain).collect());
    }
    let Some(file) = file else {
        let none = "Say which house: its configuration FILE, its --state-dir, or --all.".to_owned();
        return state_dir.map(|folder| vec![plain(folder)]).ok_or(none);
    };
    let config = config::load(file, &|name| std::env::var(name).ok()).map_err(|found| {
        format!(
            "{}:\n\n{found}\nTo stop the gateway without its configuration, give its state directory: --state-dir DIR.",
            file.display()
        )
    })?;
    let state_dir = state_dir.unwrap_or_else(|| app::state_dir(&config));
    Ok(vec![House { state_dir, drain: config.timeouts.drain, stop_timeout: stop_timeout(&config) }])
}

/// The longest of all engines.
fn stop_timeout(config: &Config) -> Duration {
    let times = config.models.iter().filter_map(|model| match &model.engines {
        Engines::Spawn(spawn) => Some(spawn.stop_timeout),
        Engines::Urls(_) => None,
    });
    times.max().unwrap_or(USUAL)
}

async fn end(houses: Vec<House>) -> ExitCode {
    let ended = houses.iter().map(|House { state_dir, drain, stop_timeout }| async move {
        (state_dir, supervisor::shut_down(state_dir, *drain + *stop_timeout + SLACK, *stop_timeout).await)
    });
    let mut code = ExitCode::SUCCESS;
    let mut found = false;
    for (state_dir, result) in futures::future::join_all(ended).await {
        let place = state_dir.display();
        let said = match result {
            Ok(closed) => {
                found |= closed.gateway.is_some() || !closed.engines.is_empty();
                let mut said = Vec::new();
                said.extend(closed.gateway.map(|pid| format!("{place}: the gateway (pid {pid}) has ended")));
                said.extend(closed.engines.iter().map(|engine| format!("{place}: {engine} has ended")));
                if !closed.survivors.is_empty() {
                    code = ExitCode::FAILURE;
                    let who = closed.survivors.join(", ");
                    said.push(format!("{place}: SIGKILL did not end {who}; a driver may hold it: see dmesg"));
                }
                said
            }
            Err(error) => {
                code = ExitCode::FAILURE;
                found = true;
                vec![error.to_string()]
            }
        };
        for line in said {
            let _ = writeln!(io::stdout(), "{line}");
        }
    }
    if !found {
        let _ = writeln!(io::stdout(), "Nothing runs.");
    }
    code
}

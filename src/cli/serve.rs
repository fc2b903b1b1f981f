//! `enginehouse serve`: load, open, act on signals until one of them ends it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;

use super::background::{self, Detached};
use super::config_arg::ConfigArgs;
use super::output::fail;
use super::shell::shutdown_of;
use super::signals::{EarlySignals, Signals};
use crate::app::{self, Source};
use crate::config::{Config, Setting};
use crate::supervisor;
use crate::telemetry::Logs;

/// How long threads that wait for a file system may take to end.
const THREADS_END: Duration = Duration::from_secs(1);

/// What is served, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Directory for records and engine logs (instead of `state_dir` of the configuration)
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Write process id and addresses to this file (JSON) as soon as the gateway accepts requests
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Start the gateway in the background and return when it accepts requests: it goes on without the terminal, and its log is
    /// gateway.log in the state directory
    #[arg(long)]
    detach: bool,
    /// This process was started by `--detach`; its log is this file
    #[arg(long, hide = true, value_name = "LOG", conflicts_with = "detach")]
    detached: Option<PathBuf>,
    /// The command that stops it, where that is not made of what was given here.
    #[arg(skip)]
    stopped_by: Option<String>,
}

impl Args {
    /// One file, for a gateway that the command `stopped_by` stops.
    pub(super) fn of_file(file: PathBuf, stopped_by: String, settings: Vec<Setting>, detach: bool) -> Self {
        let stopped_by = Some(stopped_by);
        let config = ConfigArgs::with(file, settings);
        Self { config, state_dir: None, ready_file: None, detach, detached: None, stopped_by }
    }
}

/// Serves until it is asked to stop.
pub(super) fn run(args: &Args) -> ExitCode {
    if args.detach {
        return detach(args);
    }
    if args.detached.is_some() {
        // A session of its own has no terminal that could go away. It fails only where this is one already.
        let _ = rustix::process::setsid();
    }
    // First of all: a SIGHUP must not end it.
    let signals = match EarlySignals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("cannot listen for signals: {error}")),
    };
    let source = match args.config.source(args.state_dir.clone()) {
        Ok(source) => source,
        Err(why) => return fail(&why),
    };
    let config = match source.load() {
        Ok(config) => config,
        Err(found) => return fail(&found.to_string()),
    };
    match open(source, config, args, signals) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}")),
    }
}

fn detach(args: &Args) -> ExitCode {
    let Args { config, state_dir, ready_file, .. } = args;
    let started = config.files().and_then(|files| {
        let what = Detached {
            files,
            settings: config.settings().to_vec(),
            state_dir: state_dir.clone(),
            ready_file: ready_file.clone(),
        };
        background::start(&what)
    });
    match started {
        Ok(started) => {
            let is_changed = state_dir.is_some() || !config.settings().is_empty();
            // The log is in the state directory.
            let stop = match (&args.stopped_by, started.log.parent()) {
                (Some(command), _) => command.clone(),
                // `shutdown` does not take settings, which may say another name or state directory than the files.
                (None, Some(folder)) if is_changed => shutdown_of(folder),
                (None, _) => format!("enginehouse shutdown {}", config.words()),
            };
            // A reader that went away is no failure of the gateway.
            let _ = writeln!(io::stdout(), "{started}\n  stop it    {stop}");
            ExitCode::SUCCESS
        }
        Err(why) => fail(&why),
    }
}

fn open(source: Source, config: Config, args: &Args, signals: EarlySignals) -> anyhow::Result<()> {
    let logs = Logs::start(&config.log).map_err(anyhow::Error::msg)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = config.threads {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build().context("cannot start worker threads")?;
    let result = runtime.block_on(async {
        let signals = Signals::new(signals).context("cannot listen for signals")?;
        let (ask, requests) = mpsc::channel(16);
        let forwarding = tokio::spawn(signals.forward(ask));
        let rules = config.engine_logs;
        if let Some(log) = args.detached.clone() {
            tokio::spawn(supervisor::rotate_own_log(log, rules));
        }
        let served = app::serve(source, config, logs, requests, args.ready_file.clone()).await;
        forwarding.abort();
        served.map_err(anyhow::Error::from)
    });
    // A file system that hangs may hold a thread for ever.
    runtime.shutdown_timeout(THREADS_END);
    result
}

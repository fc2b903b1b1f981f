//! `enginehouse serve`: load, open, act on signals until one of them ends it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;

use super::output::fail;
use super::signals::{EarlySignals, Signals};
use crate::app::{self, Source};
use crate::config::Config;
use crate::telemetry::Logs;

/// How long threads that wait for a file system may take to end.
const THREADS_END: Duration = Duration::from_secs(1);

pub(super) fn run(file: &Path, state_dir: Option<PathBuf>, ready_file: Option<PathBuf>) -> ExitCode {
    // First of all: a SIGHUP must not end it.
    let signals = match EarlySignals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("cannot listen for signals: {error}")),
    };
    let source = Source::new(file, state_dir);
    let config = match source.load() {
        Ok(config) => config,
        Err(found) => return fail(&found.to_string()),
    };
    match open(source, config, ready_file, signals) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}")),
    }
}

fn open(source: Source, config: Config, ready_file: Option<PathBuf>, signals: EarlySignals) -> anyhow::Result<()> {
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
        let served = app::serve(source, config, logs, requests, ready_file).await;
        forwarding.abort();
        served.map_err(anyhow::Error::from)
    });
    // A file system that hangs may hold a thread for ever.
    runtime.shutdown_timeout(THREADS_END);
    result
}

//! `enginehouse serve`: load, open, wait for a signal, close.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{self, Config};
use crate::{app, telemetry};

pub(super) fn run(file: &Path, state_dir: Option<PathBuf>) -> ExitCode {
    let mut config = match config::load(file, &|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(found) => return fail(&found.to_string()),
    };
    if state_dir.is_some() {
        config.state_dir = state_dir;
    }
    match open(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}")),
    }
}

fn fail(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
    ExitCode::FAILURE
}

fn open(config: Config) -> anyhow::Result<()> {
    let (access, _flushed_on_drop) = telemetry::init(&config.log).map_err(anyhow::Error::msg)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = config.threads {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build().context("cannot start worker threads")?;
    runtime.block_on(async {
        let mut signals = Signals::new().context("cannot listen for signals")?;
        let mut again = Signals::new().context("cannot listen for signals")?;
        let hurry = async move {
            again.recv().await;
            again.recv().await;
        };
        app::serve(config, access, signals.recv(), hurry).await.map_err(anyhow::Error::from)
    })
}

/// SIGTERM and SIGINT, which mean the same.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

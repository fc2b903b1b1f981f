//! Ends a house from outside: its gateway if one runs, then every engine that any gateway left in its state directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::timeout;

use super::process::kin::Kin;
use super::process::spawn::watched;
use super::state::adopt;
use super::state::lock::Lock;
use super::state::record::Records;

/// What was ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Pid of the gateway that ran.
    pub gateway: Option<i32>,
    /// Engines that were found besides, by id.
    pub engines: Vec<String>,
    /// Processes that survive SIGKILL.
    pub survivors: Vec<String>,
}

/// Why a house could not be ended.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// Its gateway is out of reach.
    #[error("a gateway uses `{}` but {why}; end it there", path.display())]
    Gateway {
        /// The state directory.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Its gateway does not end.
    #[error("the gateway (pid {pid}) on `{}` has not ended within {patience:?}; its log says what it waits for", path.display())]
    Slow {
        /// The state directory.
        path: PathBuf,
        /// The gateway.
        pid: i32,
        /// How long was waited.
        patience: Duration,
    },
    /// The state directory is of no use.
    #[error("{0}")]
    StateDir(String),
}

/// Ends what runs on `state_dir`: asks its gateway to end and waits for that up to `patience`, then ends the engines that
/// are still there, each within `stop_timeout`. A state directory that does not exist has nothing to end.
///
/// # Errors
/// What is in the way, with the remedy.
pub async fn close(state_dir: &Path, patience: Duration, stop_timeout: Duration) -> Result<Closed, CloseError> {
    let mut closed = Closed::default();
    if !state_dir.join("engines").is_dir() {
        return Ok(closed);
    }
    if let Some(holder) = Lock::holder(state_dir) {
        closed.gateway = Some(end_gateway(state_dir, holder, patience).await?);
    }
    let unusable = |error: &dyn std::fmt::Display| CloseError::StateDir(error.to_string());
    // Nobody starts engines here meanwhile.
    let _lock = Lock::take(state_dir).map_err(|error| unusable(&error))?;
    let records = Records::of(state_dir).map_err(|error| unusable(&error))?;
    let found = records.load().map_err(|error| unusable(&error))?;
    let ended = futures::future::join_all(found.iter().map(|record| adopt::end(&records, record, stop_timeout))).await;
    closed.engines = found.iter().map(|record| record.engine.clone()).collect();
    closed.survivors = ended.into_iter().flatten().map(|seen| seen.to_string()).collect();
    Ok(closed)
}

/// The numbers of all processes of engines that gateways started with `state_dir` and that live. Blocks for some
/// milliseconds; empty where there are none or they cannot be told.
#[must_use]
pub fn processes(state_dir: &Path) -> Vec<u32> {
    if !state_dir.join("engines").is_dir() {
        return vec![];
    }
    let records = Records::of(state_dir).ok().and_then(|records| records.peek().ok()).unwrap_or_default();
    let kin = records.iter().flat_map(|record| Kin::new(record.marker(), None).find());
    kin.map(|seen| seen.who.pid.cast_unsigned()).collect()
}

async fn end_gateway(state_dir: &Path, holder: Option<i32>, patience: Duration) -> Result<i32, CloseError> {
    let out_of_reach = |why: &str| CloseError::Gateway { path: state_dir.to_owned(), why: why.to_owned() };
    let pid = holder.ok_or_else(|| out_of_reach("it did not write down its pid"))?;
    let number = Pid::from_raw(pid).ok_or_else(|| out_of_reach("its pid is none"))?;
    let handle = pidfd_open(number, PidfdFlags::empty())
        .map_err(|_| out_of_reach(&format!("its pid {pid} is not to be seen from here (another container?)")))?;
    // The number is what a file says. Only who really holds the lock is the gateway.
    if !holds(pid, &state_dir.join("lock")) {
        return Err(out_of_reach(&format!("pid {pid} is not it (another container, another user?)")));
    }
    pidfd_send_signal(&handle, Signal::TERM)
        .map_err(|error| out_of_reach(&format!("pid {pid} may not be signalled: {error}")))?;
    let handle = watched(handle).map_err(|error| out_of_reach(&error.to_string()))?;
    match timeout(patience, handle.readable()).await {
        Ok(_) => Ok(pid),
        Err(_) => Err(CloseError::Slow { path: state_dir.to_owned(), pid, patience }),
    }
}

/// Whether the process `pid` has `file` open.
fn holds(pid: i32, file: &Path) -> bool {
    let Ok(file) = file.canonicalize() else { return false };
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    open.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == file))
}

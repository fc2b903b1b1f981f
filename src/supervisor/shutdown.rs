//! `enginehouse stop`: ends what runs on a state directory from outside: its gateway if there is one, then the engines that
//! any gateway left there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::timeout;

use super::process::process_tree::ProcessTree;
use super::process::spawn::watched;
use super::store::adopt;
use super::store::lock::Lock;
use super::store::record::Records;

/// What was ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Pid of the gateway that ran.
    pub gateway: Option<i32>,
    /// Engines that were found besides, by id.
    pub engines: Vec<String>,
    /// Processes that survive SIGKILL.
    pub survivors: Vec<String>,
}

/// Why not all was ended.
#[derive(Debug, thiserror::Error)]
pub enum ShutdownError {
    /// The gateway cannot be reached.
    #[error("a gateway uses `{}`, but {why}; stop it where it runs", path.display())]
    Gateway {
        /// The state directory.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The gateway does not end.
    #[error("the gateway (pid {pid}) on `{}` did not end within {patience:?}; its log says what it waits for", path.display())]
    Slow {
        /// The state directory.
        path: PathBuf,
        /// The gateway.
        pid: i32,
        /// How long was waited.
        patience: Duration,
    },
    /// The state directory cannot be used.
    #[error("{0}")]
    StateDir(String),
}

/// Ends what runs on `state_dir`: asks its gateway to end and waits for that up to `patience`, then ends the engines that
/// are still there, each within `stop_timeout`. A state directory that does not exist has nothing to end.
///
/// # Errors
/// What is in the way, with the remedy.
pub async fn shut_down(
    state_dir: &Path,
    patience: Duration,
    stop_timeout: Duration,
) -> Result<ShutdownReport, ShutdownError> {
    let mut report = ShutdownReport::default();
    if !state_dir.join("engines").is_dir() {
        return Ok(report);
    }
    if let Some(holder) = Lock::holder(state_dir) {
        report.gateway = Some(end_gateway(state_dir, holder, patience).await?);
    }
    let unusable = |error: &dyn std::fmt::Display| ShutdownError::StateDir(error.to_string());
    // So that no gateway starts engines here meanwhile.
    let _lock = Lock::take(state_dir).map_err(|error| unusable(&error))?;
    let records = Records::of(state_dir).map_err(|error| unusable(&error))?;
    let found = records.load().map_err(|error| unusable(&error))?;
    let ended = futures::future::join_all(found.iter().map(|record| adopt::end(&records, record, stop_timeout))).await;
    report.engines = found.iter().map(|record| record.engine.clone()).collect();
    report.survivors = ended.into_iter().flatten().map(|info| info.to_string()).collect();
    Ok(report)
}

/// The numbers of all processes of engines that gateways started with `state_dir` and that live. Blocks for some
/// milliseconds; empty where there are none or they cannot be told.
#[must_use]
pub fn processes(state_dir: &Path) -> Vec<u32> {
    if !state_dir.join("engines").is_dir() {
        return vec![];
    }
    let records = Records::of(state_dir).ok().and_then(|records| records.peek().ok()).unwrap_or_default();
    let processes = records.iter().flat_map(|record| ProcessTree::new(record.marker(), None).find());
    processes.map(|info| info.who.pid.cast_unsigned()).collect()
}

async fn end_gateway(state_dir: &Path, holder: Option<i32>, patience: Duration) -> Result<i32, ShutdownError> {
    let out_of_reach = |why: &str| ShutdownError::Gateway { path: state_dir.to_owned(), why: why.to_owned() };
    let pid = holder.ok_or_else(|| out_of_reach("it did not write down its pid"))?;
    let number = Pid::from_raw(pid).ok_or_else(|| out_of_reach("its pid is not a pid"))?;
    let handle = pidfd_open(number, PidfdFlags::empty())
        .map_err(|_| out_of_reach(&format!("its pid {pid} is not visible from here (another container?)")))?;
    // The number is what a file says. Only the process that really holds the lock is the gateway.
    if !holds(pid, &state_dir.join("lock")) {
        return Err(out_of_reach(&format!("pid {pid} is not it (another container, another user?)")));
    }
    pidfd_send_signal(&handle, Signal::TERM)
        .map_err(|error| out_of_reach(&format!("pid {pid} may not be signalled: {error}")))?;
    let handle = watched(handle).map_err(|error| out_of_reach(&error.to_string()))?;
    match timeout(patience, handle.readable()).await {
        Ok(_) => Ok(pid),
        Err(_) => Err(ShutdownError::Slow { path: state_dir.to_owned(), pid, patience }),
    }
}

/// Whether the process `pid` has `file` open.
fn holds(pid: i32, file: &Path) -> bool {
    let Ok(file) = file.canonicalize() else { return false };
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    open.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == file))
}

//! `enginehouse shutdown`: ends what runs on a state directory from outside: its gateway if there is one, then the engines that
//! any gateway left there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep, timeout};

use super::process::process_tree::ProcessTree;
use super::process::procfs;
use super::process::spawn::watched;
use super::store::adopt;
use super::store::lock::{Lock, LockError};
use super::store::lost::{self, Deployment};
use super::store::record::Records;

/// How long a gateway that was killed may take to be gone.
const KILLED_WITHIN: Duration = Duration::from_secs(5);

/// How long what it was about to start may hold its files.
const LET_GO_WITHIN: Duration = Duration::from_secs(1);

/// Time between two looks at that.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What was ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// The gateway that ran.
    pub gateway: Option<EndedGateway>,
    /// Engines that were found besides, by id.
    pub engines: Vec<String>,
    /// Processes that survive SIGKILL.
    pub survivors: Vec<String>,
}

/// A gateway that was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedGateway {
    /// Its process.
    pub pid: i32,
    /// Whether it had been stopped by a signal (SIGSTOP, Ctrl-Z), and was continued.
    pub was_paused: bool,
    /// It did not end within this time, and was killed.
    pub killed_after: Option<Duration>,
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
    #[error("the gateway (pid {pid}) on `{}` did not end within {patience:?} and survives SIGKILL; it may be blocked in a driver or a file system: see `dmesg`", path.display())]
    Stuck {
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

/// Ends what runs on `state_dir`: asks its gateway to end, kills it if it does not within `patience`, then ends the engines
/// that are still there, each within `stop_timeout`. A state directory that does not exist has nothing to end.
///
/// # Errors
/// What is in the way, with the remedy.
pub async fn shut_down(
    state_dir: &Path,
    patience: Duration,
    stop_timeout: Duration,
) -> Result<ShutdownReport, ShutdownError> {
    let mut report = ShutdownReport::default();
    let deployment = Deployment::of(state_dir);
    if !state_dir.join("engines").is_dir() && lost::find(&deployment, &[]).is_empty() {
        return Ok(report);
    }
    if let Some(holder) = Lock::holder(state_dir) {
        report.gateway = Some(end_gateway(state_dir, holder, patience).await?);
    }
    let unusable = |error: &dyn std::fmt::Display| ShutdownError::StateDir(error.to_string());
    let records = Records::of(state_dir).map_err(|error| unusable(&error))?;
    // So that no gateway starts engines here meanwhile.
    let _lock = lock(state_dir, report.gateway.is_some()).await.map_err(|error| unusable(&error))?;
    let found = lost::all(&records, &deployment).map_err(|error| unusable(&error))?;
    let ended = futures::future::join_all(found.iter().map(|record| adopt::end(&records, record, stop_timeout))).await;
    report.engines = found.iter().map(|record| record.engine.clone()).collect();
    report.survivors = ended.into_iter().flatten().map(|info| info.to_string()).collect();
    Ok(report)
}

/// Locks `state_dir`. Where its gateway `has_ended` just now, a process that it was about to make may hold its files for a moment
/// more: from its fork to its exec.
async fn lock(state_dir: &Path, has_ended: bool) -> Result<Lock, LockError> {
    let until = Instant::now() + if has_ended { LET_GO_WITHIN } else { Duration::ZERO };
    loop {
        match Lock::take(state_dir) {
            Err(LockError::Held { .. }) if Instant::now() < until => sleep(LOOK_EVERY).await,
            taken => return taken,
        }
    }
}

/// The gateway that runs on `state_dir`: `None` where there is none, `Some(None)` where it did not tell its pid.
#[must_use]
pub fn gateway(state_dir: &Path) -> Option<Option<i32>> {
    Lock::holder(state_dir)
}

/// The numbers of all processes of engines that gateways started with `state_dir` and that live. Blocks for some
/// milliseconds; empty where there are none or they cannot be told.
#[must_use]
pub fn processes(state_dir: &Path) -> Vec<u32> {
    let is_there = state_dir.join("engines").is_dir();
    let records = is_there.then(|| Records::of(state_dir).ok()).flatten();
    let mut records = records.and_then(|records| records.peek().ok()).unwrap_or_default();
    let lost = lost::find(&Deployment::of(state_dir), &records);
    records.extend(lost);
    let processes = records.iter().flat_map(|record| ProcessTree::new(record.marker(), None).find());
    processes.map(|info| info.who.pid.cast_unsigned()).collect()
}

async fn end_gateway(state_dir: &Path, holder: Option<i32>, patience: Duration) -> Result<EndedGateway, ShutdownError> {
    let out_of_reach = |why: &str| ShutdownError::Gateway { path: state_dir.to_owned(), why: why.to_owned() };
    let pid = holder.ok_or_else(|| out_of_reach("it did not write down its pid"))?;
    let number = Pid::from_raw(pid).ok_or_else(|| out_of_reach("its pid is not a pid"))?;
    let handle = pidfd_open(number, PidfdFlags::empty())
        .map_err(|_| out_of_reach(&format!("its pid {pid} is not visible from here (another container?)")))?;
    // The number is what a file says. Only the process that really holds the lock is the gateway.
    if !holds(pid, &state_dir.join("lock")) {
        return Err(out_of_reach(&format!("pid {pid} is not it (another container, another user?)")));
    }
    let was_paused = procfs::is_paused(pid);
    let send = |signal| {
        let sent = pidfd_send_signal(&handle, signal);
        sent.map_err(|error| out_of_reach(&format!("pid {pid} may not be signalled: {error}")))
    };
    send(Signal::TERM)?;
    // One that is stopped hears nothing else; to all others it means nothing.
    send(Signal::CONT)?;
    let has_ended = handle.try_clone().and_then(watched).map_err(|error| out_of_reach(&error.to_string()))?;
    let ended = EndedGateway { pid, was_paused, killed_after: None };
    if timeout(patience, has_ended.readable()).await.is_ok() {
        return Ok(ended);
    }
    // Its engines are not told of it: whoever calls this ends them next.
    send(Signal::KILL)?;
    match timeout(KILLED_WITHIN, has_ended.readable()).await {
        Ok(_) => Ok(EndedGateway { killed_after: Some(patience), ..ended }),
        Err(_) => Err(ShutdownError::Stuck { path: state_dir.to_owned(), pid, patience }),
    }
}

/// Whether the process `pid` has `file` open.
fn holds(pid: i32, file: &Path) -> bool {
    let Ok(file) = file.canonicalize() else { return false };
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    open.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == file))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::supervisor::process::marker::{Marker, VARIABLE};
    use crate::supervisor::process::procfs::Identity;
    use crate::supervisor::process::reaper;
    use crate::supervisor::store::record::{Record, Recorded};
    use crate::supervisor::testing::KilledOnDrop;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_gateway_that_does_not_end_is_killed_and_then_its_engines_are_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let marker = Marker::fresh("m/0");
        let mut engine = Command::new("sleep");
        engine.arg("300").env(VARIABLE, marker.value()).stdin(Stdio::null());
        let mut engine = KilledOnDrop(reaper::apart(|| engine.spawn()).expect("sleep"));
        let who = Identity::of(engine.0.id().cast_signed()).expect("it lives");
        let record = Record { process: Some(Recorded::now(who)), ..Record::about_to_start("m", 0, &marker) };
        Records::of(folder.path()).expect("made").write(&record).expect("written");
        let script = "trap '' TERM; exec 9<>lock; flock -x 9 && echo $$ > lock && echo locked; while :; do sleep 0.01 9>&-; done";
        let mut gateway = Command::new("bash");
        gateway.args(["-c", script]).current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut gateway = KilledOnDrop(reaper::apart(|| gateway.spawn()).expect("bash"));
        let mut line = String::new();
        BufReader::new(gateway.0.stdout.take().expect("piped")).read_line(&mut line).expect("told");
        let patience = Duration::from_millis(200);
        let reaping = std::thread::spawn(move || engine.0.wait());
        let report = shut_down(folder.path(), patience, Duration::from_secs(20)).await.expect("ended");
        let killed =
            EndedGateway { pid: gateway.0.id().cast_signed(), was_paused: false, killed_after: Some(patience) };
        assert_eq!((report.gateway, report.engines), (Some(killed), vec!["m/0".to_owned()]));
        assert!(report.survivors.is_empty(), "{:?}", report.survivors);
        reaping.join().expect("no panic").expect("our child");
        assert!(!who.lives());
    }
}

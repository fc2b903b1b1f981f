//! Orphans of our engines come to us instead of process 1: reaps them, and ends all that is left when the gateway ends.
//!
//! The registry of leaders is one for the whole process, because the children of a process are: two registries would
//! take each other's children for orphans.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpgrp, getpid, set_child_subreaper, waitid, waitpid,
};
use tokio::signal::unix::{SignalKind, signal};

use super::limit::Set;
use super::marker::{self, Marker};
use super::procfs::{self, Identity, ProcessInfo};

/// Leaders whose end is waited for, or that were released to live on, by number.
static LEADERS: Mutex<Leaders> =
    Mutex::new(Leaders { of: BTreeMap::new(), before: BTreeSet::new(), limits_are_refused: false });

/// Whether orphans come to us.
static ADOPTS: AtomicBool = AtomicBool::new(false);

/// Time between two looks for what is left.
const LOOK_EVERY: Duration = Duration::from_millis(5);

#[derive(Debug)]
struct Leaders {
    of: BTreeMap<i32, Leader>,
    /// Children that we had before we started anything: a script that ended in `exec enginehouse` may leave some.
    before: BTreeSet<Identity>,
    /// Whether it was told that starts cannot be marked with a limit.
    limits_are_refused: bool,
}

#[derive(Debug)]
struct Leader {
    marker: Marker,
    kept: bool,
}

fn leaders() -> MutexGuard<'static, Leaders> {
    LEADERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn own() -> i32 {
    getpid().as_raw_nonzero().get()
}

/// Makes orphans of our descendants come to us. Call it before anything is started.
///
/// # Errors
/// When the system does not know of it; orphans then go to process 1 and are found by their marker only.
pub(crate) fn become_subreaper() -> io::Result<()> {
    let before = children().into_iter().map(|info| info.who).collect();
    set_child_subreaper(Some(getpid()))?;
    leaders().before = before;
    ADOPTS.store(true, Ordering::Release);
    Ok(())
}

/// Starts `command`, whose process is to lead a group of its own, with the marker's limit, and registers it before it could
/// be taken for an orphan.
pub(crate) fn spawn(command: &mut Command, marker: &Marker) -> io::Result<Child> {
    let mut leaders = leaders();
    // Nothing of ours but commands in our own group is started at the same time: the leaders are locked.
    let set = marker.limit().map(Set::to).transpose();
    if let Err(error) = &set
        && !std::mem::replace(&mut leaders.limits_are_refused, true)
    {
        tracing::warn!(
            %error,
            "engines cannot be marked with a resource limit (is `ulimit -x` lowered, or a sandbox in the way?): a process \
             that clears its environment and leaves its engine's group may be ended with the gateway only"
        );
    }
    let child = command.spawn();
    drop(set);
    let child = child?;
    leaders.of.insert(child.id().cast_signed(), Leader { marker: marker.clone(), kept: false });
    Ok(child)
}

/// Runs `start` while no engine is started, so that what it starts gets no engine's limit.
#[cfg(test)]
pub(crate) fn apart<T>(start: impl FnOnce() -> T) -> T {
    let _leaders = leaders();
    start()
}

/// Registers a leader that a gateway before us started.
pub(crate) fn register(pid: i32, marker: &Marker) {
    leaders().of.insert(pid, Leader { marker: marker.clone(), kept: false });
}

/// This leader is not waited for any more.
pub(crate) fn forget(pid: i32) {
    leaders().of.remove(&pid);
}

/// This leader is not waited for any more, and [`sweep_all`] leaves it and all that came from it alone.
pub(crate) fn keep(pid: i32) {
    if let Some(leader) = leaders().of.get_mut(&pid) {
        leader.kept = true;
    }
}

fn children() -> Vec<ProcessInfo> {
    let own = own();
    procfs::all_processes().into_iter().filter(|info| info.parent == own).collect()
}

/// Whether a child of ours is an orphan that came to us, or a leader that was released: nothing else waits for it.
/// Other children of ours, such as short commands, are in our own group and waited for where they are started.
fn is_orphan(leaders: &Leaders, info: &ProcessInfo) -> bool {
    let group = getpgrp().as_raw_nonzero().get();
    info.parent == own()
        && info.group != group
        && leaders.of.get(&info.who.pid).is_none_or(|leader| leader.kept)
        && !leaders.before.contains(&info.who)
}

/// Reaps orphans that ended; returns how many. Walks `/proc`, but only when a child of ours ended at all.
pub(crate) fn reap_orphans() -> usize {
    if !ADOPTS.load(Ordering::Acquire) && own() != 1 {
        return 0;
    }
    let any = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT);
    if !matches!(any, Ok(Some(_))) {
        return 0;
    }
    let ended: Vec<_> = children().into_iter().filter(|info| !info.lives).collect();
    let mut leaders = leaders();
    let mut reaped = 0;
    for pid in ended.into_iter().map(|info| info.who.pid) {
        // Again, now that nothing can be started: the number may have become a leader's since.
        if !procfs::look(pid).is_some_and(|info| !info.lives && is_orphan(&leaders, &info)) {
            continue;
        }
        if let Some(pid) = Pid::from_raw(pid)
            && matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_)))
        {
            leaders.of.remove(&pid.as_raw_nonzero().get());
            reaped += 1;
        }
    }
    reaped
}

/// Reaps orphans as they end, for as long as it is polled.
///
/// # Errors
/// When the end of children cannot be listened for.
pub(crate) async fn run() -> io::Result<()> {
    let mut ends = signal(SignalKind::child())?;
    loop {
        let _ = tokio::task::spawn_blocking(reap_orphans).await;
        if ends.recv().await.is_none() {
            return Ok(());
        }
    }
}

/// Ends what is left of everything we started: to be called when every engine was swept or released, and nothing else is
/// started. Returns who survived `within`.
pub(crate) async fn sweep_all(within: Duration) -> Vec<ProcessInfo> {
    tokio::task::spawn_blocking(move || sweep_all_now(within)).await.unwrap_or_default()
}

fn sweep_all_now(within: Duration) -> Vec<ProcessInfo> {
    let deadline = Instant::now() + within;
    let mut held = BTreeSet::new();
    loop {
        let orphans: Vec<_> = orphans().into_iter().filter(|info| info.lives).collect();
        let new: Vec<_> = orphans.iter().filter(|info| held.insert(info.who)).collect();
        if new.is_empty() {
            // All are held still: none can fork any more.
            for info in &orphans {
                info.who.signal(Signal::KILL);
            }
        }
        for info in new {
            tracing::warn!(process = %info, "a process that an engine left behind is ended");
            info.who.signal(Signal::STOP);
        }
        reap_orphans();
        if orphans.is_empty() || Instant::now() >= deadline {
            return orphans;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Children of ours that are neither waited for nor to be kept, and their descendants.
fn orphans() -> Vec<ProcessInfo> {
    let processes = procfs::all_processes();
    let leaders = leaders();
    let kept: Vec<_> = leaders.of.iter().filter(|(_, leader)| leader.kept).collect();
    // What carries no marker can be told from a foreign process only when all that comes to us are descendants of engines,
    // and from processes of an engine that is to live on only when there is none.
    let sure = own() != 1 && leaders.before.is_empty() && kept.is_empty();
    let is_seed = |info: &ProcessInfo| {
        if !is_orphan(&leaders, info) || leaders.of.contains_key(&info.who.pid) {
            return false;
        }
        let is_kept = kept.iter().any(|(pid, leader)| info.group == **pid || leader.marker.is_on(info));
        !is_kept && (sure || marker::comes_from_some_engine(info.who.pid))
    };
    super::process_tree::related(&processes, own(), is_seed, Identity::lives)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use tokio::time::timeout;

    use super::super::spawn::tests::told;
    use super::super::spawn::{Log, Process, Program};
    use super::*;

    /// More than anything here takes on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn start(folder: &Path, script: &str) -> Process {
        let args = ["-c".to_owned(), format!("cd {}; {script}", folder.display())].into();
        let launch = Program { path: "bash".into(), args, env: BTreeMap::new(), secrets: vec![], unset: vec![] };
        Process::spawn(&launch, "m/0", &mut Log { path: folder.join("m_0.log"), from: 0 }, &Marker::fresh("m/0"))
            .expect("bash is there")
    }

    async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
        let looking = async {
            loop {
                if let Some(found) = look() {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, looking).await.expect("it happens")
    }

    /// Orphans come to the whole process, and other tests have children in this one.
    #[test]
    fn orphans_are_reaped_and_ended_and_nobody_elses_children_are() {
        let name = "supervisor::process::reaper::tests::in_a_process_of_its_own";
        let mut alone = Command::new(std::env::current_exe().expect("this test"));
        let output = alone.args(["--exact", name, "--ignored", "--nocapture"]).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "run by the test above, in a process of its own"]
    async fn in_a_process_of_its_own() {
        become_subreaper().expect("Linux");
        let reaping = tokio::spawn(run());
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();

        // Exit codes of our own children are never taken by the reaper, while orphans end all the time.
        for round in 0..20 {
            let mut engine = start(folder, "(bash -c 'sleep 0.01 & exit 0' &) ; (setsid true &); exit 7");
            let status = Command::new("bash").args(["-c", "exit 5"]).status().expect("our child");
            assert_eq!(status.code(), Some(5), "round {round}");
            assert_eq!(timeout(PATIENCE, engine.exited()).await.expect("it ends").code, Some(7), "round {round}");
            assert_eq!(engine.sweep().await, []);
        }
        until(|| children().iter().all(|info| info.lives).then_some(())).await;

        // What an engine left without any trace is ended with the gateway.
        let mut engine = start(
            folder,
            "ulimit -S -x unlimited; setsid env -i bash -c 'echo $$ > lost; exec sleep 300' & until [ -s lost ]; do :; done; exit",
        );
        let lost = told(folder, "lost").await;
        timeout(PATIENCE, engine.exited()).await.expect("it ends");
        assert_eq!(engine.sweep().await, []);
        assert!(lost.lives(), "nothing tells whose it was");
        let mut command = Command::new("sleep").arg("300").spawn().expect("a short command of ours");
        assert_eq!(sweep_all(PATIENCE).await, []);
        assert!(!lost.lives());
        assert!(command.try_wait().expect("our child").is_none(), "it is in our own group");
        command.kill().expect("our child");
        command.wait().expect("our child");

        // What is to live on is left alone, with all that came from it; what another engine left is not.
        let keep = "setsid bash -c 'echo $$ > daemon; exec sleep 300' & (setsid bash -c 'echo $$ > orphan; exec sleep 300' &) ; wait";
        let kept = start(folder, keep);
        let (daemon, orphan) = (told(folder, "daemon").await, told(folder, "orphan").await);
        let marker = kept.marker();
        let leader = kept.release();
        let other =
            Command::new("setsid").args(["-f", "sleep", "300"]).env(marker::VARIABLE, "m/1:0").status().expect("runs");
        assert!(other.success());
        let other = until(|| {
            children()
                .into_iter()
                .find(|info| is_orphan(&leaders(), info) && info.name == "sleep" && info.who != orphan)
        })
        .await;
        assert_eq!(sweep_all(PATIENCE).await, []);
        assert!(leader.lives() && daemon.lives() && orphan.lives() && !other.who.lives());

        let adopted = Process::adopt(leader, &marker).expect("it lives");
        leader.signal(Signal::KILL);
        assert_eq!(adopted.sweep().await, []);
        assert!(!leader.lives() && !daemon.lives() && !orphan.lives());
        until(|| children().is_empty().then_some(())).await;
        reaping.abort();
    }
}

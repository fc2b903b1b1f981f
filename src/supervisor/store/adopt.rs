//! What becomes of an engine that a gateway before us started: taken over as it is, or ended with all its processes.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout_at};

use super::record::{self, Record, Records};
use crate::supervisor::process::marker;
use crate::supervisor::process::process_tree::ProcessTree;
use crate::supervisor::process::procfs::{self, Identity, ProcessInfo};
use crate::supervisor::process::spawn::{GONE_WITHIN, Process};

/// After how long a process is told again to end: vLLM loses a SIGTERM that comes while it loads.
const REMIND: Duration = Duration::from_secs(1);

/// Time between two looks at processes whose end nothing reports.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The first process of a recorded engine, if that still runs. Blocks for a moment: it looks into `/proc`.
pub(crate) fn observe(record: &Record) -> Option<Identity> {
    let holder = record.process.as_ref().and_then(|process| Identity::of(process.pid));
    let environ = holder.map(|who| procfs::environ(who.pid)).unwrap_or_default();
    let is_foreign = marker::is_marked(&environ) && !record.marker().is_in(&environ);
    leader(record, &record::boot_id(), holder.filter(|_| !is_foreign))
}

/// The recorded leader, if `holder` of its number is it: same start, same run of the machine.
fn leader(record: &Record, boot: &str, holder: Option<Identity>) -> Option<Identity> {
    let process = record.process.as_ref().filter(|process| process.boot == boot && !boot.is_empty())?;
    holder.filter(|who| *who == Identity { pid: process.pid, started: process.started })
}

/// Ends everything of a recorded start: SIGTERM to its group, again after a while, at the end of `stop_timeout` SIGKILL
/// to all that came from it. Then removes the record. Returns who survived; the record is kept for those.
pub(crate) async fn end(records: &Records, record: &Record, stop_timeout: Duration) -> Vec<ProcessInfo> {
    let deadline = Instant::now() + stop_timeout;
    let again = Instant::now() + REMIND.min(stop_timeout / 3);
    let looked = record.clone();
    let leader = tokio::task::spawn_blocking(move || observe(&looked)).await.unwrap_or_default();
    let left = match leader.and_then(|leader| Process::adopt(leader, &record.marker()).ok()) {
        Some(process) => end_led(process, again, deadline).await,
        None => end_orphans(ProcessTree::new(record.marker(), None), again, deadline).await,
    };
    if left.is_empty() {
        let (records, record) = (records.clone(), record.clone());
        let engine = record.engine.clone();
        let removed = tokio::task::spawn_blocking(move || records.remove(&record)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%engine, %error, "the record of an engine that was ended cannot be removed");
        }
    }
    left
}

/// Ends an engine whose leader lives.
async fn end_led(mut process: Process, again: Instant, deadline: Instant) -> Vec<ProcessInfo> {
    process.signal(Signal::TERM);
    if timeout_at(again, process.exited()).await.is_err() {
        process.signal(Signal::TERM);
        // Whatever comes of it: the sweep kills who is left.
        let _ = timeout_at(deadline, process.exited()).await;
    }
    process.sweep().await
}

/// Ends what a leader that is gone left behind.
async fn end_orphans(tree: ProcessTree, again: Instant, deadline: Instant) -> Vec<ProcessInfo> {
    let mut reminded = false;
    let mut told = signal(&tree, Signal::TERM).await;
    while told > 0 && Instant::now() < deadline {
        sleep(LOOK_EVERY).await;
        let remind = !reminded && Instant::now() >= again;
        reminded |= remind;
        told = if remind { signal(&tree, Signal::TERM).await } else { count(&tree).await };
    }
    tree.end(GONE_WITHIN).await
}

async fn signal(tree: &ProcessTree, signal: Signal) -> usize {
    let tree = tree.clone();
    tokio::task::spawn_blocking(move || tree.signal(signal)).await.unwrap_or_default()
}

async fn count(tree: &ProcessTree) -> usize {
    let tree = tree.clone();
    tokio::task::spawn_blocking(move || tree.find().len()).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::super::record::Recorded;
    use super::*;
    use crate::supervisor::process::marker::Marker;
    use crate::supervisor::process::reaper;
    use crate::supervisor::process::spawn::tests::told;

    const LEADER: Identity = Identity { pid: 4711, started: 99 };

    fn recorded(process: Option<Recorded>) -> Record {
        Record { process, ..Record::about_to_start("m", 0, &Marker::fresh("m/0")) }
    }

    #[test]
    fn only_what_is_the_same_process_of_the_same_boot_runs() {
        let record = recorded(Some(Recorded { pid: 4711, started: 99, boot: "b".into() }));
        assert_eq!(leader(&record, "b", Some(LEADER)), Some(LEADER));
        for (boot, holder) in [("b2", Some(LEADER)), ("b", None), ("b", Some(Identity { started: 100, ..LEADER }))] {
            assert_eq!(leader(&record, boot, holder), None, "{boot} {holder:?}");
        }
        assert_eq!(leader(&recorded(None), "b", Some(LEADER)), None, "a start that never got to its process");
        let nowhere = recorded(Some(Recorded { pid: 4711, started: 99, boot: String::new() }));
        assert_eq!(leader(&nowhere, "", Some(LEADER)), None);
    }

    /// Starts `script` in a session of its own as an orphan, as the end of its gateway leaves it.
    fn orphan(folder: &Path, script: &str, marker: &Marker) {
        let mut between = Command::new("bash");
        between
            .args(["-c", "setsid bash -c \"$0\" & disown", script])
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        between.env(marker::VARIABLE, marker.value());
        assert!(reaper::apart(|| between.status()).expect("bash").success());
    }

    /// Ends what a test that failed left.
    struct Cleanup(ProcessTree);

    impl Drop for Cleanup {
        fn drop(&mut self) {
            self.0.end_now(GONE_WITHIN);
        }
    }

    /// An orphan that tells the number of its leader and of its child.
    async fn left(script: &str) -> ((tempfile::TempDir, Cleanup), Records, Record, [Identity; 2]) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut record = recorded(None);
        let cleanup = Cleanup(ProcessTree::new(record.marker(), None));
        orphan(folder.path(), script, &record.marker());
        let who = [told(folder.path(), "leader").await, told(folder.path(), "child").await];
        record.process = Some(Recorded::now(who[0]));
        let records = Records::of(folder.path()).expect("made");
        records.write(&record).expect("written");
        ((folder, cleanup), records, record, who)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_engine_of_a_dead_gateway_is_recognised_and_ended_with_its_daemons() {
        let script = "setsid bash -c 'echo $$ > child; exec sleep 300' & trap '' TERM; echo $$ > leader; wait";
        let (_folder, records, record, who) = left(script).await;
        assert_eq!(observe(&record), Some(who[0]));
        let other = Record { nonce: Marker::fresh("m/0").nonce().to_owned(), ..record.clone() };
        assert_eq!(observe(&other), None, "it is marked as another start");
        let since = Instant::now();
        assert_eq!(end(&records, &record, Duration::from_millis(300)).await, []);
        assert!(since.elapsed() >= Duration::from_millis(300), "it had its time");
        assert!(!who.iter().any(|who| who.lives()));
        assert_eq!(records.load().expect("read"), []);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_a_dead_leader_left_is_told_to_end_and_then_ended() {
        let script = "bash -c 'trap \"echo x > term; exit\" TERM; echo $$ > child; while :; do sleep 0.01; done' & echo $$ > leader; wait";
        let ((folder, _cleanup), records, record, who) = left(script).await;
        who[0].signal(Signal::KILL);
        while who[0].lives() {
            tokio::task::yield_now().await;
        }
        assert_eq!(observe(&record), None);
        let since = Instant::now();
        assert_eq!(end(&records, &record, Duration::from_secs(60)).await, []);
        assert!(since.elapsed() < Duration::from_secs(30), "no longer than it takes");
        assert!(!who[1].lives() && folder.path().join("term").exists(), "it was asked first");
        assert_eq!(records.load().expect("read"), []);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_gateway_that_died_between_record_and_spawn_leaves_a_trail() {
        let script = "sleep 300 & echo $! > child; echo $$ > leader; wait";
        let (_folder, records, mut record, who) = left(script).await;
        record.process = None;
        records.write(&record).expect("written");
        assert_eq!(observe(&record), None);
        assert_eq!(end(&records, &record, Duration::from_secs(60)).await, []);
        assert!(!who.iter().any(|who| who.lives()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_foreign_process_with_the_recorded_number_is_left_alone() {
        let mut foreign = Command::new("bash").args(["-c", "exec -a 'vllm serve' sleep 300"]).spawn().expect("bash");
        let who = Identity::of(foreign.id().cast_signed()).expect("it lives");
        let folder = tempfile::tempdir().expect("a folder");
        let records = Records::of(folder.path()).expect("made");
        let before = Identity { started: who.started.saturating_sub(1), ..who };
        let record = recorded(Some(Recorded::now(before)));
        records.write(&record).expect("written");
        assert_eq!(observe(&record), None);
        assert_eq!(end(&records, &record, Duration::from_secs(60)).await, []);
        assert!(foreign.try_wait().expect("our child").is_none(), "it still runs");
        assert_eq!(records.load().expect("read"), []);
        foreign.kill().expect("our child");
        foreign.wait().expect("our child");
    }
}

//! Processes of engines, with shells for engines: what becomes of all that came from them.

use std::collections::BTreeMap;

use tokio::time::timeout;

use super::*;

/// More than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// An engine that is a shell script, its log and a folder for what it tells.
struct Rig {
    folder: tempfile::TempDir,
    process: Process,
}

impl Rig {
    fn of(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let launch = Program {
            path: "bash".into(),
            args: ["-c".to_owned(), format!("cd {}; {script}", folder.path().display())].into(),
            env: BTreeMap::new(),
            secrets: vec![],
            unset: vec![],
        };
        let mut log = Log { path: folder.path().join("m_0.log"), from: 0 };
        let process = Process::spawn(&launch, "m/0", &mut log, &Marker::fresh("m/0")).expect("bash is there");
        Self { folder, process }
    }

    /// The process whose number the script writes to `file`.
    async fn told(&self, file: &str) -> Identity {
        told(self.folder.path(), file).await
    }
}

/// The process whose number a script writes to `file`, as soon as it is there in whole.
pub(crate) async fn told(folder: &Path, file: &str) -> Identity {
    let read = async {
        loop {
            let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
            if let Some(who) = text.strip_suffix('\n').and_then(|pid| Identity::of(pid.parse().ok()?)) {
                return who;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, read).await.expect("a number in the file")
}

/// Returns when `who` is gone; nobody announces it.
async fn gone(who: Identity) {
    let look = async {
        while who.lives() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, look).await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_left_group_and_session_is_ended_with_its_engine() {
    let mut rig = Rig::of("setsid bash -c 'echo $$ > daemon; exec sleep 300' & wait $!; exit 7");
    let daemon = rig.told("daemon").await;
    assert_ne!(procfs::look(daemon.pid).expect("lives").group, rig.process.pid());
    rig.process.identity().signal(Signal::KILL);
    let exit = timeout(PATIENCE, rig.process.exited()).await.expect("killed");
    assert_eq!(exit.signal, Some(9));
    assert!(daemon.lives(), "it lost its parent only");
    assert_eq!(rig.process.sweep().await, []);
    assert!(!daemon.lives());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cleared_its_environment_too_is_found_by_descent() {
    let mut rig = Rig::of("setsid env -i bash -c 'echo $$ > daemon; sleep 300 & wait' & wait");
    let daemon = rig.told("daemon").await;
    assert!(!marker::is_marked(&procfs::environ(daemon.pid)));
    // TERM goes to the group only; but what is found then is remembered.
    rig.process.signal(Signal::TERM);
    timeout(PATIENCE, rig.process.exited()).await.expect("TERM ends a shell");
    assert!(daemon.lives());
    assert_eq!(rig.process.sweep().await, []);
    assert!(!daemon.lives());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_left_nothing_but_its_limit_is_ended_with_its_engine_and_with_no_other() {
    // A daemon as the books have it: its parent is gone before anybody could see it.
    let daemon =
        "(setsid env -i bash -c '(echo $BASHPID > daemon; exec sleep 300) &' &); until [ -s daemon ]; do :; done";
    let mut rig = Rig::of(&format!("{daemon}; exit 7"));
    let other = Rig::of(&format!("{daemon}; exec sleep 300"));
    let (daemon, others) = (rig.told("daemon").await, other.told("daemon").await);
    assert!(!marker::is_marked(&procfs::environ(daemon.pid)));
    assert_eq!(timeout(PATIENCE, rig.process.exited()).await.expect("it ends").code, Some(7));
    assert!(daemon.lives());
    assert_eq!(rig.process.sweep().await, []);
    assert!(!daemon.lives() && others.lives());

    // Also when the gateway that started it is gone: nothing is known then but the nonce.
    let nonce = other.process.marker().nonce().to_owned();
    let leader = other.process.release();
    let adopted = Process::adopt(leader, &Marker::of("m/0", &nonce)).expect("it lives");
    leader.signal(Signal::KILL);
    gone(leader).await;
    assert_eq!(adopted.sweep().await, []);
    assert!(!others.lives());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_process_takes_its_kin_along() {
    let rig = Rig::of("setsid env -i bash -c 'echo $$ > daemon; exec sleep 300' & trap '' TERM; wait; sleep 300");
    let (daemon, leader) = (rig.told("daemon").await, rig.process.identity());
    drop(rig.process);
    gone(daemon).await;
    gone(leader).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_released_process_lives_on_and_can_be_adopted_and_its_end_is_seen() {
    let rig = Rig::of("setsid bash -c 'echo $$ > daemon; exec sleep 300' & trap 'exit 3' TERM; echo $$ > leader; wait");
    let (leader, daemon) = (rig.told("leader").await, rig.told("daemon").await);
    let marker = rig.process.marker();
    assert_eq!(rig.process.release(), leader);
    assert!(leader.lives() && daemon.lives());

    let mut adopted = Process::adopt(leader, &marker).expect("it lives");
    assert_eq!(adopted.pid(), leader.pid);
    adopted.signal(Signal::TERM);
    let exit = timeout(PATIENCE, adopted.exited()).await.expect("its end is seen");
    assert_eq!(exit.code, Some(3), "it is our child after all");
    assert!(daemon.lives(), "TERM is for the group");
    assert_eq!(adopted.sweep().await, []);
    assert!(!daemon.lives());
    assert!(Process::adopt(leader, &marker).expect_err("gone").ends_with("is gone"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_an_adopted_process_that_is_nobodys_child_is_seen() {
    // The shell between ends, so that the engine is an orphan as after the end of the gateway that started it.
    let folder = tempfile::tempdir().expect("a folder");
    let marker = Marker::fresh("m/0");
    let script = "setsid bash -c 'echo $$ > leader; sleep 300 & echo $! > child; wait' & disown";
    let mut between = Command::new("bash");
    between.args(["-c", script]).env(marker::VARIABLE, marker.value()).current_dir(folder.path()).stdout(Stdio::null());
    assert!(reaper::apart(|| between.status()).expect("bash").success());
    let (leader, child) = (told(folder.path(), "leader").await, told(folder.path(), "child").await);
    let mut adopted = Process::adopt(leader, &marker).expect("it lives");
    leader.signal(Signal::KILL);
    assert_eq!(timeout(PATIENCE, adopted.exited()).await.expect("its end is seen").code, None);
    assert!(child.lives());
    adopted.signal(Signal::TERM);
    gone(child).await;
    assert_eq!(adopted.sweep().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_process_is_never_signalled_whatever_its_name_and_number() {
    let mut foreign = Command::new("bash").args(["-c", "exec -a 'vllm serve' sleep 300"]).spawn().expect("bash");
    let who = Identity::of(foreign.id().cast_signed()).expect("it lives");
    let before = Identity { started: who.started.saturating_sub(1), ..who };
    assert!(Process::adopt(before, &Marker::fresh("m/0")).is_err(), "the number of an engine that is gone");
    assert!(!before.signal(Signal::KILL));
    let mut tree = ProcessTree::new(Marker::fresh("m/0"), Some(before));
    tree.disown_group();
    assert_eq!(tree.end_now(PATIENCE), []);

    let rig = Rig::of("echo $$ > leader; exec sleep 300");
    rig.told("leader").await;
    assert_eq!(rig.process.sweep().await, []);
    assert!(foreign.try_wait().expect("our child").is_none(), "it still runs");
    foreign.kill().expect("our child");
    foreign.wait().expect("our child");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_keeps_its_marker_when_it_sets_its_title() {
    let rig = Rig::of("echo $SPT_NOENV > noenv; echo $$ > leader; exec sleep 300");
    let leader = rig.told("leader").await;
    assert_eq!(std::fs::read_to_string(rig.folder.path().join("noenv")).expect("told"), "1\n");
    assert!(rig.process.marker().is_in(&procfs::environ(leader.pid)));
    rig.process.sweep().await;
}

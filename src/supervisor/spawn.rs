//! Makes an engine's process: its own group, nothing to read, everything it says in its own log file.

#![allow(dead_code)] // until wired

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, WaitOptions, waitpid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};

use super::command::Launch;
use super::group;
use super::kin::{self, Identity, Kin, Marker, Seen};
use super::machine::Exit;
use super::reaper;

/// How long processes that were killed may take to be gone: a driver takes its time to give back a GPU's memory.
pub(super) const GONE_WITHIN: Duration = Duration::from_secs(5);

/// What one start of an engine wrote: a part of its log file.
#[derive(Clone, Debug)]
pub(super) struct Log {
    /// The file.
    pub(super) path: PathBuf,
    /// Where this start's part begins.
    pub(super) from: u64,
}

/// A process that leads a group of its own: a child of ours, or one that a gateway before us started. Dropping it ends
/// the whole group and all its kin: an engine that nobody watches any more must not keep its GPU.
///
/// A child is a [`std::process::Child`] and not tokio's, because tokio reaps at once: the group's number stays ours, and
/// is safe to signal, only until the leader is reaped.
#[derive(Debug)]
pub(super) struct Process {
    kind: Kind,
    leader: Identity,
    /// Behind a lock only because signals are sent through `&self`; one task owns a process.
    kin: Mutex<Kin>,
    /// Swept or released: nothing is left to do when it is dropped.
    done: bool,
}

#[derive(Debug)]
enum Kind {
    Child { child: Child, ends: tokio::signal::unix::Signal },
    Adopted(AsyncFd<OwnedFd>),
}

impl Process {
    /// Starts `launch` with a marker of its own. What it writes goes to `log`, after a line that tells what was started,
    /// and which is not part of what [`Log::from`] points at.
    ///
    /// # Errors
    /// In words for whoever reads the engine's state.
    pub(super) fn spawn(launch: &Launch, title: &str, log: &mut Log) -> Result<Self, String> {
        Self::spawn_marked(launch, title, log, &Marker::fresh(title))
    }

    /// The same, with a marker that was recorded before.
    ///
    /// # Errors
    /// In words for whoever reads the engine's state.
    pub(super) fn spawn_marked(launch: &Launch, title: &str, log: &mut Log, marker: &Marker) -> Result<Self, String> {
        let file = match open(log, launch, title) {
            Ok(file) => file,
            Err(error) => without_log(log, title, &error).map_err(|_| {
                format!("its log file `{}` cannot be written: {error}; mend its permissions", log.path.display())
            })?,
        };
        let output = file.try_clone().and_then(|second| Ok((signal(SignalKind::child())?, second)));
        let (ends, second) = output.map_err(|error| format!("its process cannot be prepared: {error}"))?;
        let mut command = Command::new(&launch.program);
        // vLLM's processes give themselves titles, which writes over the environment that `/proc` shows, and so over
        // our marker, unless this is set (setproctitle's documentation).
        command.env("SPT_NOENV", "1");
        command.args(&launch.args).envs(&launch.env).process_group(0);
        command.stdin(Stdio::null()).stdout(file).stderr(second);
        for name in &launch.unset {
            command.env_remove(name);
        }
        for (name, secret) in &launch.secrets {
            command.env(name, secret.expose());
        }
        command.env(kin::VARIABLE, marker.value());
        let mut child = reaper::spawn(&mut command, marker).map_err(|error| cannot(launch, &error))?;
        // Not reaped yet, so it is there, as a zombie at least.
        let Some(seen) = kin::look(child.id().cast_signed()) else {
            let _ = child.kill();
            let _ = child.wait();
            reaper::forget(child.id().cast_signed());
            return Err("its process cannot be seen under `/proc`; mount it, and without `hidepid`".to_owned());
        };
        let kin = Mutex::new(Kin::new(marker.clone(), Some(seen.who)));
        Ok(Self { kind: Kind::Child { child, ends }, leader: seen.who, kin, done: false })
    }

    /// Takes over a process that a gateway before us started. Its exit code is known only if it is our child, as after
    /// an `exec` of the gateway.
    ///
    /// # Errors
    /// In words: it is gone, or cannot be watched.
    pub(super) fn adopt(leader: Identity, marker: &Marker) -> Result<Self, String> {
        let pid = leader.pid;
        let descriptor = match leader.open() {
            Ok(Some(descriptor)) => descriptor,
            Ok(None) => return Err(format!("process {pid} is gone")),
            Err(error) => return Err(format!("process {pid} cannot be watched: {error}")),
        };
        #[expect(
            deprecated,
            reason = "its successor is `unsafe`, for types that may lose their descriptor; this one owns it"
        )]
        let watched = AsyncFd::with_interest(descriptor, Interest::READABLE);
        let watched = watched.map_err(|error| format!("process {pid} cannot be watched: {error}"))?;
        reaper::register(pid, marker);
        let kin = Mutex::new(Kin::new(marker.clone(), Some(leader)));
        Ok(Self { kind: Kind::Adopted(watched), leader, kin, done: false })
    }

    /// Its number, and its group's.
    pub(super) fn pid(&self) -> i32 {
        self.leader.pid
    }

    /// Its number and when it started: what a record needs to find it again.
    pub(super) fn identity(&self) -> Identity {
        self.leader
    }

    /// What it and its descendants are marked with.
    pub(super) fn marker(&self) -> Marker {
        self.kin().marker().clone()
    }

    /// Returns when its leader ended. Nothing is reaped, so that the group can still be signalled.
    pub(super) async fn exited(&mut self) -> Exit {
        let pid = Pid::from_raw(self.leader.pid);
        match &mut self.kind {
            Kind::Child { ends, .. } => loop {
                if let Some(exit) = pid.map_or(Some(Exit::default()), group::ended) {
                    return exit;
                }
                // Registered when it was made, so no end goes unseen between the look and this.
                if ends.recv().await.is_none() {
                    // The runtime is going down, and takes us with it.
                    std::future::pending::<()>().await;
                }
            },
            Kind::Adopted(descriptor) => {
                if descriptor.readable().await.is_err() {
                    std::future::pending::<()>().await;
                }
                pid.and_then(group::ended).unwrap_or_default()
            }
        }
    }

    /// Sends a signal to the whole group. After the leader of an adopted group died, only marked processes get it.
    pub(super) fn signal(&self, signal: Signal) {
        self.remember();
        if let Kind::Child { .. } = self.kind {
            if !self.done {
                group::signal(self.leader.pid, signal);
            }
        } else if self.leader.lives() {
            // One by one: this leader is not ours to reap, and its number may be given away at any time.
            self.kin().signal(signal, Some(self.leader.pid));
        } else {
            self.kin().signal(signal, None);
        }
    }

    /// Remembers all processes that came from it so far, so that they are found in the end although they left the group,
    /// cleared their environment and lost their parent. A walk of `/proc`: some milliseconds.
    pub(super) fn remember(&self) {
        self.kin().remember();
    }

    /// Ends what is left of the group and of all kin after its leader ended, and reaps the leader. Returns who survived
    /// SIGKILL for [`GONE_WITHIN`].
    pub(super) async fn sweep(mut self) -> Vec<Seen> {
        if let Kind::Child { .. } = self.kind {
            group::signal(self.leader.pid, Signal::KILL);
        }
        let kin = self.kin().clone();
        let left = kin.clone().end(GONE_WITHIN).await;
        for seen in &left {
            let engine = kin.marker().value();
            tracing::error!(%engine, process = %seen, "it survives SIGKILL; it may hold the engine's GPU and port");
        }
        self.reap();
        let _ = tokio::task::spawn_blocking(reaper::reap_strays).await;
        left
    }

    /// Lets it live on: neither it nor its kin is ended by us any more.
    pub(super) fn release(mut self) -> Identity {
        reaper::keep(self.leader.pid);
        self.done = true;
        self.leader
    }

    /// Its kin, as far as that may be told now: the number of an adopted group may be somebody else's once its leader is
    /// gone.
    fn kin(&self) -> MutexGuard<'_, Kin> {
        let mut kin = self.kin.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(self.kind, Kind::Adopted(_)) && !self.leader.lives() {
            kin.disown_group();
        }
        kin
    }

    /// Reaps the leader if it ended and is ours.
    fn reap(&mut self) {
        self.done = match &mut self.kind {
            Kind::Child { child, .. } => !matches!(child.try_wait(), Ok(None)),
            Kind::Adopted(_) => {
                // Only a child of ours can be reaped; for others this fails.
                let _ = Pid::from_raw(self.leader.pid).map(|pid| waitpid(Some(pid), WaitOptions::NOHANG));
                true
            }
        };
        if self.done {
            reaper::forget(self.leader.pid);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        // At once, for this may be the end of our own process, which waits for no thread.
        self.kin().kill();
        let pid = self.leader.pid;
        if let Kind::Child { .. } = self.kind {
            group::signal(pid, Signal::KILL);
        }
        // Just killed: it takes the system a moment, and as a zombie it would stay as long as we live.
        let mut kin = self.kin().clone();
        let is_child = matches!(self.kind, Kind::Child { .. });
        let finish = move || {
            kin.end_now(GONE_WITHIN);
            if let Some(pid) = Pid::from_raw(pid).filter(|_| is_child) {
                let _ = waitpid(Some(pid), WaitOptions::empty());
            }
            reaper::forget(pid);
            reaper::reap_strays();
        };
        let _ = std::thread::Builder::new().name("reaper".into()).spawn(finish);
    }
}

/// Where an engine writes whose log cannot be opened: a disk that is full is no reason not to serve.
fn without_log(log: &mut Log, title: &str, error: &io::Error) -> io::Result<File> {
    let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
    tracing::warn!(
        engine = title, log = %log.path.display(), %error,
        "the engine's log cannot be written: it is started without one; make room or mend the permissions, then restart it"
    );
    // Nothing in it is of this start.
    log.from = log.path.metadata().map_or(0, |about| about.len());
    Ok(nowhere)
}

fn open(log: &mut Log, launch: &Launch, title: &str) -> io::Result<File> {
    if let Some(folder) = log.path.parent() {
        // It was there at the start of the gateway; whoever cleaned up may have taken it along.
        super::folder::make(folder).map_err(|error| error.source)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&log.path)?;
    let now = humantime::format_rfc3339_seconds(SystemTime::now());
    let program = launch.program.to_string_lossy();
    writeln!(file, "=== {now} enginehouse starts {title}: {program} {}", launch.args.join(" "))?;
    log.from = file.metadata()?.len();
    Ok(file)
}

fn cannot(launch: &Launch, error: &io::Error) -> String {
    let program = launch.program.to_string_lossy();
    let is_path = program.contains('/');
    match error.kind() {
        ErrorKind::NotFound if is_path && Path::new(&launch.program).exists() => format!(
            "`{program}` exists but the interpreter that its first line names does not; reinstall it, or set `command:`"
        ),
        ErrorKind::NotFound if is_path => format!("`{program}` does not exist; mend the path in `command:`"),
        ErrorKind::NotFound => format!("`{program}` is not on PATH; install it, or set `command:` to where it is"),
        ErrorKind::PermissionDenied => {
            format!("`{program}` may not be executed by this user; mend its permissions or set `command:`")
        }
        _ => format!("`{program}` cannot be started: {error}"),
    }
}

#[cfg(test)]
mod tests {
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
            let launch = Launch {
                program: "bash".into(),
                args: ["-c".to_owned(), format!("cd {}; {script}", folder.path().display())].into(),
                env: BTreeMap::new(),
                secrets: vec![],
                unset: vec![],
                lasting: vec![],
                placed: false,
            };
            let mut log = Log { path: folder.path().join("m_0.log"), from: 0 };
            let process = Process::spawn(&launch, "m/0", &mut log).expect("bash is there");
            Self { folder, process }
        }

        /// The process whose number the script writes to `file`.
        async fn told(&self, file: &str) -> Identity {
            told(self.folder.path(), file).await
        }
    }

    async fn told(folder: &Path, file: &str) -> Identity {
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
        assert_ne!(kin::look(daemon.pid).expect("lives").group, rig.process.pid());
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
        assert!(!kin::is_marked(&kin::environ(daemon.pid)));
        // TERM goes to the group only; but whoever is seen then is remembered.
        rig.process.signal(Signal::TERM);
        timeout(PATIENCE, rig.process.exited()).await.expect("TERM ends a shell");
        assert!(daemon.lives());
        assert_eq!(rig.process.sweep().await, []);
        assert!(!daemon.lives());
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
        let rig =
            Rig::of("setsid bash -c 'echo $$ > daemon; exec sleep 300' & trap 'exit 3' TERM; echo $$ > leader; wait");
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
        between
            .args(["-c", script])
            .env(kin::VARIABLE, marker.value())
            .current_dir(folder.path())
            .stdout(Stdio::null());
        assert!(between.status().expect("bash").success());
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
    async fn a_stranger_is_never_signalled_whatever_its_name_and_number() {
        let mut stranger = Command::new("bash").args(["-c", "exec -a 'vllm serve' sleep 300"]).spawn().expect("bash");
        let who = Identity::of(stranger.id().cast_signed()).expect("it lives");
        let before = Identity { started: who.started.saturating_sub(1), ..who };
        assert!(Process::adopt(before, &Marker::fresh("m/0")).is_err(), "the number of an engine that is gone");
        assert!(!before.signal(Signal::KILL));
        let mut kin = Kin::new(Marker::fresh("m/0"), Some(before));
        kin.disown_group();
        assert_eq!(kin.end_now(PATIENCE), []);

        let rig = Rig::of("echo $$ > leader; exec sleep 300");
        rig.told("leader").await;
        assert_eq!(rig.process.sweep().await, []);
        assert!(stranger.try_wait().expect("our child").is_none(), "the stranger lives");
        stranger.kill().expect("our child");
        stranger.wait().expect("our child");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_engine_keeps_its_marker_when_it_sets_its_title() {
        let rig = Rig::of("echo $SPT_NOENV > noenv; echo $$ > leader; exec sleep 300");
        let leader = rig.told("leader").await;
        assert_eq!(std::fs::read_to_string(rig.folder.path().join("noenv")).expect("told"), "1\n");
        assert!(rig.process.marker().is_in(&kin::environ(leader.pid)));
        rig.process.sweep().await;
    }
}

//! Makes an engine's process: its own group, nothing to read, everything it says in its own log file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, WaitOptions, waitpid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};

use super::group::{self, Exit};
use super::marker::{self, Marker};
use super::process_tree::ProcessTree;
use super::procfs::{self, Identity, ProcessInfo};
use super::reaper;
use crate::private_file;
use crate::secret::Secret;
use crate::supervisor::folder;

/// How long processes that were killed may take to be gone: a driver takes its time to give back a GPU's memory.
pub(crate) const GONE_WITHIN: Duration = Duration::from_secs(5);

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// A path, or a name to look for on `PATH`.
    pub(crate) path: OsString,
    /// Its arguments. No secrets: they show in logs and in the process list.
    pub(crate) args: Vec<String>,
    /// Environment beyond what we were given ourselves.
    pub(crate) env: BTreeMap<String, String>,
    /// The same, for values that are never printed.
    pub(crate) secrets: Vec<(&'static str, Secret)>,
    /// Variables of our own environment that it must not see.
    pub(crate) unset: Vec<&'static str>,
}

/// What one start of an engine wrote: a part of its log file.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// The file.
    pub(crate) path: PathBuf,
    /// Where this start's part begins.
    pub(crate) from: u64,
}

/// A process that leads a group of its own: a child of ours, or one that a gateway before us started. Dropping it ends
/// the whole group and all that came from it: an engine that is no longer watched must not keep its GPU.
///
/// A child is a [`std::process::Child`] and not tokio's, because tokio reaps at once: the group's number stays ours, and
/// is safe to signal, only until the leader is reaped.
#[derive(Debug)]
pub(crate) struct Process {
    kind: Kind,
    leader: Identity,
    /// Behind a lock only because signals are sent through `&self`; one task owns a process.
    tree: Mutex<ProcessTree>,
    /// Swept or released: nothing is left to do when it is dropped.
    done: bool,
}

#[derive(Debug)]
enum Kind {
    Child { child: Child, ends: tokio::signal::unix::Signal },
    Adopted(AsyncFd<OwnedFd>),
}

impl Process {
    /// Starts `program`, marked with `marker`. What it writes goes to `log`, after a line that tells what was started, and
    /// which is not part of what [`Log::from`] points at.
    ///
    /// # Errors
    /// Why not, for the engine's state.
    pub(crate) fn spawn(program: &Program, title: &str, log: &mut Log, marker: &Marker) -> Result<Self, String> {
        let file = match open(log, program, title) {
            Ok(file) => file,
            Err(error) => without_log(log, title, &error).map_err(|_| {
                format!("its log file `{}` cannot be written: {error}; correct its permissions", log.path.display())
            })?,
        };
        let output = file.try_clone().and_then(|second| Ok((signal(SignalKind::child())?, second)));
        let (ends, second) = output.map_err(|error| format!("its process cannot be prepared: {error}"))?;
        let mut command = Command::new(&program.path);
        // vLLM's processes give themselves titles, which writes over the environment that `/proc` shows, and so over
        // our marker, unless this is set (setproctitle's documentation).
        command.env("SPT_NOENV", "1");
        command.args(&program.args).envs(&program.env).process_group(0);
        command.stdin(Stdio::null()).stdout(file).stderr(second);
        for name in &program.unset {
            command.env_remove(name);
        }
        for (name, secret) in &program.secrets {
            command.env(name, secret.expose());
        }
        command.env(marker::VARIABLE, marker.value());
        let mut child = reaper::spawn(&mut command, marker).map_err(|error| cannot(program, &error))?;
        // Not reaped yet, so it is there, as a zombie at least.
        let Some(info) = procfs::look(child.id().cast_signed()) else {
            let _ = child.kill();
            let _ = child.wait();
            reaper::forget(child.id().cast_signed());
            return Err("its process cannot be seen under `/proc`; mount it, and without `hidepid`".to_owned());
        };
        let tree = Mutex::new(ProcessTree::new(marker.clone(), Some(info.who)));
        Ok(Self { kind: Kind::Child { child, ends }, leader: info.who, tree, done: false })
    }

    /// Takes over a process that a gateway before us started. Its exit code is known only if it is our child, as after
    /// an `exec` of the gateway.
    ///
    /// # Errors
    /// In words: it is gone, or cannot be watched.
    pub(crate) fn adopt(leader: Identity, marker: &Marker) -> Result<Self, String> {
        let pid = leader.pid;
        let descriptor = match leader.open() {
            Ok(Some(descriptor)) => descriptor,
            Ok(None) => return Err(format!("process {pid} is gone")),
            Err(error) => return Err(format!("process {pid} cannot be watched: {error}")),
        };
        let watched = watched(descriptor);
        let watched = watched.map_err(|error| format!("process {pid} cannot be watched: {error}"))?;
        reaper::register(pid, marker);
        let tree = Mutex::new(ProcessTree::new(marker.clone(), Some(leader)));
        Ok(Self { kind: Kind::Adopted(watched), leader, tree, done: false })
    }

    /// Its number, and its group's.
    pub(crate) fn pid(&self) -> i32 {
        self.leader.pid
    }

    /// Its number and when it started: what a record needs to find it again.
    pub(crate) fn identity(&self) -> Identity {
        self.leader
    }

    /// What it and its descendants are marked with.
    #[cfg(test)]
    pub(crate) fn marker(&self) -> Marker {
        self.tree().marker().clone()
    }

    /// Returns when its leader ended. Nothing is reaped, so that the group can still be signalled.
    pub(crate) async fn exited(&mut self) -> Exit {
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

    /// SIGKILL to all that came from it, but those that tidy up after it: [`Process::sweep`] ends them if need be.
    pub(crate) fn kill(&self) {
        if self.tree().kill_all_but_tidiers() == 0 {
            // What `/proc` hides.
            self.signal(Signal::KILL);
        }
    }

    /// Sends a signal to the whole group. After the leader of an adopted group died, only marked processes get it.
    pub(crate) fn signal(&self, signal: Signal) {
        self.remember();
        if let Kind::Child { .. } = self.kind {
            if !self.done {
                group::signal(self.leader.pid, signal);
            }
        } else if self.leader.lives() {
            // One by one: this leader is not ours to reap, and its number may be given away at any time.
            self.tree().signal_group(signal);
        } else {
            self.tree().signal(signal);
        }
    }

    /// The numbers of all processes that came from it and live or were remembered: a driver may still have the memory of
    /// those that are dead. A walk of `/proc`: some milliseconds.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let tree = self.tree();
        let living: Vec<i32> = tree.find().iter().map(|info| info.who.pid).collect();
        let all = [self.leader.pid].into_iter().chain(tree.known()).chain(living);
        all.map(i32::cast_unsigned).collect()
    }

    /// Remembers all processes that came from it so far, so that they are found in the end although they left the group,
    /// cleared their environment and lost their parent. A walk of `/proc`: some milliseconds.
    pub(crate) fn remember(&self) {
        self.tree().remember();
    }

    /// Ends what is left of the group and of all that came from it after its leader ended, and reaps the leader. Returns who survived
    /// SIGKILL for [`GONE_WITHIN`].
    pub(crate) async fn sweep(mut self) -> Vec<ProcessInfo> {
        let tree = self.tree().clone();
        let left = tree.clone().end(GONE_WITHIN).await;
        if let Kind::Child { .. } = self.kind {
            // For members that `/proc` hides. Not before: the first to die makes orphans that nothing tells from foreign processes.
            group::signal(self.leader.pid, Signal::KILL);
        }
        for info in &left {
            let engine = tree.marker().value();
            tracing::error!(%engine, process = %info, "it survives SIGKILL; it may hold the engine's GPU and port");
        }
        self.reap();
        let _ = tokio::task::spawn_blocking(reaper::reap_orphans).await;
        left
    }

    /// Lets it live on: we end neither it nor what came from it any more.
    pub(crate) fn release(mut self) -> Identity {
        reaper::keep(self.leader.pid);
        self.done = true;
        self.leader
    }

    /// All that came from it, as far as that can be told now: the number of an adopted group may be given away once its
    /// leader is gone.
    fn tree(&self) -> MutexGuard<'_, ProcessTree> {
        let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(self.kind, Kind::Adopted(_)) && !self.leader.lives() {
            tree.disown_group();
        }
        tree
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
        self.tree().kill();
        let pid = self.leader.pid;
        if let Kind::Child { .. } = self.kind {
            group::signal(pid, Signal::KILL);
        }
        // Just killed: it takes the system a moment, and as a zombie it would stay as long as we live.
        let mut tree = self.tree().clone();
        let is_child = matches!(self.kind, Kind::Child { .. });
        let finish = move || {
            tree.end_now(GONE_WITHIN);
            if let Some(pid) = Pid::from_raw(pid).filter(|_| is_child) {
                let _ = waitpid(Some(pid), WaitOptions::empty());
            }
            reaper::forget(pid);
            reaper::reap_orphans();
        };
        let _ = std::thread::Builder::new().name("reaper".into()).spawn(finish);
    }
}

/// Where an engine writes whose log cannot be opened: a disk that is full is no reason not to serve.
fn without_log(log: &mut Log, title: &str, error: &io::Error) -> io::Result<File> {
    let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
    tracing::warn!(
        engine = title, log = %log.path.display(), %error,
        "the engine's log cannot be written: it is started without one; make room or correct the permissions, then restart it"
    );
    // Nothing in it is of this start.
    log.from = log.path.metadata().map_or(0, |about| about.len());
    Ok(nowhere)
}

fn open(log: &mut Log, program: &Program, title: &str) -> io::Result<File> {
    if let Some(parent) = log.path.parent() {
        // It was there at the start of the gateway; a clean-up may have removed it since.
        folder::make(parent).map_err(|error| error.source)?;
    }
    let mut file = private_file::open(OpenOptions::new().append(true), &log.path)?;
    let now = humantime::format_rfc3339_seconds(SystemTime::now());
    let path = program.path.to_string_lossy();
    writeln!(file, "=== {now} enginehouse starts {title}: {path} {}", program.args.join(" "))?;
    log.from = file.metadata()?.len();
    Ok(file)
}

fn cannot(program: &Program, error: &io::Error) -> String {
    let path = &program.path;
    let program = path.to_string_lossy();
    let is_path = program.contains('/');
    match error.kind() {
        ErrorKind::NotFound if is_path && Path::new(path).exists() => format!(
            "`{program}` exists but the interpreter that its first line names does not; reinstall it, or set `command:`"
        ),
        ErrorKind::NotFound if is_path => format!("`{program}` does not exist; correct the path in `command:`"),
        ErrorKind::NotFound => format!("`{program}` is not on PATH; install it, or set `command:` to where it is"),
        ErrorKind::PermissionDenied => {
            format!("`{program}` may not be executed by this user; correct its permissions or set `command:`")
        }
        _ => format!("`{program}` cannot be started: {error}"),
    }
}

/// A process's descriptor (pidfd_open(2)), to be told when the process ends.
pub(crate) fn watched(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(
        deprecated,
        reason = "its successor is `unsafe`, for types that may lose their descriptor; this one owns it"
    )]
    AsyncFd::with_interest(process, Interest::READABLE)
}

#[cfg(test)]
pub(crate) mod tests;

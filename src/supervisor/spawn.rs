//! Makes an engine's process: its own group, nothing to read, everything it says in its own log file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use rustix::process::{Pid, Signal, WaitOptions, waitpid};
use tokio::signal::unix::{SignalKind, signal};

use super::command::Launch;
use super::group;
use super::machine::Exit;

/// What one start of an engine wrote: a part of its log file.
#[derive(Clone, Debug)]
pub(super) struct Log {
    /// The file.
    pub(super) path: PathBuf,
    /// Where this start's part begins.
    pub(super) from: u64,
}

/// A process that leads a group of its own. Dropping it ends the whole group: an engine that nobody watches any more
/// must not keep its GPU.
///
/// It is a [`std::process::Child`] and not tokio's, because tokio reaps at once: the group's number stays ours, and
/// is safe to signal, only until the leader is reaped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pid: Pid,
    children: tokio::signal::unix::Signal,
    reaped: bool,
}

impl Process {
    /// Starts `launch`. What it writes goes to `log`, after a line that tells what was started, and which is not part
    /// of what [`Log::from`] points at.
    ///
    /// # Errors
    /// In words for whoever reads the engine's state.
    pub(super) fn spawn(launch: &Launch, title: &str, log: &mut Log) -> Result<Self, String> {
        let file = open(log, launch, title).map_err(|error| {
            format!(
                "its log file `{}` cannot be written: {error}; make room or mend its permissions",
                log.path.display()
            )
        })?;
        let output = file.try_clone().and_then(|second| Ok((signal(SignalKind::child())?, second)));
        let (children, second) = output.map_err(|error| format!("its process cannot be prepared: {error}"))?;
        let mut command = Command::new(&launch.program);
        command.args(&launch.args).envs(&launch.env).process_group(0);
        command.stdin(Stdio::null()).stdout(file).stderr(second);
        for name in &launch.unset {
            command.env_remove(name);
        }
        for (name, secret) in &launch.secrets {
            command.env(name, secret.expose());
        }
        let mut child = command.spawn().map_err(|error| cannot(launch, &error))?;
        match i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            Some(pid) => Ok(Self { child, pid, children, reaped: false }),
            None => {
                let _ = child.kill();
                Err("its process has no usable number".to_owned())
            }
        }
    }

    /// Its number, and its group's.
    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Returns when its leader ended. Nothing is reaped, so that the group can still be signalled.
    pub(super) async fn exited(&mut self) -> Exit {
        loop {
            if let Some(exit) = group::ended(self.pid) {
                return exit;
            }
            // Registered when it was made, so no end goes unseen between the look and this.
            if self.children.recv().await.is_none() {
                // The runtime is going down, and takes us with it.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Sends a signal to the whole group.
    pub(super) fn signal(&self, signal: Signal) {
        if !self.reaped {
            group::signal(self.pid, signal);
        }
    }

    /// Ends what is left of the group after its leader ended, and reaps the leader.
    pub(super) async fn sweep(mut self) {
        self.finish();
        if !group::emptied(self.pid).await {
            tracing::error!(
                group = self.pid(),
                "processes of an engine survive SIGKILL; they may hold its GPU and port"
            );
        }
    }

    /// SIGKILL to the group while the leader's number is still ours, then reap the leader if it is gone.
    fn finish(&mut self) {
        self.signal(Signal::KILL);
        self.reaped = self.reaped || !matches!(self.child.try_wait(), Ok(None));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        self.finish();
        if !self.reaped {
            // Just killed: it takes the system a moment, and as a zombie it would stay as long as we live.
            let pid = self.pid;
            let reaper = move || waitpid(Some(pid), WaitOptions::empty());
            let _ = std::thread::Builder::new().name("reaper".into()).spawn(reaper);
        }
    }
}

fn open(log: &mut Log, launch: &Launch, title: &str) -> io::Result<File> {
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

//! One gateway per state directory: the lock that the second one finds taken.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use tokio::task::JoinHandle;

use crate::private_file;
use crate::supervisor::folder::{self, FolderError};
use crate::supervisor::process::procfs;

/// Time between two looks whether the file of the lock is still there.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why this gateway may not use a state directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Another one does.
    #[error(
        "a gateway already runs on `{}`{}; stop it first, or give this one its own `--state-dir`",
        path.display(),
        pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
    )]
    Held {
        /// The state directory.
        path: PathBuf,
        /// The other one, if it had the time to tell.
        pid: Option<i32>,
    },
    /// It cannot be locked at all.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// Held for life. The system lets go of it when we end, however we end.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    /// The lock lasts as long as it is open.
    file: File,
}

impl Lock {
    /// Takes the lock of `state_dir`, which must be there.
    ///
    /// # Errors
    /// When another gateway has it, with its pid; or when the folder is of no use.
    pub(crate) fn take(state_dir: &Path) -> Result<Self, LockError> {
        let path = state_dir.join("lock");
        let was_there = path.exists();
        let mut file = open(&path).map_err(FolderError::on(&path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(LockError::Held { path: state_dir.to_owned(), pid: pid_in(&mut file) });
            }
            Err(error) => return Err(FolderError::on(&path)(error.into()).into()),
        }
        if !was_there && let Some(pid) = holder_of_deleted(&path) {
            return Err(LockError::Held { path: state_dir.to_owned(), pid: Some(pid) });
        }
        // The pid is for people: without it the lock is as good.
        if let Err(error) = tell(&mut file) {
            tracing::warn!(path = %path.display(), %error, "our pid cannot be written to the lock");
        }
        Ok(Self { path, file })
    }

    /// Takes it again if its file was deleted; whether it was. Blocks.
    ///
    /// # Errors
    /// What the system says; also when another gateway has taken it since.
    fn renew(&mut self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => return Ok(false),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if let Some(folder) = self.path.parent() {
            folder::make(folder).map_err(|error| error.source)?;
        }
        let mut file = open(&self.path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            Errno::WOULDBLOCK => io::Error::other("another gateway has taken it"),
            error => error.into(),
        })?;
        tell(&mut file)?;
        self.file = file;
        Ok(true)
    }

    /// The gateway that has the lock of `state_dir`: `None` when there is none, `Some(None)` when it did not tell its pid.
    pub(crate) fn holder(state_dir: &Path) -> Option<Option<i32>> {
        let mut file = File::open(state_dir.join("lock")).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => Some(pid_in(&mut file)),
            _ => None,
        }
    }
}

/// Keeps a lock until it is dropped: one whose file is deleted is taken again.
#[derive(Debug)]
pub(crate) struct LockKeeper {
    lock: Arc<Mutex<Option<Lock>>>,
    task: JoinHandle<()>,
}

impl LockKeeper {
    /// Keeps `lock`.
    pub(crate) fn start(lock: Lock) -> Self {
        let path = lock.path.clone();
        let lock = Arc::new(Mutex::new(Some(lock)));
        let kept = lock.clone();
        let task = tokio::spawn(async move {
            let mut is_told = false;
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let kept = kept.clone();
                let renewed = tokio::task::spawn_blocking(move || {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.as_mut().map_or(Ok(false), Lock::renew)
                });
                let path = path.display();
                match renewed.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
                    Ok(true) => {
                        tracing::warn!(%path, "the lock of the state directory was removed by somebody and is taken again")
                    }
                    Ok(false) => is_told = false,
                    Err(error) if !std::mem::replace(&mut is_told, true) => {
                        tracing::error!(%path, %error, "the lock of the state directory is gone: a second gateway could start there");
                    }
                    Err(_) => {}
                }
            }
        });
        Self { lock, task }
    }
}

impl Drop for LockKeeper {
    fn drop(&mut self) {
        self.task.abort();
        // Where it is looked at just now, it goes with that.
        if let Ok(mut lock) = self.lock.try_lock() {
            drop(lock.take());
        }
    }
}

/// The process that has a deleted file open that was at `path`: a gateway whose state directory was removed.
fn holder_of_deleted(path: &Path) -> Option<i32> {
    let mut deleted = path.canonicalize().ok()?.into_os_string();
    deleted.push(" (deleted)");
    let own = std::process::id().cast_signed();
    let pids = procfs::all_processes().into_iter().map(|info| info.who.pid).filter(|pid| *pid != own);
    let has_it = |pid: &i32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.into_iter().any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == deleted))
    };
    pids.into_iter().find(has_it)
}

fn open(path: &Path) -> io::Result<File> {
    // Not truncated: the pid in it may be that of the gateway that has it.
    match private_file::open(OpenOptions::new().read(true).truncate(false), path) {
        // What is there can be locked, though not written.
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => File::open(path).map_err(|_| error),
        opened => opened,
    }
}

fn tell(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn pid_in(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_second_gateway_is_told_the_pid_of_the_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Lock::take(folder.path()).expect("nobody has it");
        let told = Lock::take(folder.path()).expect_err("the first has it").to_string();
        let pid = std::process::id();
        assert!(told.contains(&format!("(pid {pid}); stop it first")) && told.contains("`--state-dir`"), "{told}");
        assert_eq!(Lock::holder(folder.path()), Some(Some(pid.cast_signed())));
        drop(first);
        assert_eq!(Lock::holder(folder.path()), None);
        Lock::take(folder.path()).expect("it was given back");
    }

    #[test]
    fn the_lock_of_a_gateway_that_was_killed_is_free() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = "exec 9<>lock; flock -x 9 && echo $$ > lock && echo locked; exec sleep 300 >&-";
        let mut other = Command::new("bash")
            .args(["-c", script])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash");
        let mut line = String::new();
        BufReader::new(other.stdout.take().expect("piped")).read_line(&mut line).expect("told");
        assert_eq!(line.trim(), "locked");
        let told = Lock::take(folder.path()).expect_err("it is taken").to_string();
        assert!(told.contains(&format!("(pid {})", other.id())), "{told}");
        other.kill().expect("our child");
        other.wait().expect("our child");
        Lock::take(folder.path()).expect("the system gave it back");
    }

    #[test]
    fn a_lock_whose_file_was_deleted_is_taken_again_and_nobody_else_gets_it_meanwhile() {
        let folder = tempfile::tempdir().expect("a folder");
        let state_dir = folder.path().join("state");
        fs::create_dir(&state_dir).expect("made");
        let mut lock = Lock::take(&state_dir).expect("nobody has it");
        assert!(!lock.renew().expect("it is there"));
        fs::remove_dir_all(&state_dir).expect("removed");
        assert!(lock.renew().expect("taken"));
        assert_eq!(Lock::holder(&state_dir), Some(Some(std::process::id().cast_signed())));
        drop(lock);
        // Another process, before it takes it again.
        let mut other = Command::new("bash")
            .args(["-c", "exec 9<>lock; flock -x 9; rm lock; echo removed; exec sleep 300 >&-"])
            .current_dir(&state_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash");
        let mut line = String::new();
        BufReader::new(other.stdout.take().expect("piped")).read_line(&mut line).expect("told");
        let told = Lock::take(&state_dir).expect_err("it is still there").to_string();
        other.kill().expect("our child");
        other.wait().expect("our child");
        assert!(told.contains(&format!("(pid {})", other.id())), "{told}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let told = Lock::take(Path::new("/nonexistent")).expect_err("not there").to_string();
        assert!(told.starts_with("cannot write to `/nonexistent/lock`: "), "{told}");
    }
}

//! One gateway per state directory: the lock that the second one finds taken.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::supervisor::folder::{self, FolderError};

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
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock lasts as long as the open file")] File);

impl Lock {
    /// Takes the lock of `state_dir`, which must be there.
    ///
    /// # Errors
    /// When another gateway has it, with its pid; or when the folder is of no use.
    pub(crate) fn take(state_dir: &Path) -> Result<Self, LockError> {
        let path = state_dir.join("lock");
        let mut file = open(&path).map_err(FolderError::on(&path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(LockError::Held { path: state_dir.to_owned(), pid: pid_in(&mut file) });
            }
            Err(error) => return Err(FolderError::on(&path)(error.into()).into()),
        }
        // The pid is for people: without it the lock is as good.
        if let Err(error) = tell(&mut file) {
            tracing::warn!(path = %path.display(), %error, "our pid cannot be written to the lock");
        }
        Ok(Self(file))
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

fn open(path: &Path) -> io::Result<File> {
    // Not truncated: the pid in it may be that of the gateway that has it.
    folder::private(OpenOptions::new().read(true).truncate(false), path)
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
    fn a_folder_that_is_not_there_is_told() {
        let told = Lock::take(Path::new("/nonexistent")).expect_err("not there").to_string();
        assert!(told.starts_with("cannot write to `/nonexistent/lock`: "), "{told}");
    }
}

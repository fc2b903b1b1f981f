//! The audit log: who asked for what, one JSON object in each line of a file in the state directory, for this user alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::api::{AuditEntry, AuditView};
use crate::private_file;
use crate::supervisor;

/// A file of this size is set aside as `….1`, in place of the one before it: bytes.
const LARGEST: u64 = 16 << 20;

/// How much of the end of a file is looked at first for what operators want to see: bytes. More where that has too few entries.
const READ: u64 = 1 << 20;

/// Where actions are written down. Clones are one.
#[derive(Clone, Debug)]
pub struct AuditLog(Arc<Mutex<PathBuf>>);

impl AuditLog {
    /// In the state directory `folder`.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self(Arc::new(Mutex::new(folder.join("audit.log"))))
    }

    /// Writes `entry` down. What cannot be written is told in the gateway's own log instead.
    pub(super) async fn write(&self, entry: AuditEntry) {
        let path = self.0.clone();
        let write = move || {
            // One line after the other.
            let path = path.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = append(&path, &entry) {
                let entry = serde_json::to_string(&entry).unwrap_or_default();
                tracing::error!(
                    %error, entry,
                    "the audit log cannot be written: make room in the state directory or correct its permissions"
                );
            }
        };
        // It ends: it panics at nothing, and nobody aborts it.
        let _ = tokio::task::spawn_blocking(write).await;
    }

    /// The newest entries, so many at most; also of the file that was set aside.
    ///
    /// # Errors
    /// What the system says.
    pub(super) async fn newest(&self, most: usize) -> io::Result<AuditView> {
        let path = self.0.clone();
        let read = move || {
            // Held: a file that is set aside meanwhile would be read twice.
            let path = path.lock().unwrap_or_else(PoisonError::into_inner);
            let mut entries = newest_of(&path, most)?;
            if entries.len() < most {
                entries.extend(newest_of(&aside(&path), most - entries.len())?);
            }
            Ok::<_, io::Error>(entries)
        };
        let entries = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
        Ok(AuditView { entries })
    }
}

/// Where a file that is full goes.
fn aside(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

fn append(path: &Path, entry: &AuditEntry) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        supervisor::make_state_dir(folder)?;
    }
    if fs::metadata(path).is_ok_and(|found| found.len() > LARGEST) {
        fs::rename(path, aside(path))?;
    }
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    private_file::open(OpenOptions::new().append(true), path)?.write_all(&line)
}

/// The newest entries of a file, so many at most; none where it is missing.
fn newest_of(path: &Path, most: usize) -> io::Result<Vec<AuditEntry>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let length = file.metadata()?.len();
    let mut read = READ;
    loop {
        let text = tail(&mut file, length, read)?;
        // What is cut at the beginning is no JSON.
        let parsed = text.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
        let entries: Vec<AuditEntry> = parsed.take(most).collect();
        if entries.len() == most || read >= length {
            return Ok(entries);
        }
        read = read.saturating_mul(4);
    }
}

/// The last `read` bytes of a file of so many.
fn tail(file: &mut File, length: u64, read: u64) -> io::Result<String> {
    file.seek(SeekFrom::Start(length.saturating_sub(read)))?;
    let mut bytes = Vec::new();
    file.take(read).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::api::{Login, OperatorView};

    #[tokio::test]
    async fn entries_are_kept_the_newest_is_told_first_and_a_full_file_is_set_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = AuditLog::of(&folder.path().join("state"));
        assert_eq!(log.newest(9).await.expect("none yet").entries, []);
        let entry = |detail: &str| AuditEntry {
            at: "2026-01-01T00:00:00Z".into(),
            operator: OperatorView { address: None, login: Login::Token, agent: None },
            request: "POST /api/v1/reload".into(),
            detail: detail.into(),
            status: 200,
            error: None,
        };
        log.write(entry("one")).await;
        log.write(entry("two")).await;
        let path = folder.path().join("state/audit.log");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let told = log.newest(9).await.expect("read").entries;
        assert_eq!(told.iter().map(|entry| &*entry.detail).collect::<Vec<_>>(), ["two", "one"]);
        OpenOptions::new().write(true).open(&path).expect("opened").set_len(LARGEST + 1).expect("grown");
        log.write(entry("three")).await;
        assert!(aside(&path).exists());
        let told = |entries: &[AuditEntry]| entries.iter().map(|entry| entry.detail.clone()).collect::<Vec<_>>();
        assert_eq!(
            told(&log.newest(9).await.expect("read").entries),
            ["three", "two", "one"],
            "also what was set aside"
        );
        assert_eq!(told(&log.newest(2).await.expect("read").entries), ["three", "two"]);
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("made");
        log.write(entry("four")).await;
    }
}

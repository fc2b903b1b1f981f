//! Keeps engines' logs from filling the disk: the old part of a log moves to `….1`, `….2`, … while the engine goes on
//! writing to the same open file.
//!
//! Where the file system can cut blocks out of the front of a file (ext4, XFS), nothing that is written meanwhile is
//! lost. Elsewhere the file is truncated after all was copied; what comes in the instant between is lost, as with
//! logrotate's `copytruncate`. A cut may be in the middle of a line, whose rest then is the first of the live log.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FallocateFlags, fallocate};

use crate::private_file;
use crate::supervisor::process::spawn::Log;

/// How often new lines are copied before a truncation; an engine that writes faster than we copy must not keep us here.
const ROUNDS: usize = 16;

/// When a log is rotated, and what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// Bytes of the live log from which on it is rotated.
    pub(crate) size: u64,
    /// Age from which on it is rotated, unless it is empty.
    pub(crate) age: Option<Duration>,
    /// How many old parts are kept.
    pub(crate) keep: usize,
}

/// Rotates the log of one engine.
#[derive(Debug)]
pub(crate) struct Rotator {
    rotation: Rotation,
    failed: bool,
}

impl Rotator {
    /// Rotates by these rules.
    pub(crate) fn new(rotation: Rotation) -> Self {
        Self { rotation, failed: false }
    }

    /// Rotates the log if it is due, off the async workers, and moves [`Log::from`] with what it points at. Returns how
    /// many bytes were cut from the front of the live log: what a record or a reader knows of it has moved by as much.
    ///
    /// A failure is told once, until it works again; the log goes on.
    pub(crate) async fn look(&mut self, log: &mut Log) -> u64 {
        let (path, rotation) = (log.path.clone(), self.rotation);
        let looked = tokio::task::spawn_blocking(move || look(&path, rotation)).await;
        let looked = looked.unwrap_or_else(|error| Err(io::Error::other(error)));
        let failed = std::mem::replace(&mut self.failed, looked.is_err());
        match looked {
            Ok(cut) => {
                log.from = log.from.saturating_sub(cut);
                cut
            }
            Err(error) => {
                if !failed {
                    let path = log.path.display();
                    tracing::warn!(%path, %error, "an engine's log cannot be rotated and grows on; make room or correct the permissions");
                }
                0
            }
        }
    }
}

fn look(path: &Path, rotation: Rotation) -> io::Result<u64> {
    let (_, is_due) = size(path, rotation)?;
    if is_due { rotate(path, rotation.keep, copied) } else { Ok(0) }
}

/// The size of a log, and whether it is to be rotated. Blocks.
///
/// # Errors
/// What the system says; a log that is not there is empty.
pub(crate) fn size(path: &Path, rotation: Rotation) -> io::Result<(u64, bool)> {
    let about = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((0, false)),
        about => about?,
    };
    // The live file is as old as the last rotation, which made the newest old part.
    let since = fs::metadata(part(path, 1)).and_then(|about| about.modified()).or_else(|_| about.created()).ok();
    let age = since.and_then(|since| SystemTime::now().duration_since(since).ok()).unwrap_or_default();
    Ok((about.len(), is_due(rotation, about.len(), age)))
}

fn is_due(rotation: Rotation, size: u64, age: Duration) -> bool {
    size > 0 && (size >= rotation.size || rotation.age.is_some_and(|limit| age >= limit))
}

/// Old part number `number` of a log; the newest is 1.
fn part(path: &Path, number: usize) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

/// Moves what is in the log to `….1`, what was there to `….2`, and so on up to `keep`. Returns how many bytes were cut
/// from the front.
///
/// # Errors
/// What the system says. The log is whole then, but old parts may have been dropped to make room.
fn rotate(path: &Path, keep: usize, copied: fn(&mut File, u64, &Path) -> io::Result<File>) -> io::Result<u64> {
    let mut log = OpenOptions::new().read(true).write(true).custom_flags(private_file::no_link()).open(path)?;
    let about = log.metadata()?;
    // Whole blocks, and not all of the file: what may be cut out of a file that grows.
    let front = about.len().saturating_sub(1) / about.blksize().max(1) * about.blksize();
    if keep == 0 {
        return cut(&log, front).or_else(|_| log.set_len(0).map(|()| about.len()));
    }
    let new = part(path, 0);
    let mut copy = loop {
        match copied(&mut log, front, &new) {
            // The old parts go first: what the engine says now is worth more.
            Err(error) if error.kind() == ErrorKind::StorageFull && drop_oldest(path, keep) => {}
            Err(error) => {
                let _ = fs::remove_file(&new);
                return Err(error);
            }
            Ok(copy) => break copy,
        }
    };
    // In place before anything is cut: if we are killed between, something is there twice, but nothing is lost.
    for number in (0..keep).rev() {
        match fs::rename(part(path, number), part(path, number + 1)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    cut(&log, front).or_else(|_| {
        let rest = truncate(&mut log, &mut copy);
        // Without the rest it would be there twice.
        rest.inspect_err(|_| drop(fs::remove_file(part(path, 1)))).map(|rest| front + rest)
    })
}

/// A new file with the first `length` bytes of `log`, which are left read.
fn copied(log: &mut File, length: u64, new: &Path) -> io::Result<File> {
    let mut copy = private_file::open(OpenOptions::new().truncate(true), new)?;
    log.rewind()?;
    io::copy(&mut log.take(length), &mut copy)?;
    Ok(copy)
}

/// Removes the oldest part there is; `false` when there is none.
fn drop_oldest(path: &Path, keep: usize) -> bool {
    (1..=keep).rev().any(|number| fs::remove_file(part(path, number)).is_ok())
}

/// Cuts the first `length` bytes out of a file that somebody appends to, if its file system can.
fn cut(log: &File, length: u64) -> io::Result<u64> {
    if length == 0 {
        return Err(ErrorKind::Unsupported.into());
    }
    fallocate(log, FallocateFlags::COLLAPSE_RANGE, 0, length)?;
    Ok(length)
}

/// Copies what is left to read of `log`, and empties it as soon as nothing new came. Returns how much was left.
fn truncate(log: &mut File, copy: &mut File) -> io::Result<u64> {
    let mut rest = 0;
    for _ in 0..ROUNDS {
        // Not to the end, which an engine that writes without pause may keep away from us.
        let length = log.metadata()?.len().saturating_sub(log.stream_position()?);
        if length == 0 {
            break;
        }
        rest += io::copy(&mut log.take(length), copy)?;
    }
    log.set_len(0)?;
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::supervisor::testing::KilledOnDrop;

    const ALWAYS: Rotation = Rotation { size: 1, age: None, keep: 3 };

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    /// All parts, oldest first, and the live log.
    fn all(path: &Path) -> String {
        (1..=9).rev().map(|number| read(&part(path, number))).collect::<String>() + &read(path)
    }

    #[test]
    fn logs_are_rotated_by_size_and_by_age() {
        let rotation = Rotation { size: 100, age: Some(Duration::from_secs(60)), keep: 1 };
        assert!(is_due(rotation, 100, Duration::ZERO) && is_due(rotation, 1, Duration::from_secs(60)));
        assert!(!is_due(rotation, 99, Duration::from_secs(59)) && !is_due(rotation, 0, Duration::from_secs(99)));
        assert!(!is_due(Rotation { age: None, ..rotation }, 1, Duration::MAX));
    }

    #[tokio::test]
    async fn as_many_parts_are_kept_as_asked_and_where_a_start_began_moves_along() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = Log { path: folder.path().join("m_0.log"), from: 9000 };
        let mut rotator = Rotator::new(ALWAYS);
        assert_eq!(rotator.look(&mut log).await, 0, "there is none yet");
        let mut written = String::new();
        for round in 0..5 {
            let text = format!("{round}").repeat(10_000);
            let mut file = private_file::open(OpenOptions::new().append(true), &log.path).expect("writable");
            io::Write::write_all(&mut file, text.as_bytes()).expect("written");
            written += &text;
            let before = read(&log.path).len() as u64;
            let cut = rotator.look(&mut log).await;
            assert!(cut > 0 && before - cut == read(&log.path).len() as u64, "{cut} of {before}");
            if round == 0 {
                assert_eq!(log.from, 9000 - cut.min(9000));
            }
        }
        assert!(written.ends_with(&all(&log.path)) && all(&log.path).len() >= 30_000, "what is kept is the end of all");
        assert!(part(&log.path, 3).exists() && !part(&log.path, 4).exists() && !part(&log.path, 0).exists());
        assert_eq!(fs::metadata(part(&log.path, 1)).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(rotate(&log.path, 0, copied).is_ok() && part(&log.path, 3).exists());
    }

    /// A child that writes numbered lines to `path` without pause, `last` of them.
    fn writer(path: &Path, last: u32) -> KilledOnDrop {
        let file = private_file::open(OpenOptions::new().append(true), path).expect("writable");
        // A shell writes every line by itself.
        let script = format!("i=0; while [ $i -lt {last} ]; do i=$((i+1)); echo $i; done");
        let child = Command::new("bash").args(["-c", &script]).stdout(file).stdin(Stdio::null()).spawn();
        KilledOnDrop(child.expect("bash"))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_engine_that_writes_without_pause_loses_no_line() {
        const LINES: u32 = 200_000;
        // Beside the program under test: a disk, where /tmp may be memory.
        let near = std::env::current_exe().expect("this test");
        let folder = tempfile::tempdir_in(near.parent().expect("a folder")).expect("a folder");
        let mut log = Log { path: folder.path().join("m_0.log"), from: 0 };
        let mut rotator = Rotator::new(Rotation { size: 64 * 1024, age: None, keep: 100 });
        let mut writer = writer(&log.path, LINES);
        let mut rotations = 0;
        while writer.0.try_wait().expect("our child").is_none() {
            rotations += u32::from(rotator.look(&mut log).await > 0);
            tokio::task::yield_now().await;
        }
        let all: String =
            (1..=100).rev().map(|number| read(&part(&log.path, number))).collect::<String>() + &read(&log.path);
        assert!(rotations > 5, "{rotations}");
        let probe = File::options().write(true).open(&log.path).expect("there");
        let can_cut = cut(&probe, 1).map_err(|error| error.kind()) != Err(ErrorKind::Unsupported);
        let lines: Vec<u32> = all.lines().filter_map(|line| line.parse().ok()).collect();
        if can_cut {
            assert!(lines.iter().copied().eq(1..=LINES), "{} of {LINES} in {rotations} rotations", lines.len());
        } else {
            // What comes in the instant of a truncation is lost.
            assert!(lines.len() as f64 > f64::from(LINES) * 0.999, "{} in {rotations} rotations", lines.len());
        }
    }

    #[test]
    fn where_nothing_can_be_cut_the_log_is_copied_and_truncated() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m_0.log");
        fs::write(&path, "a\nb\nc\n").expect("written");
        let (mut log, new) = (OpenOptions::new().read(true).write(true).open(&path).expect("there"), part(&path, 1));
        let mut copy = copied(&mut log, 2, &new).expect("copied");
        assert_eq!(truncate(&mut log, &mut copy).expect("truncated"), 4);
        assert_eq!((read(&path), read(&new)), (String::new(), "a\nb\nc\n".to_owned()));
    }

    #[test]
    fn a_full_disk_drops_old_parts_and_then_gives_up_but_never_the_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m_0.log");
        fs::write(&path, "x".repeat(10_000)).expect("written");
        fs::write(part(&path, 2), "old").expect("written");
        assert!(drop_oldest(&path, 3) && !part(&path, 2).exists() && !drop_oldest(&path, 3));
        fs::write(part(&path, 2), "old").expect("written");
        let full = |_: &mut File, _: u64, _: &Path| Err(ErrorKind::StorageFull.into());
        let error = rotate(&path, 3, full).expect_err("there is no room");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(!part(&path, 2).exists() && read(&path).len() == 10_000);
    }

    #[tokio::test]
    async fn no_link_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, mut log) = (folder.path().join("target"), Log { path: folder.path().join("m_0.log"), from: 0 });
        fs::write(&target, "kept").expect("written");
        fs::write(&log.path, "x".repeat(10_000)).expect("written");
        std::os::unix::fs::symlink(&target, part(&log.path, 0)).expect("linked");
        let mut rotator = Rotator::new(ALWAYS);
        assert_eq!(rotator.look(&mut log).await, 0);
        assert!(rotator.failed && read(&log.path).len() == 10_000, "told, and nothing is lost");
        assert!(rotator.look(&mut log).await > 0, "the link was removed with the copy: it works again");
        assert!(!rotator.failed);
        fs::remove_file(&log.path).expect("removed");
        std::os::unix::fs::symlink(&target, &log.path).expect("linked");
        assert_eq!(rotator.look(&mut log).await, 0);
        assert!(rotator.failed);
        assert_eq!(read(&target), "kept");
    }
}

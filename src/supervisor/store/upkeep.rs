//! Looks at an engine's log and record beside the actor that owns them, and wakes it only when there is something to do: waking
//! it cuts short what it waits for, such as a health check.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::rotate::{self, Rotation};

/// Least and most time between two looks.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long it is not told again what was told, and could not be done: a disk may be full.
const AGAIN: Duration = Duration::from_secs(10);

/// Looks until it is dropped.
#[derive(Debug)]
pub(crate) struct Upkeep {
    due: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Upkeep {
    /// Looks whether `log` is to be rotated and whether `record` is there.
    pub(crate) fn start(log: PathBuf, rotation: Rotation, record: PathBuf) -> Self {
        let due = Arc::<Notify>::default();
        let task = tokio::spawn(look(log, rotation, record, due.clone()));
        Self { due, task }
    }

    /// Notified when there is something to do.
    pub(crate) fn due(&self) -> Arc<Notify> {
        self.due.clone()
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(log: PathBuf, rotation: Rotation, record: PathBuf, due: Arc<Notify>) {
    let mut before = Seen::default();
    let (mut looked, mut pause, mut quiet_until) = (Instant::now(), LOOKS.1, Instant::now());
    loop {
        sleep(pause).await;
        let (path, kept) = (log.clone(), record.clone());
        let looks = tokio::task::spawn_blocking(move || {
            // What cannot be looked at is told by whoever tries to rotate it.
            let (size, is_due) = rotate::size(&path, rotation).unwrap_or((0, true));
            Seen { size, is_due, is_unrecorded: !kept.exists() }
        });
        let Ok(seen) = looks.await else { continue };
        pause = until_next(
            rotation.size.saturating_sub(seen.size),
            seen.size.saturating_sub(before.size),
            looked.elapsed(),
        );
        looked = Instant::now();
        if (seen.is_due || seen.is_unrecorded) && looked >= quiet_until {
            due.notify_one();
            if seen.is_as_undone_as(before) {
                quiet_until = looked + AGAIN;
            }
        }
        before = seen;
    }
}

/// What a look saw.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    size: u64,
    /// The log is to be rotated.
    is_due: bool,
    is_unrecorded: bool,
}

impl Seen {
    /// Whether what was to be done `before` is still to be done.
    fn is_as_undone_as(self, before: Self) -> bool {
        let is_same_log = self.is_due && before.is_due && self.size >= before.size;
        is_same_log || (self.is_unrecorded && before.is_unrecorded)
    }
}

/// When to look again at a log that has `room` bytes left and grew by `grown` within `within`: before it can be much larger than
/// it may be.
fn until_next(room: u64, grown: u64, within: Duration) -> Duration {
    if grown == 0 {
        return LOOKS.1;
    }
    // Half of the time that is left, for it may grow faster.
    let left = within.mul_f64((room as f64 / grown as f64 / 2.0).min(1e6));
    left.clamp(LOOKS.0, LOOKS.1)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::timeout;

    use super::*;

    #[test]
    fn a_log_that_grows_fast_is_looked_at_often() {
        const MIB: u64 = 1 << 20;
        let second = Duration::from_secs(1);
        assert_eq!(until_next(MIB, 0, second), LOOKS.1, "it stands still");
        assert_eq!(until_next(MIB, 1, second), LOOKS.1);
        assert_eq!(until_next(MIB, 2 * MIB, second), Duration::from_millis(250));
        assert_eq!(until_next(MIB, 1000 * MIB, second), LOOKS.0);
        assert_eq!(until_next(0, MIB, second), LOOKS.0);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_only_when_there_is_something_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, record) = (folder.path().join("m_0.log"), folder.path().join("m_0.json"));
        fs::write(&log, "small").expect("written");
        fs::write(&record, "{}").expect("written");
        let rotation = Rotation { size: 100, age: None, keep: 1 };
        let upkeep = Upkeep::start(log.clone(), rotation, record.clone());
        let due = upkeep.due();
        let patience = Duration::from_secs(30);
        assert!(timeout(LOOKS.1 * 3, due.notified()).await.is_err(), "nothing is to be done");
        fs::write(&log, "x".repeat(100)).expect("written");
        timeout(patience, due.notified()).await.expect("it is to be rotated");
        fs::write(&log, "small").expect("rotated");
        fs::remove_file(&record).expect("removed");
        timeout(patience, due.notified()).await.expect("it is to be written");
    }
}

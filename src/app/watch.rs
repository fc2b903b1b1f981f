//! Notices that the configuration file changed, however: written in place, replaced by an editor, or by a symlink that leads
//! elsewhere (a Kubernetes ConfigMap). The file is looked at from time to time, which works on every file system.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// How long a file must have been left alone: what writes it may write in pieces.
const SETTLED: Duration = Duration::from_millis(500);

/// What tells one content of a path from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The stamp of what `file` leads to now; `None`: nothing that can be read.
fn stamp(file: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(file).ok()?;
    Some(Stamp {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

/// When a file that changes has come to rest. Pure.
#[derive(Clone, Copy, Debug)]
struct Debounce {
    /// What was reported last.
    known: Option<Stamp>,
    /// What was seen last, and since when.
    seen: (Option<Stamp>, Instant),
}

impl Debounce {
    fn new(stamp: Option<Stamp>, now: Instant) -> Self {
        Self { known: stamp, seen: (stamp, now) }
    }

    /// Whether a changed file, seen with `stamp` now, is to be reloaded. One that is missing is about to come back.
    fn look(&mut self, stamp: Option<Stamp>, now: Instant) -> bool {
        if stamp != self.seen.0 {
            self.seen = (stamp, now);
        }
        let settled = now.duration_since(self.seen.1) >= SETTLED;
        let changed = stamp.is_some() && stamp != self.known && settled;
        if changed {
            self.known = stamp;
        }
        changed
    }
}

/// Calls `changed` each time `file` changed while `on` is true, and returns when nobody holds the other end of `on`.
pub(super) async fn watch_file(file: PathBuf, mut on: watch::Receiver<bool>, mut changed: impl AsyncFnMut()) {
    while on.wait_for(|on| *on).await.is_ok() {
        let mut debounce = Debounce::new(look(&file).await, Instant::now());
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while *on.borrow_and_update() {
            tokio::select! {
                _ = looks.tick() => if debounce.look(look(&file).await, Instant::now()) {
                    changed().await;
                },
                result = on.changed() => if result.is_err() {
                    return;
                },
            }
        }
    }
}

/// A file system may hang: it must not keep a worker.
async fn look(file: &Path) -> Option<Stamp> {
    let file = file.to_owned();
    tokio::task::spawn_blocking(move || stamp(&file)).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp_of(inode: u64) -> Option<Stamp> {
        Some(Stamp { device: 1, inode, size: 1, modified: (0, 0), changed: (0, 0) })
    }

    #[test]
    fn a_file_is_reloaded_once_when_it_was_left_alone_for_half_a_second() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut debounce = Debounce::new(stamp_of(1), start);
        assert!(!debounce.look(stamp_of(1), at(1000)), "nothing changed");
        assert!(!debounce.look(stamp_of(2), at(1100)), "it is being written");
        assert!(!debounce.look(stamp_of(3), at(1500)), "and again");
        assert!(!debounce.look(stamp_of(3), at(1900)));
        assert!(debounce.look(stamp_of(3), at(2000)));
        assert!(!debounce.look(stamp_of(3), at(3000)), "once is enough");
    }

    #[test]
    fn a_file_that_is_away_for_a_moment_is_waited_for() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut debounce = Debounce::new(stamp_of(1), start);
        assert!(!debounce.look(None, at(100)));
        assert!(!debounce.look(None, at(2000)), "a missing file is not a configuration");
        assert!(!debounce.look(stamp_of(2), at(2100)));
        assert!(debounce.look(stamp_of(2), at(2600)));
        // The same file as before is no change.
        let mut debounce = Debounce::new(stamp_of(1), start);
        assert!(!debounce.look(None, at(100)));
        assert!(!debounce.look(stamp_of(1), at(200)));
        assert!(!debounce.look(stamp_of(1), at(900)));
    }

    #[test]
    fn a_symlink_that_leads_elsewhere_is_another_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["one", "two"] {
            std::fs::create_dir(path(name)).expect("made");
            std::fs::write(path(name).join("c.yaml"), "same").expect("written");
        }
        std::os::unix::fs::symlink(path("one"), path("data")).expect("linked");
        std::os::unix::fs::symlink(path("data").join("c.yaml"), path("c.yaml")).expect("linked");
        let before = stamp(&path("c.yaml"));
        assert!(before.is_some() && before == stamp(&path("c.yaml")));
        std::os::unix::fs::symlink(path("two"), path("new")).expect("linked");
        std::fs::rename(path("new"), path("data")).expect("swapped");
        assert_ne!(before, stamp(&path("c.yaml")));
    }
}

//! Notices that a configuration file changed, however: written in place, replaced by an editor, or by a symlink that leads
//! elsewhere (a Kubernetes ConfigMap). The files are looked at from time to time, which works on every file system.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::source::Source;
use super::stamp::Stamp;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// How long a file must have been left alone: what writes it may write in pieces.
const SETTLED: Duration = Duration::from_millis(500);

/// One that is written again and again is read after so long all the same.
const AT_LAST: Duration = Duration::from_secs(5);

/// When files that change have come to rest. Pure.
#[derive(Clone, Debug)]
struct Debounce {
    /// What was seen last, and since when.
    seen: (Option<Vec<Stamp>>, Instant),
    /// Since when they are others than were read last.
    changed: Option<Instant>,
}

impl Debounce {
    fn new(now: Instant) -> Self {
        Self { seen: (None, now), changed: None }
    }

    /// Whether files, seen with these stamps now, are to be reloaded. `read`: their stamps when they were read last. One that
    /// is missing is about to come back.
    fn look(&mut self, stamps: Option<Vec<Stamp>>, read: Option<Vec<Stamp>>, now: Instant) -> bool {
        let is_as_read = stamps.is_none() || stamps == read;
        if stamps != self.seen.0 {
            self.seen = (stamps, now);
        }
        let settled = now.duration_since(self.seen.1) >= SETTLED;
        if is_as_read {
            self.changed = None;
            return false;
        }
        let waits = now.duration_since(*self.changed.get_or_insert(now));
        settled || waits >= AT_LAST
    }
}

/// Calls `changed`, which reads the files of `source`, each time that they are others than were read last, while `on` is
/// true. Returns when the other end of `on` is gone.
pub(super) async fn watch_file(source: &Source, mut on: watch::Receiver<bool>, mut changed: impl AsyncFnMut()) {
    while on.wait_for(|on| *on).await.is_ok() {
        let mut debounce = Debounce::new(Instant::now());
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while *on.borrow_and_update() {
            tokio::select! {
                _ = looks.tick() => if debounce.look(look(source).await, source.read_last(), Instant::now()) {
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
async fn look(source: &Source) -> Option<Vec<Stamp>> {
    let source = source.clone();
    tokio::task::spawn_blocking(move || source.look()).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp_of(inode: u64) -> Option<Vec<Stamp>> {
        Some(vec![Stamp::for_test(0), Stamp::for_test(inode)])
    }

    #[test]
    fn a_file_is_reloaded_when_it_was_left_alone_for_half_a_second() {
        let start = Instant::now();
        let mut debounce = Debounce::new(start);
        let mut look =
            |inode, read, millis| debounce.look(stamp_of(inode), stamp_of(read), start + Duration::from_millis(millis));
        assert!(!look(1, 1, 1000) && !look(1, 1, 2000), "nothing changed");
        assert!(!look(2, 1, 2100), "it is being written");
        assert!(!look(3, 1, 2500), "and again");
        assert!(!look(3, 1, 2900));
        assert!(look(3, 1, 3000));
        assert!(!look(3, 3, 4000), "it was read");
    }

    #[test]
    fn a_file_that_never_comes_to_rest_is_reloaded_in_the_end() {
        let start = Instant::now();
        let mut debounce = Debounce::new(start);
        let mut look = |at: u64| debounce.look(stamp_of(at), stamp_of(0), start + Duration::from_millis(at));
        assert!((1..25).all(|tick| !look(tick * 200)));
        assert!(look(5200));
    }

    #[test]
    fn a_file_that_changed_before_it_was_watched_is_reloaded_and_one_that_is_away_for_a_moment_is_waited_for() {
        let start = Instant::now();
        let mut debounce = Debounce::new(start);
        let mut look = |stamp, millis| debounce.look(stamp, stamp_of(1), start + Duration::from_millis(millis));
        assert!(!look(stamp_of(2), 0));
        assert!(look(stamp_of(2), 500), "it changed before the first look");
        assert!(!look(None, 600) && !look(None, 2000), "a missing file is not a configuration");
        assert!(!look(stamp_of(2), 2100) && look(stamp_of(2), 2600));
        // The same file as before is no change.
        assert!(!look(None, 2700) && !look(stamp_of(1), 2800) && !look(stamp_of(1), 3500));
    }
}

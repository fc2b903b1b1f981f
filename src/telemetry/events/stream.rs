//! A listener's place among the events.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::kept::{Kept, Numbered};
use super::pace::Pace;

/// A listener's place among the events. What is urgent is heard at once, anything else some times a second.
#[derive(Debug)]
pub struct EventStream {
    pub(super) kept: Arc<Mutex<Kept>>,
    pub(super) newest: watch::Receiver<u64>,
    pub(super) urgent: watch::Receiver<u64>,
    pub(super) after: u64,
    /// What is up to here has waited long enough.
    pub(super) due: u64,
    pub(super) pace: Pace,
}

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// These came, in their order; at least one.
    Events(Vec<Numbered>),
    /// What came after the listener's place is not known any more: it goes on from now, and must ask for the state of things.
    Lost,
}

/// What there is for a listener.
enum Found {
    Heard(Heard),
    /// Something that may wait.
    Waiting,
    Nothing,
    Over,
}

impl EventStream {
    /// Waits for what happens next; `None`: nothing more will.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            self.newest.mark_unchanged();
            self.urgent.mark_unchanged();
            match self.look() {
                Found::Heard(heard) => return Some(heard),
                Found::Over => return None,
                Found::Nothing => self.newest.changed().await.ok()?,
                Found::Waiting => {
                    tokio::select! {
                        () = sleep_until(self.pace.next(Instant::now())) => self.due = lock(&self.kept).last,
                        changed = self.urgent.changed() => changed.ok()?,
                    }
                }
            }
        }
    }

    fn look(&mut self) -> Found {
        let kept = lock(&self.kept);
        let Some(events) = kept.since(self.after) else {
            self.after = kept.last;
            return Found::Heard(Heard::Lost);
        };
        match events.last() {
            None if kept.is_closed => Found::Over,
            None => Found::Nothing,
            Some(last) if self.after < self.due.max(kept.urgent) => {
                self.after = last.number;
                Found::Heard(Heard::Events(events))
            }
            Some(_) => Found::Waiting,
        }
    }

    /// Goes on after the event of this number.
    pub fn go_on_after(&mut self, place: u64) {
        self.after = place;
    }

    /// The number of the last event that was heard, or could have been.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.after
    }
}

pub(super) fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

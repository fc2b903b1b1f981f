//! Where events are published. Publishing never waits: a listener that is too slow loses its place and is told so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::Instant;

use super::kept::Kept;
use super::message::Draft;
use super::pace::Pace;
use super::stream::{EventStream, lock};
use crate::api::Event;

/// Where events are published. All clones are one.
#[derive(Clone, Debug)]
pub struct EventBus {
    kept: Arc<Mutex<Kept>>,
    /// The number of the newest one. Listeners hear of its changes, and that it is gone.
    newest: Arc<watch::Sender<u64>>,
    /// The same of those that are urgent.
    urgent: Arc<watch::Sender<u64>>,
    /// How many ever listened, and since when they could.
    listeners: Arc<AtomicU64>,
    origin: Instant,
}

impl Default for EventBus {
    fn default() -> Self {
        // Numbers go on where those of an earlier process ended: it did not publish one in each microsecond.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::numbered_from(u64::try_from(now.as_micros()).unwrap_or_default())
    }
}

impl EventBus {
    pub(super) fn numbered_from(last: u64) -> Self {
        let sender = || Arc::new(watch::Sender::new(last));
        Self {
            kept: Arc::new(Mutex::new(Kept::after(last))),
            newest: sender(),
            urgent: sender(),
            listeners: Arc::default(),
            origin: Instant::now(),
        }
    }

    /// Tells all listeners: of what comes by itself again and again some times a second, of anything else at once.
    pub fn publish(&self, event: &Event) {
        // Before the lock is taken: many may publish at once.
        let draft = Draft::of(event);
        let mut kept = lock(&self.kept);
        kept.push(event.kind(), draft);
        // While the lock is held: numbers must come in their order.
        self.newest.send_replace(kept.last);
        if kept.urgent == kept.last {
            self.urgent.send_replace(kept.urgent);
        }
    }

    /// Whether somebody listens now.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.newest.receiver_count() > 0
    }

    /// Listens to what comes after the event of this number; `None`: to what comes from now on.
    #[must_use]
    pub fn listen(&self, after: Option<u64>) -> EventStream {
        let (newest, urgent) = (self.newest.subscribe(), self.urgent.subscribe());
        let due = *newest.borrow();
        let pace = Pace::of(self.listeners.fetch_add(1, Ordering::Relaxed), self.origin);
        EventStream { kept: self.kept.clone(), newest, urgent, after: after.unwrap_or(due), due, pace }
    }

    /// The number of the last event.
    #[must_use]
    pub fn newest(&self) -> u64 {
        lock(&self.kept).last
    }

    /// Whether what was true after the event `place` still is, but for what listeners hear when they go on from there: all
    /// events since are kept, and none of them changes how things are.
    #[must_use]
    pub fn is_unchanged_since(&self, place: u64) -> bool {
        lock(&self.kept).is_unchanged_since(place)
    }

    /// Ends all listeners: nothing more will happen.
    pub fn close(&self) {
        let mut kept = lock(&self.kept);
        kept.is_closed = true;
        kept.hurry();
        drop(kept);
        self.newest.send_modify(|_| {});
        self.urgent.send_modify(|_| {});
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        lock(&self.kept).is_closed
    }

    /// How many events are kept.
    #[cfg(test)]
    pub(super) fn kept_events(&self) -> usize {
        lock(&self.kept).events.len()
    }
}

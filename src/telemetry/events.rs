//! Events of this process. The newest are kept, each with a number, so that a listener that was away goes on where it stopped.
//! Publishing never waits: a listener that is too slow loses its place and is told so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::api::{Event, EventKind};

/// Events that are kept: minutes of a gateway with little to do, seconds of one with thousands of requests a second.
const MOST: usize = 8192;

/// Bytes of events that are kept.
const MOST_BYTES: usize = 4 << 20;

/// Events that a listener takes at once, so that a long list of them keeps nobody else waiting.
const BATCH: usize = 256;

/// Bytes of events after which it takes no more of them: what a listener has taken and its client does not read is kept for it
/// alone.
const BATCH_BYTES: usize = 64 << 10;

/// Where events are published. All clones are one.
#[derive(Clone, Debug)]
pub struct EventBus {
    kept: Arc<Mutex<Kept>>,
    /// The number of the newest one. Listeners hear of its changes, and that it is gone.
    newest: Arc<watch::Sender<u64>>,
}

/// An event that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Larger than those of all events before it, also of earlier processes, unless the clock was set back.
    pub number: u64,
    /// Which kind it is.
    pub kind: EventKind,
    /// The event as JSON, written once for all listeners.
    pub json: Arc<str>,
}

/// The newest events.
#[derive(Debug)]
struct Kept {
    events: VecDeque<Numbered>,
    /// The number of the last one, kept or not.
    last: u64,
    bytes: usize,
    is_closed: bool,
}

impl Default for EventBus {
    fn default() -> Self {
        // Numbers go on where those of an earlier process ended: it did not publish one in each microsecond.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::numbered_from(u64::try_from(now.as_micros()).unwrap_or_default())
    }
}

impl EventBus {
    fn numbered_from(last: u64) -> Self {
        let kept = Kept { events: VecDeque::new(), last, bytes: 0, is_closed: false };
        Self { kept: Arc::new(Mutex::new(kept)), newest: Arc::new(watch::Sender::new(last)) }
    }

    /// Tells all listeners.
    pub fn publish(&self, event: &Event) {
        // Events hold nothing that JSON cannot.
        let json: Arc<str> = serde_json::to_string(event).unwrap_or_default().into();
        let mut kept = self.lock();
        kept.push(event.kind(), json);
        // While the lock is held: numbers must come in their order.
        self.newest.send_replace(kept.last);
    }

    /// Whether somebody listens now.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.newest.receiver_count() > 0
    }

    /// Listens to what comes after the event of this number; `None`: to what comes from now on.
    #[must_use]
    pub fn listen(&self, after: Option<u64>) -> EventStream {
        let newest = self.newest.subscribe();
        let after = after.unwrap_or_else(|| *newest.borrow());
        EventStream { kept: self.kept.clone(), newest, after }
    }

    /// Ends all listeners: nothing more will happen.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.newest.send_modify(|_| {});
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn push(&mut self, kind: EventKind, json: Arc<str>) {
        self.last += 1;
        self.bytes += json.len();
        self.events.push_back(Numbered { number: self.last, kind, json });
        while self.events.len() > MOST || self.bytes > MOST_BYTES {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.json.len();
        }
    }

    /// What comes after the event `after`; `None`: not all of it is kept, or it is no event of ours.
    fn since(&self, after: u64) -> Option<Vec<Numbered>> {
        let behind = usize::try_from(self.last.checked_sub(after)?).ok()?;
        let first = self.events.len().checked_sub(behind)?;
        let mut bytes = 0;
        let fits = |event: &&Numbered| (bytes < BATCH_BYTES).then(|| bytes += event.json.len()).is_some();
        Some(self.events.iter().skip(first).take(BATCH).take_while(fits).cloned().collect())
    }
}

/// A listener's place among the events.
#[derive(Debug)]
pub struct EventStream {
    kept: Arc<Mutex<Kept>>,
    newest: watch::Receiver<u64>,
    after: u64,
}

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// These came, in their order; at least one.
    Events(Vec<Numbered>),
    /// What came after the listener's place is not known any more: it goes on from now, and must ask for the state of things.
    Lost,
}

impl EventStream {
    /// Waits for what happens next; `None`: nothing more will.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            self.newest.mark_unchanged();
            {
                let kept = lock(&self.kept);
                match kept.since(self.after) {
                    None => {
                        self.after = kept.last;
                        return Some(Heard::Lost);
                    }
                    Some(events) => {
                        if let Some(last) = events.last() {
                            self.after = last.number;
                            return Some(Heard::Events(events));
                        }
                    }
                }
                if kept.is_closed {
                    return None;
                }
            }
            self.newest.changed().await.ok()?;
        }
    }

    /// The number of the last event that was heard, or could have been.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.after
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EngineState;

    fn event(engine: u64) -> Event {
        Event::Engine { engine: engine.to_string(), model: "m".into(), state: EngineState::Ready }
    }

    fn numbers(heard: Option<Heard>) -> Vec<u64> {
        match heard {
            Some(Heard::Events(events)) => events.iter().map(|event| event.number).collect(),
            other => unreachable!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_listener_hears_each_event_once_and_goes_on_where_it_was() {
        let bus = EventBus::numbered_from(100);
        bus.publish(&event(1));
        let mut stream = bus.listen(None);
        assert!(bus.is_heard());
        bus.publish(&event(2));
        bus.publish(&event(3));
        let Some(Heard::Events(events)) = stream.next().await else { unreachable!("there are events") };
        assert_eq!(events.iter().map(|event| event.number).collect::<Vec<_>>(), [102, 103]);
        assert_eq!(
            (events[0].kind, &*events[0].json),
            (EventKind::Engine, &*serde_json::to_string(&event(2)).expect("JSON"))
        );
        let place = stream.place();
        drop(stream);
        assert!(!bus.is_heard());
        bus.publish(&event(4));
        assert_eq!(numbers(bus.listen(Some(place)).next().await), [104]);
        assert_eq!(numbers(bus.listen(Some(100)).next().await), [101, 102, 103, 104]);
        bus.close();
        assert_eq!(bus.listen(None).next().await, None);
    }

    #[tokio::test]
    async fn a_listener_that_is_too_slow_loses_its_place_and_is_told_and_nobody_waits_for_it() {
        let bus = EventBus::numbered_from(0);
        let mut slow = bus.listen(None);
        let most = u64::try_from(MOST).expect("fits");
        (0..=most).for_each(|number| bus.publish(&event(number)));
        assert_eq!(slow.next().await, Some(Heard::Lost));
        bus.publish(&event(0));
        assert_eq!(numbers(slow.next().await), [most + 2], "it goes on from then");
        for unknown in [0, most + 3, u64::MAX] {
            assert_eq!(bus.listen(Some(unknown)).next().await, Some(Heard::Lost), "{unknown}");
        }
    }

    #[tokio::test]
    async fn many_events_are_taken_in_pieces_and_large_ones_are_kept_in_small_number() {
        let bus = EventBus::numbered_from(0);
        (0..1000).for_each(|number| bus.publish(&event(number)));
        let mut stream = bus.listen(Some(500));
        assert_eq!(numbers(stream.next().await).len(), BATCH);
        assert_eq!(numbers(stream.next().await).len(), 500 - BATCH);
        let large = Event::Engine { engine: "x".repeat(1 << 20), model: "m".into(), state: EngineState::Ready };
        (0..9).for_each(|_| bus.publish(&large));
        assert_eq!(lock(&bus.kept).events.len(), 3);
        assert_eq!(stream.next().await, Some(Heard::Lost));
        (0..2).for_each(|_| bus.publish(&large));
        assert_eq!(numbers(stream.next().await), [1010], "one that is too large comes alone");
        assert_eq!(numbers(stream.next().await), [1011]);
    }

    #[tokio::test]
    async fn the_end_of_the_bus_is_heard_by_who_waits() {
        let bus = EventBus::default();
        let mut stream = bus.listen(None);
        let waiting = tokio::spawn(async move { stream.next().await });
        tokio::task::yield_now().await;
        bus.close();
        assert_eq!(waiting.await.expect("heard"), None);
    }
}

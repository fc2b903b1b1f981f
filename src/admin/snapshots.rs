//! How everything is, written once for all listeners that come at about the same time: fifty dashboards come back at once when
//! a gateway was started again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::api::Event;
use crate::telemetry::{self, EventBus};

/// For how long a snapshot is given to others.
const SHARED: Duration = Duration::from_secs(1);

/// The last snapshot. All clones are one.
#[derive(Clone, Debug, Default)]
pub struct Snapshots(Arc<Mutex<Option<Snapshot>>>);

/// How everything was.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// The last event before: whoever goes on from there misses nothing.
    pub(super) place: u64,
    /// For listeners.
    pub(super) message: Bytes,
    taken: Instant,
}

impl Snapshots {
    /// One that is still true but for what comes after its place; `take` makes a new one if there is none.
    pub(super) fn get(&self, events: &EventBus, take: impl FnOnce() -> Event) -> Snapshot {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = &*last
            && snapshot.taken.elapsed() < SHARED
            && events.is_unchanged_since(snapshot.place)
        {
            return snapshot.clone();
        }
        // The place first: what happens meanwhile comes once more. It is told as it is, not as it differs.
        let (place, taken) = (events.newest(), Instant::now());
        let message = telemetry::message(&take(), place);
        last.insert(Snapshot { place, message, taken }).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EngineState;

    #[test]
    fn all_who_come_at_once_get_one_snapshot_and_nobody_gets_one_from_before_a_change() {
        let (snapshots, events) = (Snapshots::default(), EventBus::default());
        let mut taken = 0;
        let mut get = || {
            let snapshot = snapshots.get(&events, || {
                taken += 1;
                Event::Resync
            });
            (snapshot.place, taken)
        };
        let first = events.newest();
        assert_eq!([get(), get()], [(first, 1), (first, 1)]);
        events.publish(&Event::Log { lines: Vec::new() });
        assert_eq!(get(), (first, 1), "who goes on from there hears of the lines");
        events.publish(&Event::Engine { engine: "m/0".into(), model: "m".into(), state: EngineState::Ready });
        assert_eq!([get(), get()], [(first + 2, 2), (first + 2, 2)]);
        let last = snapshots.0.lock().expect("ours").as_mut().map(|last| last.taken -= SHARED);
        assert!(last.is_some());
        assert_eq!(get(), (first + 2, 3), "it is too old");
    }
}

//! Events of this process, sent to all listeners. Publishing never waits: a listener that is too slow misses events and gets
//! a notice of it.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::api::Event;

/// Events that a listener may be behind before it misses some.
const MOST_BEHIND: usize = 1024;

/// Where events are published.
#[derive(Clone, Debug)]
pub struct EventBus(broadcast::Sender<Arc<Event>>);

impl Default for EventBus {
    fn default() -> Self {
        Self(broadcast::channel(MOST_BEHIND).0)
    }
}

/// Hears events from the moment on at which it was made.
#[derive(Debug)]
pub struct EventStream(broadcast::Receiver<Arc<Event>>);

impl EventBus {
    /// Sends an event to all listeners; without a listener the event is not even built.
    pub fn publish(&self, event: impl FnOnce() -> Event) {
        if self.0.receiver_count() > 0 {
            // The last listener may just have left.
            let _ = self.0.send(Arc::new(event()));
        }
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> EventStream {
        EventStream(self.0.subscribe())
    }
}

impl EventStream {
    /// What happens next, [`Event::Missed`] for a listener that was too slow; `None`: nothing more will.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(count)) => Some(Arc::new(Event::Missed { count })),
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EngineState;

    fn event(engine: usize) -> Event {
        Event::Engine { engine: engine.to_string(), model: "m".into(), state: EngineState::Ready }
    }

    #[tokio::test]
    async fn a_slow_listener_misses_events_and_is_told_and_nobody_waits_for_it() {
        let bus = EventBus::default();
        bus.publish(|| unreachable!("nobody listens"));
        let mut slow = bus.listen();
        for number in 0..MOST_BEHIND + 5 {
            bus.publish(|| event(number));
        }
        assert!(matches!(slow.next().await, Some(event) if *event == Event::Missed { count: 5 }));
        let first = slow.next().await;
        assert!(matches!(first, Some(first) if *first == event(5)));
        drop(bus);
        let mut rest = 0;
        while slow.next().await.is_some() {
            rest += 1;
        }
        assert_eq!(rest, MOST_BEHIND - 1);
    }
}

//! Watches one external engine.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::api::{Event, StopReason};
use crate::engines::health::{Prober, Thresholds, Vitals};
use crate::engines::{Engine, EngineState};
use crate::ids::Name;
use crate::telemetry::EventBus;

/// How an engine is given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    /// What for.
    pub(super) reason: StopReason,
    /// How long attempts under way are waited for; `None`: as long as they take.
    pub(super) until: Option<Instant>,
}

/// What a watcher works with.
pub(super) struct Watcher {
    pub(super) model: Name,
    pub(super) engine: Arc<Engine>,
    pub(super) prober: Prober,
    pub(super) thresholds: Thresholds,
    pub(super) events: EventBus,
}

impl Watcher {
    /// Looks at the engine until it is given up, and then waits for the attempts under way: true. When nobody can give it up
    /// any more, another watcher goes on with the same engine: false.
    pub(super) async fn run(mut self, mut end: oneshot::Receiver<Ending>) -> bool {
        let mut vitals = if self.engine.is_ready() { Vitals::Up { failures: 0 } } else { Vitals::NEW };
        let ending = loop {
            let eager = matches!(vitals, Vitals::Unknown { .. });
            let probe = tokio::select! {
                biased;
                ending = &mut end => break ending,
                probe = self.prober.next(eager) => probe,
            };
            let (next, said) = vitals.observe(probe, self.thresholds);
            vitals = next;
            if let Some(state) = said {
                if state == EngineState::Ready {
                    self.prober.teach_name();
                }
                publish(&self.events, &self.model, &self.engine, state);
            }
        };
        let Ok(Ending { reason, until }) = ending else { return false };
        publish(&self.events, &self.model, &self.engine, EngineState::Stopping { reason });
        let late = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.engine.drained() => {}
            () = late => {}
        }
        true
    }
}

/// Says what an engine does, and tells everybody where that is news.
pub(super) fn publish(events: &EventBus, model: &Name, engine: &Engine, state: EngineState) {
    if engine.publish(state) {
        events.publish(&Event::Engine {
            engine: engine.id.to_string(),
            model: model.to_string(),
            state: EngineState::clone(&engine.state()),
        });
    }
}

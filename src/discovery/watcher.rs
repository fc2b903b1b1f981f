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
    /// Looks at the engine until it is given up, and then waits for the attempts under way. When nobody can give it up any
    /// more, another watcher goes on with the same engine.
    pub(super) async fn run(mut self, mut end: oneshot::Receiver<Ending>) {
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
                self.publish(state);
            }
        };
        let Ok(Ending { reason, until }) = ending else { return };
        self.publish(EngineState::Stopping { reason });
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
        self.publish(EngineState::Stopped);
    }

    fn publish(&self, state: EngineState) {
        if self.engine.publish(state) {
            self.events.publish(|| Event::Engine {
                engine: self.engine.id.to_string(),
                model: self.model.to_string(),
                state: EngineState::clone(&self.engine.state()),
            });
        }
    }
}

//! Watches one engine that somebody else runs.

use std::sync::Arc;

use tokio::time::Instant;

use super::shutdown_signal::ShutdownSignal;
use crate::api::StopReason;
use crate::engines::health::{Prober, Thresholds, Vitals};
use crate::engines::{Engine, EngineState};

/// Looks at `engine` until asked to stop, and then waits for the attempts under way.
pub(crate) async fn watch(engine: Arc<Engine>, mut prober: Prober, needed: Thresholds, mut stopping: ShutdownSignal) {
    let mut vitals = Vitals::NEW;
    loop {
        let eager = matches!(vitals, Vitals::Unknown { .. });
        let probe = tokio::select! {
            biased;
            _ = stopping.asked() => break,
            probe = prober.next(eager) => probe,
        };
        let (next, said) = vitals.observe(probe, needed);
        vitals = next;
        if let Some(state) = said {
            engine.publish(state);
        }
    }
    engine.publish(EngineState::Stopping { reason: StopReason::GatewayExit });
    tokio::select! {
        () = engine.drained() => {}
        () = tokio::time::sleep_until(stopping.drain_until().unwrap_or_else(Instant::now)) => {}
    }
    engine.publish(EngineState::Stopped);
}

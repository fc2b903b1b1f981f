//! Engines and models as operators see them.

use super::Admin;
use crate::api::{AdapterView, EngineHistory, EngineState, EngineView, ModelView, OnDemandView, Origin};
use crate::config::Config;
use crate::engines::{Engine, History, Pool};
use crate::ids::EntryKind;
use crate::supervisor::Control;
use crate::telemetry::RequestHistory;

/// The engines of a model.
pub(super) fn engines(pool: &Pool, requests: &RequestHistory) -> Vec<EngineView> {
    pool.engines().iter().map(|one| engine(&pool.model, one, Some(requests))).collect()
}

/// One engine; without its rates where no `requests` are given.
pub(super) fn engine(model: &str, engine: &Engine, requests: Option<&RequestHistory>) -> EngineView {
    let state = engine.state();
    let (id, process) = (engine.id.as_str(), &engine.process);
    EngineView {
        engine: id.to_owned(),
        model: model.to_owned(),
        replica: id.rsplit_once('/').and_then(|(_, replica)| replica.parse().ok()),
        ours: process.local().is_some(),
        url: engine.address.url.to_string(),
        port: engine.address.url.port,
        gpus: process.gpus().map(|gpus| gpus.to_vec()),
        pid: process.pid(),
        detail: state.detail(),
        state: EngineState::clone(&state),
        log_file: process.local().map(|local| local.log.display().to_string()),
        restarts: engine.history.restarts(),
        stalls: engine.history.stalls(),
        start_seconds: process.start_took().map(|took| took.as_secs_f64()),
        ejected: engine.is_ejected(),
        drained: engine.is_withheld(),
        in_flight: engine.in_flight(),
        state_seconds: engine.times().in_state.as_secs_f64(),
        report: engine.report().map(|report| report.view),
        history: history(&engine.history),
        rates: requests.and_then(|requests| requests.engine_rates(id)),
        serves: engine.cards().iter().filter_map(|card| Some(card.get("id")?.as_str()?.to_owned())).collect(),
    }
}

fn history(history: &History) -> EngineHistory {
    let ((sleeps, sleep), (wakes, wake)) = (history.sleeps(), history.wakes());
    let counts = |(word, count): (&str, u64)| (count > 0).then(|| (word.to_owned(), count));
    EngineHistory {
        restarts: history.restarts_by_cause().filter_map(counts).collect(),
        failures: history.failures_by_cause().filter_map(counts).collect(),
        ejections: history.ejections(),
        sleeps,
        sleep_seconds: sleep.map(|took| took.as_secs_f64()),
        wakes,
        wake_seconds: wake.map(|took| took.as_secs_f64()),
    }
}

/// Where a model, an alias or a caller is configured.
pub(super) fn origin(config: &Config, kind: EntryKind, name: &str) -> Origin {
    if config.source_map.is_of_overlay(kind, name) { Origin::Overlay } else { Origin::File }
}

/// One model.
pub(super) fn model(pool: &Pool, admin: &Admin) -> ModelView {
    let (engines, control) = (pool.engines(), &admin.control);
    let status = control.status(&pool.model);
    ModelView {
        origin: origin(&admin.configuration.current(), EntryKind::Model, &pool.model),
        model: pool.model.to_string(),
        ours: status.is_some(),
        ready: pool.is_ready(),
        replicas: engines.len(),
        wanted_replicas: status.as_ref().map(|status| status.wanted_replicas),
        ready_replicas: engines.iter().filter(|engine| engine.is_ready()).count(),
        in_flight: engines.iter().map(|engine| engine.in_flight()).sum(),
        waiting: pool.waiting(),
        unserved: pool.unserved(),
        last_unserved_seconds: status.as_ref().and_then(|status| Some(status.last_demand?.elapsed().as_secs_f64())),
        on_demand: status.as_ref().and_then(|status| status.turn).map(|turn| OnDemandView {
            turn,
            loads: status.as_ref().map_or(0, |status| status.loads),
            obstacle: pool.obstacle().map(|why| why.to_string()),
        }),
        roll: status.and_then(|status| status.roll),
        engines: engines.iter().map(|engine| engine.id.to_string()).collect(),
        adapters: adapters(pool, control),
    }
}

/// The adapters of a model.
pub(super) fn adapters(pool: &Pool, control: &Control) -> Vec<AdapterView> {
    let known = control.adapters(&pool.model).unwrap_or_default();
    known.iter().map(|(name, path)| AdapterView { name: name.to_string(), path: path.clone() }).collect()
}

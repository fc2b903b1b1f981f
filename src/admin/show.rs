//! Engines and models as operators see them.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::engines::{Engine, House, Pool, State};
use crate::supervisor::Control;
use crate::telemetry::EngineSample;

/// All engines, with their models.
pub(super) fn all(house: &House) -> Vec<(Arc<Pool>, Arc<Engine>)> {
    let of = |pool: &Arc<Pool>| pool.engines().iter().map(|engine| (pool.clone(), engine.clone())).collect::<Vec<_>>();
    house.pools().iter().flat_map(of).collect()
}

/// The engine called `id`, and its model.
pub(super) fn find(house: &House, id: &str) -> Option<(Arc<Pool>, Arc<Engine>)> {
    all(house).into_iter().find(|(_, engine)| engine.id.as_str() == id)
}

/// The engines of a model.
pub(super) fn engines(pool: &Pool) -> Vec<Value> {
    pool.engines().iter().map(|one| engine(&pool.model, one)).collect()
}

/// One engine.
pub(super) fn engine(model: &str, engine: &Engine) -> Value {
    let state = engine.state();
    let (log, next) = match &*state {
        State::Failed(failure) => (failure.log.as_slice(), Some(failure.next.as_str()).filter(|next| !next.is_empty())),
        _ => (&[][..], None),
    };
    let asleep = match &*state {
        State::Asleep(nap) => json!({
            "level": nap.level,
            "took_seconds": nap.took.map(|took| took.as_secs_f64()),
            "freed_bytes": nap.freed,
            "in_use_bytes": nap.in_use,
        }),
        _ => Value::Null,
    };
    let id = engine.id.as_str();
    json!({
        "engine": id,
        "model": model,
        "replica": id.rsplit_once('/').and_then(|(_, replica)| replica.parse::<usize>().ok()),
        "ours": engine.local().is_some(),
        "url": engine.address.url.to_string(),
        "port": engine.address.url.port,
        "gpus": engine.gpus().as_deref(),
        "pid": engine.pid(),
        "state": state.word(),
        "detail": state.detail(),
        "next": next,
        "log": log,
        "log_file": engine.local().map(|local| local.log.display().to_string()),
        "asleep": asleep,
        "restarts": engine.restarts(),
        "hangs": engine.hangs(),
        "start_seconds": engine.start_took().map(|took| took.as_secs_f64()),
        "ejected": engine.is_ejected(),
        "in_flight": engine.in_flight(),
        "serves": engine.cards().iter().filter_map(|card| card.get("id").cloned()).collect::<Vec<_>>(),
    })
}

/// One model.
pub(super) fn model(pool: &Pool, control: Option<&Control>) -> Value {
    let engines = pool.engines();
    json!({
        "model": &*pool.model,
        "ours": control.is_some_and(|control| control.adapters(&pool.model).is_some()),
        "ready": pool.is_ready(),
        "replicas": engines.len(),
        "ready_replicas": engines.iter().filter(|engine| engine.is_ready()).count(),
        "in_flight": engines.iter().map(|engine| engine.in_flight()).sum::<usize>(),
        "engines": engines.iter().map(|engine| engine.id.as_str()).collect::<Vec<_>>(),
        "adapters": adapters(pool, control),
    })
}

/// The adapters of a model.
pub(super) fn adapters(pool: &Pool, control: Option<&Control>) -> Vec<Value> {
    let known = control.and_then(|control| control.adapters(&pool.model)).unwrap_or_default();
    known.iter().map(|(name, path)| json!({ "name": &**name, "path": path })).collect()
}

/// `value` under `key`.
pub(super) fn under(key: &str, value: impl Into<Value>) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), value.into())]))
}

/// One engine, for metrics.
pub(super) fn sample(model: &str, engine: &Engine) -> EngineSample {
    let state = engine.state();
    let word = state.word();
    EngineSample {
        model: model.to_owned(),
        engine: engine.id.to_string(),
        up: engine.is_ready(),
        in_flight: engine.in_flight(),
        states: State::WORDS.iter().map(|each| (*each, *each == word)).collect(),
        sleep_level: match &*state {
            State::Asleep(nap) => nap.level,
            _ => 0,
        },
        restarts: engine.restarts(),
        hangs: engine.hangs(),
        start_took: engine.start_took(),
    }
}

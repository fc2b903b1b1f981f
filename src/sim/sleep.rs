//! `/sleep`, `/wake_up`, `/is_sleeping`, and `/pause`, `/resume`, `/is_paused`.

use std::sync::{Mutex, PoisonError};

use axum::response::Response;
use serde_json::json;

use super::engine::Engine;
use super::errors::Fail;
use super::reply;

/// What sleeps, and how deep.
#[derive(Default)]
pub(super) struct Sleep(Mutex<State>);

#[derive(Clone, Copy, Default)]
struct State {
    level: u8,
    weights: bool,
    kv_cache: bool,
    paused: bool,
}

impl Sleep {
    fn state(&self) -> State {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> State {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        *state
    }

    /// 0: awake.
    pub(super) fn level(&self) -> u8 {
        self.state().level
    }

    /// `GET /is_sleeping`
    pub(super) fn is_sleeping(&self) -> Response {
        reply::ok(&json!({ "is_sleeping": self.level() > 0 }))
    }

    /// `GET /is_paused`
    pub(super) fn is_paused(&self) -> Response {
        let state = self.state();
        reply::ok(&json!({ "is_paused": state.paused || state.level > 0 }))
    }
}

/// `POST /sleep?level=0..2&mode=abort|wait|keep`
pub(super) async fn sleep(engine: &Engine, query: &str) -> Result<Response, Fail> {
    let text = parameter(query, "level").unwrap_or("1");
    let level = match text.parse::<i64>() {
        Ok(level @ 0..=2) => u8::try_from(level).unwrap_or(1),
        Ok(level) => {
            let (kind, msg, bound) = if level > 2 {
                ("less_than_equal", "less than or equal to 2", "'le': 2")
            } else {
                ("greater_than_equal", "greater than or equal to 0", "'ge': 0")
            };
            return Err(wrong_query(
                "level",
                kind,
                &format!("Input should be {msg}"),
                text,
                &format!(", 'ctx': {{{bound}}}"),
            ));
        }
        Err(_) => {
            let msg = "Input should be a valid integer, unable to parse string as an integer";
            return Err(wrong_query("level", "int_parsing", msg, text, ""));
        }
    };
    stop(engine, parameter(query, "mode").unwrap_or("abort")).await?;
    engine.sleep.change(|state| {
        // Level 0 only stops the scheduler; for an observer it sleeps nonetheless.
        (state.level, state.weights, state.kv_cache) = (level.max(1), true, true);
    });
    Ok(reply::ok(&json!({ "status": "sleeping", "level": level })))
}

/// `POST /wake_up?tags=weights&tags=kv_cache`
pub(super) fn wake_up(engine: &Engine, query: &str) -> Response {
    let tags: Vec<&str> = parameters(query, "tags").collect();
    let wakes = |tag: &str| tags.is_empty() || tags.contains(&tag);
    let state = engine.sleep.change(|state| {
        state.weights &= !wakes("weights");
        state.kv_cache &= !wakes("kv_cache");
        if !state.weights && !state.kv_cache {
            state.level = 0;
        }
    });
    if state.level == 0 && !state.paused {
        engine.scheduler.set(true, true);
    }
    let status = if state.level == 0 { "awake" } else { "sleeping" };
    reply::ok(&json!({ "status": status, "tags": (!tags.is_empty()).then_some(tags) }))
}

/// `POST /pause?mode=abort|wait|keep`
pub(super) async fn pause(engine: &Engine, query: &str) -> Result<Response, Fail> {
    stop(engine, parameter(query, "mode").unwrap_or("abort")).await?;
    engine.sleep.change(|state| state.paused = true);
    Ok(reply::ok(&json!({ "status": "paused" })))
}

/// `POST /resume`
pub(super) fn resume(engine: &Engine) -> Response {
    let state = engine.sleep.change(|state| state.paused = false);
    if state.level == 0 {
        engine.scheduler.set(true, true);
    }
    reply::ok(&json!({ "status": "resumed" }))
}

async fn stop(engine: &Engine, mode: &str) -> Result<(), Fail> {
    match mode {
        "abort" => {
            engine.scheduler.set(false, true);
            engine.scheduler.abort_all();
            engine.scheduler.idle().await;
        }
        "wait" => {
            engine.scheduler.set(false, true);
            engine.scheduler.idle().await;
        }
        "keep" => {}
        other => {
            let msg = "Input should be 'abort', 'wait' or 'keep'";
            return Err(wrong_query(
                "mode",
                "literal_error",
                msg,
                other,
                ", 'ctx': {'expected': \"'abort', 'wait' or 'keep'\"}",
            ));
        }
    }
    engine.scheduler.set(false, false);
    Ok(())
}

fn wrong_query(name: &str, kind: &str, msg: &str, input: &str, context: &str) -> Fail {
    let fault = format!("{{'type': '{kind}', 'loc': 'query.{name}', 'msg': '{msg}', 'input': '{input}'{context}}}");
    Fail::validation(&[fault], Some(&format!("query.{name}")))
}

/// The values of `name` in a query string. (None of ours needs percent-decoding.)
pub(super) fn parameters<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    query
        .split('&')
        .filter_map(move |pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

/// The first of them.
pub(super) fn parameter<'a>(query: &'a str, name: &'a str) -> Option<&'a str> {
    parameters(query, name).next()
}

//! What the gateway itself answers: models, health, and what NeMo Gym asks a model server that it has started.

use std::sync::Arc;

use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::ProxyState;
use super::context::RequestContext;
use crate::dialects::gym;
use crate::dispatch;
use crate::engines::Pool;
use crate::openai::{self, ApiError, Code};
use crate::routing::{Snapshot, Target};

const MODELS: &str = "/v1/models";

/// An answer of ours, with status 200.
pub(super) struct Answer {
    /// JSON, or nothing.
    pub(super) body: String,
    /// It belongs to a session of a Gym alias: a cookie goes with it.
    pub(super) gym: bool,
}

/// Answers a path that is no inference route; `query`: what follows its `?`.
pub(super) fn answer(
    state: &ProxyState,
    ctx: &RequestContext,
    method: &Method,
    (path, query): (&str, Option<&str>),
) -> Result<Answer, ApiError> {
    let own = ctx.own_target()?;
    if let Some(rules) = own.and_then(|target| target.route.gym.as_ref()) {
        match path {
            "/" | "/openapi.json" if is_read(method) => {
                let body = if path == "/" { gym::ALIVE } else { gym::OPENAPI };
                return Ok(Answer { body: body.to_owned(), gym: true });
            }
            _ if rules.strict => return Err(ApiError::new(Code::NotFound, format!("Gym has no {path} here."))),
            _ => {}
        }
    }
    let snapshot = &ctx.snapshot;
    let body = match (path, path.strip_prefix(MODELS).and_then(|rest| rest.strip_prefix('/'))) {
        (MODELS | "/health" | "/livez" | "/readyz", _) | (_, Some(_)) if !is_read(method) => {
            let message = format!("{path} takes GET, not {method}.");
            return Err(ApiError::new(Code::MethodNotAllowed, message).allow("GET, HEAD"));
        }
        (MODELS, _) => list(snapshot, own),
        (_, Some(id)) if !id.is_empty() => one(snapshot, id, own)?,
        ("/livez", _) => String::new(),
        ("/health", _) => health(state, own)?,
        ("/readyz", _) => ready(state, snapshot, own, query)?,
        _ => {
            let shown: String = path.chars().take(128).collect();
            return Err(ApiError::new(Code::NotFound, format!("There is no {shown} here.")));
        }
    };
    Ok(Answer { body, gym: false })
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// The card of a target: its engine's, under the target's name.
fn card(target: &Target) -> Value {
    let served = target.served_name();
    let engines = target.pool.engines();
    let known = engines.iter().find_map(|engine| {
        engine.cards().iter().find(|card| card.get("id").and_then(Value::as_str) == Some(&*served)).cloned()
    });
    openai::models::card(&target.route.name, known.as_ref())
}

/// All that is not hidden; at an alias's own address that alias alone.
fn list(snapshot: &Snapshot, own: Option<&Target>) -> String {
    match own {
        Some(target) => openai::models::list([card(target)].into_iter()),
        None => openai::models::list(snapshot.named().iter().filter(|target| !target.route.hidden).map(card)),
    }
}

fn one(snapshot: &Snapshot, id: &str, own: Option<&Target>) -> Result<String, ApiError> {
    let name = percent_decode_str(id).decode_utf8_lossy();
    let target = match own {
        Some(own) if *own.route.name == *name => own,
        Some(own) => {
            let message = format!("This address serves only `{}`.", own.route.name);
            return Err(ApiError::new(Code::ModelNotFound, message));
        }
        None => {
            let at = snapshot.find(&name)?;
            let gone = || ApiError::new(Code::Internal, "The model is gone.");
            snapshot.target(at).ok_or_else(gone)?
        }
    };
    Ok(card(target).to_string())
}

/// The models that an address is about.
fn pools(state: &ProxyState, own: Option<&Target>) -> Vec<Arc<Pool>> {
    own.map_or_else(|| state.registry.pools().to_vec(), |target| vec![target.pool.clone()])
}

/// As vLLM's: 200 without a body when a request could be served.
fn health(state: &ProxyState, own: Option<&Target>) -> Result<String, ApiError> {
    if pools(state, own).iter().any(|pool| pool.is_ready()) {
        return Ok(String::new());
    }
    Err(ApiError::new(Code::NotReady, "No model has an engine that is ready."))
}

/// 200 when some model is served, or none is due, and the gateway is not about to stop; with `?model=`, or at an alias's own
/// address, when that one is served.
fn ready(
    state: &ProxyState,
    snapshot: &Snapshot,
    own: Option<&Target>,
    query: Option<&str>,
) -> Result<String, ApiError> {
    if state.is_draining() {
        return Err(dispatch::shutting_down());
    }
    let asked = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("model=")));
    let asked = asked.map(|name| percent_decode_str(name).decode_utf8_lossy());
    let name = asked.as_deref().or(own.map(|own| &*own.route.name));
    if let Some(name) = name {
        return is_served(snapshot, name);
    }
    let readiness = state.registry.readiness();
    if readiness.is_ready {
        let not_ready: Vec<&str> = readiness.missed.iter().map(|pool| &*pool.model).collect();
        let told = json!({ "status": "ready", "models": readiness.models, "not_ready": not_ready });
        return Ok(told.to_string());
    }
    Err(not_ready(&readiness.missed))
}

/// 200 when requests for `name` can be served, wherever they may go.
fn is_served(snapshot: &Snapshot, name: &str) -> Result<String, ApiError> {
    let places = snapshot.places(snapshot.find(name)?);
    let pools: Vec<Arc<Pool>> =
        places.iter().filter_map(|place| Some(snapshot.target(place.target)?.pool.clone())).collect();
    if pools.iter().any(|pool| pool.is_ready()) {
        return Ok(json!({ "status": "ready", "model": name }).to_string());
    }
    Err(not_ready(&pools))
}

fn not_ready(pools: &[Arc<Pool>]) -> ApiError {
    let states: Vec<String> =
        pools.iter().map(|pool| format!("{} is {}", pool.model, pool.best_state().word())).collect();
    ApiError::new(Code::NotReady, format!("Not ready: {}.", states.join(", ")))
}

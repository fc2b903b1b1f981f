//! What the gateway itself answers: models, health, and what NeMo Gym asks a model server that it has started.

use std::sync::Arc;

use http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;
use pingora::http::RequestHeader;
use serde_json::{Value, json};

use super::ProxyState;
use super::context::RequestContext;
use super::entry::PREFIX;
use crate::dialects::gym;
use crate::dispatch;
use crate::engines::Pool;
use crate::ids::Name;
use crate::openai::path::{MODELS, PROBES, VERSION};
use crate::openai::{self, ApiError, Code, Dialect};
use crate::routing::{Snapshot, Target};

/// The answer to `GET /`, for people.
const WELCOME: &str = "This is Enginehouse, a gateway to vLLM engines.
Base URL for OpenAI's clients: this address and /v1. For Anthropic's clients: this address alone.
GET /v1/models lists the models; /health, /livez and /readyz are for probes.
Metrics and the operators' API are at another address (admin.listen in the configuration).
";

/// An answer of ours, with status 200.
pub(super) struct Answer {
    /// What it says; it may be nothing.
    pub(super) body: String,
    /// What the body is.
    pub(super) content_type: &'static str,
    /// It belongs to a session of a Gym alias: a cookie goes with it.
    pub(super) gym: bool,
}

impl Answer {
    fn json(body: String) -> Self {
        Self { body, content_type: "application/json", gym: false }
    }
}

/// Answers a path that is no inference route: `path`, behind the `prefix` of an alias.
pub(super) fn answer(
    state: &ProxyState,
    ctx: &RequestContext,
    head: &RequestHeader,
    (prefix, path): (&str, &str),
) -> Result<Answer, ApiError> {
    let own = ctx.own_target()?;
    let method = &head.method;
    if let Some(rules) = own.and_then(|target| target.route.gym.as_ref()) {
        match path {
            "/" | "/openapi.json" if is_read(method) => {
                let body = if path == "/" { gym::ALIVE } else { gym::OPENAPI };
                return Ok(Answer { gym: true, ..Answer::json(body.to_owned()) });
            }
            _ if rules.strict => return Err(ApiError::new(Code::NotFound, format!("Gym has no {path} here."))),
            _ => {}
        }
    }
    let snapshot = &ctx.snapshot;
    let id = path.strip_prefix(MODELS).and_then(|rest| rest.strip_prefix('/'));
    let is_ping = path == "/ping" && method == Method::POST;
    if is_known(path) && !is_read(method) && !is_ping {
        let message = format!("{path} takes GET, not {method}.");
        return Err(ApiError::new(Code::MethodNotAllowed, message).allow("GET, HEAD"));
    }
    let body = match (path, id) {
        ("/", _) => return Ok(welcome(&head.headers)),
        (MODELS, _) => list(snapshot, ctx.entry.alias.as_ref().zip(own), ctx.account.dialect()),
        (_, Some(id)) => one(snapshot, id, ctx.entry.alias.as_ref().zip(own), ctx.account.dialect())?,
        ("/livez", _) => String::new(),
        (VERSION, _) => json!({ "version": env!("CARGO_PKG_VERSION") }).to_string(),
        // SageMaker's name for it, as in vLLM.
        ("/health" | "/ping", _) => health(state, own)?,
        ("/readyz", _) => ready(state, snapshot, own, head.uri.query())?,
        _ => return Err(nowhere(prefix, path)),
    };
    Ok(Answer::json(body))
}

/// What this is and where to go, for people and programs that ask for `/`.
fn welcome(headers: &HeaderMap) -> Answer {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("application/json") && !accept.contains("text/") {
        let body = json!({
            "service": "enginehouse",
            "openai_base_url": "/v1",
            "anthropic_base_url": "/",
            "models": MODELS,
            "health": PROBES,
        });
        return Answer::json(body.to_string());
    }
    Answer { body: WELCOME.to_owned(), content_type: "text/plain; charset=utf-8", gym: false }
}

/// 404 with the path that was probably meant.
fn nowhere(prefix: &str, path: &str) -> ApiError {
    let shown: String = [prefix, path].concat().chars().take(128).collect();
    let hint = match openai::path::meant(path) {
        Some(meant) => format!("Did you mean {prefix}{meant}?"),
        None if path.starts_with(PREFIX) => "The paths of an alias begin with /a/NAME/v1/.".to_owned(),
        None if path == "/metrics" || path.starts_with("/api/") => {
            "The operators' API and the metrics are at another address (admin.listen).".to_owned()
        }
        None => format!("The base URL of this API is {prefix}/v1; GET {prefix}/v1/models lists the models."),
    };
    ApiError::new(Code::NotFound, format!("There is no {shown} here. {hint}"))
}

/// Whether something is answered at `path`.
pub(super) fn is_known(path: &str) -> bool {
    let is_model = || path.strip_prefix(MODELS).is_some_and(|rest| rest.starts_with('/'));
    path == "/" || path == MODELS || path == VERSION || PROBES.contains(&path) || is_model()
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// The card of a target: its engine's, under `name`.
fn card(name: &str, target: &Target) -> Value {
    let served = target.served_name();
    let engines = target.pool.engines();
    let known = engines.iter().find_map(|engine| {
        engine.cards().iter().find(|card| card.get("id").and_then(Value::as_str) == Some(&*served)).cloned()
    });
    openai::models::card(name, known.as_ref())
}

/// All that is not hidden; at an alias's own address that alias alone. `dialect`: of the client.
fn list(snapshot: &Snapshot, own: Option<(&Name, &Target)>, dialect: Dialect) -> String {
    let named = |target: &Target| card(&target.route.name, target);
    let cards: Vec<Value> = match own {
        Some((name, target)) => vec![card(name, target)],
        None => snapshot.named().iter().filter(|target| !target.route.hidden).map(named).collect(),
    };
    openai::models::list(cards, dialect)
}

fn one(snapshot: &Snapshot, id: &str, own: Option<(&Name, &Target)>, dialect: Dialect) -> Result<String, ApiError> {
    let name = percent_decode_str(id).decode_utf8_lossy();
    let target = match own {
        Some((own, target)) if **own == *name => target,
        Some((own, _)) => {
            let message = format!("This address serves only `{own}`.");
            return Err(ApiError::new(Code::ModelNotFound, message));
        }
        None => {
            let at = snapshot.find(&name)?;
            let gone = || ApiError::new(Code::Internal, "The model is gone.");
            snapshot.target(at).ok_or_else(gone)?
        }
    };
    Ok(openai::models::one(card(&name, target), dialect).to_string())
}

/// The models that an address is about.
fn pools(state: &ProxyState, own: Option<&Target>) -> Vec<Arc<Pool>> {
    own.map_or_else(|| state.registry.pools().to_vec(), |target| vec![target.pool.clone()])
}

/// As vLLM's: 200 without a body when a request could be served.
fn health(state: &ProxyState, own: Option<&Target>) -> Result<String, ApiError> {
    if pools(state, own).iter().any(|pool| pool.is_available()) {
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
    if pools.iter().any(|pool| pool.is_available()) {
        return Ok(json!({ "status": "ready", "model": name }).to_string());
    }
    Err(not_ready(&pools))
}

fn not_ready(pools: &[Arc<Pool>]) -> ApiError {
    let states: Vec<String> =
        pools.iter().map(|pool| format!("{} is {}", pool.model, pool.best_state().word())).collect();
    ApiError::new(Code::NotReady, format!("Not ready: {}.", states.join(", ")))
}

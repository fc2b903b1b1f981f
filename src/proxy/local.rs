//! Routes that need no engine: models, health.

use std::sync::Arc;

use http::Method;
use percent_encoding::percent_decode_str;
use pingora::proxy::Session;
use serde_json::{Value, json};

use super::accept::{Admission, Refusal};
use super::context::Context;
use super::table::Target;
use super::{Shared, Table, reply, resolve};
use crate::engines::Pool;
use crate::openai::{self, ApiError, Code};

const MODELS: &str = "/v1/models";

/// Answers a path that is no inference route.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    session: &mut Session,
    ctx: &mut Context,
    path: &str,
) -> Result<Admission, Refusal> {
    let head = session.req_header();
    let table = shared.table();
    let door = ctx.door.as_deref().map(|alias| own(&table, alias)).transpose()?;
    let body = match (path, path.strip_prefix(MODELS).and_then(|rest| rest.strip_prefix('/'))) {
        (MODELS | "/health" | "/livez" | "/readyz", _) | (_, Some(_)) if !is_read(&head.method) => {
            let message = format!("{path} takes GET, not {}.", head.method);
            return Err(ApiError::new(Code::MethodNotAllowed, message).allow("GET, HEAD").into());
        }
        (MODELS, _) => list(&table, door),
        (_, Some(id)) if !id.is_empty() => one(&table, id, door)?,
        ("/livez", _) => String::new(),
        ("/health", _) => health(shared, door)?,
        ("/readyz", _) => ready(shared, door)?,
        _ => {
            let shown: String = path.chars().take(128).collect();
            return Err(ApiError::new(Code::NotFound, format!("There is no {shown} here.")).into());
        }
    };
    reply::ok(session, ctx, body).await.map_err(Refusal::Gone)?;
    Ok(Admission::Answered)
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

/// The target whose own address or path was called.
fn own<'a>(table: &'a Table, alias: &str) -> Result<&'a Target, ApiError> {
    table.find(alias).map(|at| &table.targets[at]).ok_or_else(|| resolve::unknown(table, alias))
}

/// All that is not hidden; at an alias's own address that alias alone.
fn list(table: &Table, door: Option<&Target>) -> String {
    match door {
        Some(target) => openai::models::list([card(target)].into_iter()),
        None => openai::models::list(table.named().iter().filter(|target| !target.route.hidden).map(card)),
    }
}

fn one(table: &Table, id: &str, door: Option<&Target>) -> Result<String, ApiError> {
    let name = percent_decode_str(id).decode_utf8_lossy();
    let target = match door {
        Some(own) if *own.route.name == *name => own,
        Some(own) => {
            let message = format!("There is only `{}` at this address.", own.route.name);
            return Err(ApiError::new(Code::ModelNotFound, message));
        }
        None => table.find(&name).map(|at| &table.targets[at]).ok_or_else(|| resolve::unknown(table, &name))?,
    };
    Ok(card(target).to_string())
}

/// The pools that an address is about.
fn pools(shared: &Shared, door: Option<&Target>) -> Vec<Arc<Pool>> {
    door.map_or_else(|| shared.registry.pools().to_vec(), |target| vec![target.pool.clone()])
}

/// As vLLM's: 200 without a body when a request could be served.
fn health(shared: &Shared, door: Option<&Target>) -> Result<String, ApiError> {
    if pools(shared, door).iter().any(|pool| pool.is_ready()) {
        return Ok(String::new());
    }
    Err(ApiError::new(Code::NotReady, "No model has an engine that is ready."))
}

/// 200 when every model can be served and we are not about to stop.
fn ready(shared: &Shared, door: Option<&Target>) -> Result<String, ApiError> {
    if shared.is_draining() {
        return Err(ApiError::new(Code::ShuttingDown, "The gateway is shutting down."));
    }
    let pools = pools(shared, door);
    let missing: Vec<String> = pools
        .iter()
        .filter(|pool| !pool.is_ready())
        .map(|pool| format!("{} is {}", pool.model, pool.best_state().word()))
        .collect();
    if missing.is_empty() {
        return Ok(json!({ "status": "ready", "models": pools.len() }).to_string());
    }
    Err(ApiError::new(Code::NotReady, format!("Not ready: {}.", missing.join(", "))))
}

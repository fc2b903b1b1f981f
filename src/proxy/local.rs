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
use crate::openai::{self, ApiError};

const MODELS: &str = "/v1/models";

/// Answers a path that is no inference route.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    session: &mut Session,
    ctx: &mut Context,
) -> Result<Admission, Refusal> {
    let head = session.req_header();
    let path = head.uri.path();
    let body = match (path, path.strip_prefix(MODELS).and_then(|rest| rest.strip_prefix('/'))) {
        (MODELS | "/health" | "/livez" | "/readyz", _) | (_, Some(_)) if !is_read(&head.method) => {
            let message = format!("{path} takes GET, not {}.", head.method);
            return Err(
                ApiError { allow: Some("GET, HEAD"), ..ApiError::invalid(405, "method_not_allowed", message) }.into()
            );
        }
        (MODELS, _) => list(&shared.table()),
        (_, Some(id)) if !id.is_empty() => one(&shared.table(), id)?,
        ("/livez", _) => String::new(),
        ("/health", _) => health(shared)?,
        ("/readyz", _) => ready(shared)?,
        _ => {
            let shown: String = path.chars().take(128).collect();
            return Err(ApiError::invalid(404, "not_found", format!("There is no {shown} here.")).into());
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

fn list(table: &Table) -> String {
    openai::models::list(table.targets.iter().filter(|target| !target.route.hidden).map(card))
}

fn one(table: &Table, id: &str) -> Result<String, ApiError> {
    let name = percent_decode_str(id).decode_utf8_lossy();
    let at = table.find(&name).ok_or_else(|| resolve::unknown(table, &name))?;
    Ok(card(&table.targets[at]).to_string())
}

/// As vLLM's: 200 without a body when a request could be served.
fn health(shared: &Shared) -> Result<String, ApiError> {
    if shared.house.pools().iter().any(|pool| pool.is_ready()) {
        return Ok(String::new());
    }
    Err(ApiError::unavailable(503, "not_ready", "No model has an engine that is ready.").retry_after(5))
}

/// 200 when every model can be served and we are not about to stop.
fn ready(shared: &Shared) -> Result<String, ApiError> {
    if shared.is_draining() {
        return Err(ApiError::unavailable(503, "shutting_down", "The gateway is shutting down.").retry_after(5));
    }
    let pools = shared.house.pools();
    let missing: Vec<String> = pools
        .iter()
        .filter(|pool| !pool.is_ready())
        .map(|pool| format!("{} is {}", pool.model, pool.why_not().word()))
        .collect();
    if missing.is_empty() {
        return Ok(json!({ "status": "ready", "models": pools.len() }).to_string());
    }
    Err(ApiError::unavailable(503, "not_ready", format!("Not ready: {}.", missing.join(", "))).retry_after(5))
}

//! An engine that has not the route that is asked for, such as an embedding model asked to chat. It answers like any web server
//! that knows nothing of models; the caller is told what the model can do instead.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use http::header;
use pingora::http::ResponseHeader;

use super::ProxyState;
use super::context::RequestContext;
use crate::engines::{Answer, Engine};
use crate::openai::{ApiError, Code, Endpoint};

/// FastAPI's answer to a path that it does not know.
pub(super) const NOT_FOUND: &[u8] = br#"{"detail":"Not Found"}"#;

/// Where FastAPI describes its routes.
const DESCRIPTION: &str = "/openapi.json";

/// How long the description is waited for: vLLM makes it when it is first asked for.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long its answer is believed.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// Whether an answer with this head may be about the route. What vLLM says of a model or an adapter is longer.
pub(super) fn may_be(response: &ResponseHeader) -> bool {
    let length = response.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    response.status == 404 && length.and_then(|length| length.parse().ok()) == Some(NOT_FOUND.len())
}

/// What the caller is told when the engine of the attempt under way says so; `None`: it has the route.
pub(super) async fn refusal(state: &ProxyState, ctx: &RequestContext) -> Option<ApiError> {
    let forward = ctx.forward.as_ref()?;
    let engine = forward.attempts.engine()?.clone();
    let served = served(state, &engine).await;
    if served.contains(&forward.request.endpoint) {
        return None;
    }
    let asked = ctx.account.asked.endpoint.unwrap_or(forward.request.endpoint);
    let model = ctx.target().map_or_else(String::new, |target| format!(" `{}`", target.route.model));
    let paths: Vec<&str> = served.into_iter().map(Endpoint::path).collect();
    let instead = if paths.is_empty() {
        "It may be a model for another task, such as embeddings, or a server that is not vLLM.".to_owned()
    } else {
        format!("It serves {}.", paths.join(", "))
    };
    let message = format!("The model{model} does not serve {}: its engine has no such route. {instead}", asked.path());
    Some(ApiError::new(Code::EndpointNotServed, message))
}

/// The inference routes that `engine` says it has; none if it does not say. It is asked once a minute: making the description
/// costs it more than a request that it refuses.
async fn served(state: &ProxyState, engine: &Engine) -> Vec<Endpoint> {
    let known = || state.learned.served_routes.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, served)) = known().get(&engine.key()).filter(|(at, _)| at.elapsed() < KNOWN_FOR) {
        return served.clone();
    }
    let served = match state.client.get(engine, DESCRIPTION, PATIENCE).await {
        Ok(Answer::Json(told)) => {
            let has = |endpoint: &Endpoint| told.get("paths").is_some_and(|paths| paths.get(endpoint.path()).is_some());
            Endpoint::ALL.into_iter().filter(has).collect()
        }
        _ => Vec::new(),
    };
    let mut known = known();
    known.retain(|_, (at, _)| at.elapsed() < KNOWN_FOR);
    known.insert(engine.key(), (Instant::now(), served.clone()));
    served
}

//! The HTTP server: keys, faults, and who answers what.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ALLOW, AUTHORIZATION, RETRY_AFTER, VARY};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use axum::{Router, http};
use serde_json::json;

use super::api::generate::{ApiReply, ApiRequest};
use super::api::params::Pace;
use super::api::stream::{self, Hold};
use super::api::{audio, chat, completions, messages, pooling, responses, text};
use super::conn::ConnHandle;
use super::control::control;
use super::engine::{Engine, InFlight, Tempo};
use super::faults::Fault;
use super::flags::parse_duration;
use super::log;
use super::routes::{Route, find};
use super::wire::errors::Fail;
use super::wire::reply;
use crate::openai::Endpoint;

/// The whole server.
pub(super) fn router(engine: Arc<Engine>) -> Router {
    Router::new().fallback(serve).with_state(engine)
}

async fn serve(
    State(engine): State<Arc<Engine>>,
    ConnectInfo(conn): ConnectInfo<ConnHandle>,
    request: Request,
) -> Response {
    let begun = Instant::now();
    let _busy = conn.busy();
    let (parts, body) = request.into_parts();
    let route = find(parts.uri.path(), &engine.settings);
    let handler = if route.is_some() { parts.uri.path() } else { "none" };
    let line = engine.settings.args.access_log.then(|| format!("\"{} {} HTTP/1.1\"", parts.method, parts.uri));
    let method = known_method(&parts.method);
    let request_id = engine
        .settings
        .args
        .enable_request_id_headers
        .then(|| parts.headers.get("x-request-id").cloned().or_else(|| crate::ids::new_request_id().parse().ok()));
    let length = parts.headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut response = if is_authorized(&engine, parts.uri.path(), &parts.headers) {
        answer(&engine, &conn, route, &parts, body).await
    } else {
        let mut refused = reply::json(StatusCode::UNAUTHORIZED, &json!({ "error": "Unauthorized" }));
        refused.headers_mut().remove(VARY);
        refused
    };
    if let Some(id) = request_id.flatten() {
        response.headers_mut().insert("x-request-id", id);
    }
    let status = response.status();
    engine.metrics.exchanged(handler, method, status.as_u16(), length.unwrap_or(0), begun.elapsed().as_secs_f64());
    if let Some(line) = line {
        log::raw(&format!("INFO:     {} - {line} {status}", conn.peer));
    }
    response
}

fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE"];
    known.into_iter().find(|known| method.as_str() == *known).unwrap_or("OTHER")
}

/// Keys guard `/v1/*` only, as in vLLM.
fn is_authorized(engine: &Engine, path: &str, headers: &HeaderMap) -> bool {
    let keys = &engine.settings.api_keys;
    if keys.is_empty() || !path.starts_with("/v1") {
        return true;
    }
    let given =
        headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.split_once(' '));
    given.is_some_and(|(scheme, key)| {
        scheme.eq_ignore_ascii_case("bearer") && keys.iter().any(|known| known == key.trim())
    })
}

async fn answer(
    engine: &Arc<Engine>,
    conn: &ConnHandle,
    route: Option<(Route, &'static str)>,
    parts: &http::request::Parts,
    body: Body,
) -> Response {
    let Some((route, allowed)) = route else { return reply::detail(StatusCode::NOT_FOUND, "Not Found") };
    if !allowed.split(", ").any(|method| method == parts.method.as_str()) {
        let mut refused = reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        return refused;
    }
    // A client that leaves while it sends gets no answer, whatever it is.
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return reply::detail(StatusCode::BAD_REQUEST, "There was an error parsing the body");
    };
    let is_ours = matches!(route, Route::LastRequest | Route::Stats | Route::PlanFault);
    if !is_ours {
        engine.request_log.note(parts, &body);
    }
    let inference = matches!(route, Route::Infer(_) | Route::Invocations);
    let fault = match parts.headers.get("x-sim-fault").map(|value| value.to_str().unwrap_or("?").parse::<Fault>()) {
        _ if is_ours => None,
        Some(Ok(fault)) => Some(fault),
        Some(Err(why)) => return reply::detail(StatusCode::BAD_REQUEST, &format!("x-sim-fault: {why}")),
        None => engine.faults.take(parts.uri.path(), inference),
    };
    let mut hold = inference.then(|| Hold { in_flight: InFlight::new(&engine.stats), _busy: conn.busy() });
    if let Some(spoiled) = early(fault.as_ref(), conn).await {
        if let Some(hold) = &mut hold {
            hold.in_flight.complete();
        }
        return spoiled;
    }
    let asked = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    match hold {
        Some(hold) => infer(engine, route, parts, body, fault, hold).await,
        None => control(engine, route, asked, &parts.headers, body).await.unwrap_or_else(|fail| fail.reply()),
    }
}

/// Faults that strike before the request is looked at.
async fn early(fault: Option<&Fault>, conn: &ConnHandle) -> Option<Response> {
    match fault? {
        Fault::Status { code, retry_after } => {
            let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let fail =
                Fail { status, ..Fail::internal(format!("The simulated engine answers {code}, as it was told to.")) };
            let mut response = fail.reply();
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(RETRY_AFTER, (*seconds).into());
            }
            Some(response)
        }
        Fault::Hang => std::future::pending().await,
        Fault::Reset => {
            conn.reset();
            Some(reply::empty())
        }
        Fault::SlowHeader(delay) => {
            tokio::time::sleep(*delay).await;
            None
        }
        Fault::HangAfter(_)
        | Fault::DieAfter(_)
        | Fault::TearAfter(_)
        | Fault::ExitAfter(_)
        | Fault::Malformed
        | Fault::Refuse(_) => None,
    }
}

async fn infer(
    engine: &Arc<Engine>,
    route: Route,
    parts: &http::request::Parts,
    body: bytes::Bytes,
    fault: Option<Fault>,
    mut hold: Hold,
) -> Response {
    if is_deadly(engine, &body) {
        engine.dead.cancel();
        return std::future::pending().await;
    }
    let endpoint = match route {
        Route::Infer(endpoint) => endpoint,
        _ => invoked(&body),
    };
    let asked = pace(engine, &parts.headers).map(|pace| ApiRequest {
        engine: Arc::clone(engine),
        headers: parts.headers.clone(),
        body,
        pace,
        given_up: given_up(engine, fault.as_ref()),
    });
    let replied = match asked {
        _ if engine.draining.load(Ordering::SeqCst) => {
            Err(Fail::internal("cannot schedule new futures after shutdown"))
        }
        Err(fail) => Err(fail),
        Ok(request) => dispatch(&request, endpoint).await,
    };
    let malformed = fault == Some(Fault::Malformed);
    match replied {
        Err(fail) => {
            hold.in_flight.complete();
            match endpoint {
                Endpoint::Messages | Endpoint::CountTokens => fail.anthropic_reply(),
                _ => fail.reply(),
            }
        }
        Ok(ApiReply::Stream(..)) if malformed => stream::malformed(true, hold),
        Ok(_) if malformed => stream::malformed(false, hold),
        Ok(ApiReply::Json(value)) => stream::plain("application/json", value.to_string(), fault.as_ref(), hold),
        Ok(ApiReply::Text(kind, text)) => stream::plain(kind, text, fault.as_ref(), hold),
        Ok(ApiReply::Stream(run, framing)) => stream::reply(run, framing, fault, engine.settings.sse_keep_alive, hold),
    }
}

/// Why the request is given up after it was taken in, in vLLM 0.32's words.
fn given_up(engine: &Engine, fault: Option<&Fault>) -> Option<Fail> {
    if engine.scheduler.is_core_dead() {
        return Some(Fail::core_dead());
    }
    let Some(Fault::Refuse(code)) = fault else { return None };
    let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Some(Fail { status, ..Fail::queue_full() })
}

/// Whether `--die-on` names a text that is in the body.
fn is_deadly(engine: &Engine, body: &[u8]) -> bool {
    let text = engine.settings.process_faults.die_on.as_deref();
    text.is_some_and(|text| memchr::memmem::find(body, text.as_bytes()).is_some())
}

async fn dispatch(request: &ApiRequest, endpoint: Endpoint) -> Result<ApiReply, Fail> {
    if let Some(fail) = request.given_up.as_ref().filter(|_| !streams(endpoint)) {
        return Err(fail.clone());
    }
    match endpoint {
        Endpoint::ChatCompletions => chat::chat(request).await,
        Endpoint::ChatBatch => chat::batch(request).await,
        Endpoint::Completions => completions::completions(request).await,
        Endpoint::Responses => responses::responses(request).await,
        Endpoint::Messages => messages::messages(request).await,
        Endpoint::CountTokens => messages::count_tokens(request),
        Endpoint::Embeddings => pooling::embeddings(request).await,
        Endpoint::EmbedV2 => pooling::embed_v2(request).await,
        Endpoint::GenerativeScoring => pooling::generative_scoring(request).await,
        Endpoint::Pooling => pooling::pooling(request).await,
        Endpoint::Classify => pooling::classify(request).await,
        Endpoint::Score | Endpoint::ScoreV1 => pooling::score(request).await,
        Endpoint::Rerank | Endpoint::RerankV1 | Endpoint::RerankV2 => pooling::rerank(request).await,
        Endpoint::Tokenize => text::tokenize(request),
        Endpoint::Detokenize => text::detokenize(request),
        Endpoint::Transcriptions | Endpoint::Translations => audio::transcribe(request).await,
    }
}

/// Whether an answer can be a stream: it is given up when it has begun.
fn streams(endpoint: Endpoint) -> bool {
    use Endpoint as E;
    matches!(endpoint, E::ChatCompletions | E::Completions | E::Responses | E::Messages)
}

/// What `/invocations` runs: the first API whose members the body has.
fn invoked(body: &[u8]) -> Endpoint {
    let members: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let has = |name: &str| members.get(name).is_some();
    if has("messages") {
        Endpoint::ChatCompletions
    } else if has("input") {
        Endpoint::Embeddings
    } else {
        Endpoint::Completions
    }
}

/// The request's own pace: headers of the simulation, otherwise the flags.
fn pace(engine: &Engine, headers: &HeaderMap) -> Result<Pace, Fail> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let duration = |name: &str, default: Duration| match text(name) {
        None => Ok(default),
        Some(text) => parse_duration(text).map_err(|why| Fail::bad(format!("{name}: {why}"), None)),
    };
    let flags = &engine.settings.args;
    Ok(Pace {
        tempo: Tempo { ttft: duration("x-sim-ttft", flags.ttft)?, gap: duration("x-sim-gap", flags.gap)? },
        tokens: match text("x-sim-tokens") {
            None => flags.tokens,
            Some(text) => text.parse().map_err(|_| Fail::bad(format!("x-sim-tokens: {text:?} is no number"), None))?,
        },
    })
}

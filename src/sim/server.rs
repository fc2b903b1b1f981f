//! The HTTP server: routes, keys, faults, and who answers what.

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

use super::conn::ConnHandle;
use super::engine::{Engine, InFlight};
use super::errors::Fail;
use super::faults::Fault;
use super::generate::{Ask, Reply};
use super::params::Pace;
use super::schedule::Tempo;
use super::stream::{self, Hold};
use super::{args, audio, chat, completions, debug, log, messages, pooling, reply, responses, sleep, text};
use crate::openai::Endpoint;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Infer(Endpoint),
    /// SageMaker's: whatever the body looks like, without a key.
    Invocations,
    Health,
    Ping,
    Version,
    Load,
    Metrics,
    Models,
    KvEventSources,
    StoredResponse,
    LoadLora,
    UnloadLora,
    Sleep,
    WakeUp,
    IsSleeping,
    Pause,
    Resume,
    IsPaused,
    ResetCache,
    CollectiveRpc,
    ServerInfo,
    LastRequest,
    Stats,
    PlanFault,
}

/// The whole server.
pub(super) fn router(engine: Arc<Engine>) -> Router {
    Router::new().fallback(serve).with_state(engine)
}

/// The routes that `engine` has, as vLLM logs them.
pub(super) fn routes(engine: &Engine) -> Vec<(String, &'static str)> {
    let fixed = [
        "/load",
        "/version",
        "/kv_event_sources",
        "/health",
        "/metrics",
        "/v1/models",
        "/ping",
        "/invocations",
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/reset_prefix_cache",
        "/collective_rpc",
        "/server_info",
        "/sleep",
        "/wake_up",
        "/is_sleeping",
        "/pause",
        "/resume",
        "/is_paused",
    ];
    let paths = fixed.into_iter().chain(Endpoint::ALL.into_iter().map(Endpoint::path));
    paths
        .filter_map(|path| Some((path, find(path, engine)?)))
        .map(|(path, route)| (path.to_owned(), methods(route)))
        .collect()
}

fn find(path: &str, engine: &Engine) -> Option<Route> {
    let settings = &engine.settings;
    if let Some(endpoint) = Endpoint::find(path) {
        return is_served(endpoint, engine).then_some(Route::Infer(endpoint));
    }
    let route = match path {
        "/invocations" => Route::Invocations,
        "/health" => Route::Health,
        "/ping" => Route::Ping,
        "/version" => Route::Version,
        "/load" => Route::Load,
        "/metrics" => Route::Metrics,
        "/v1/models" => Route::Models,
        "/kv_event_sources" => Route::KvEventSources,
        "/v1/load_lora_adapter" if settings.runtime_lora => Route::LoadLora,
        "/v1/unload_lora_adapter" if settings.runtime_lora => Route::UnloadLora,
        "/sleep" if settings.dev_mode => Route::Sleep,
        "/wake_up" if settings.dev_mode => Route::WakeUp,
        "/is_sleeping" if settings.dev_mode => Route::IsSleeping,
        "/pause" if settings.dev_mode => Route::Pause,
        "/resume" if settings.dev_mode => Route::Resume,
        "/is_paused" if settings.dev_mode => Route::IsPaused,
        "/reset_prefix_cache" if settings.dev_mode => Route::ResetCache,
        "/collective_rpc" if settings.dev_mode => Route::CollectiveRpc,
        "/server_info" if settings.dev_mode => Route::ServerInfo,
        "/sim/last_request" => Route::LastRequest,
        "/sim/stats" => Route::Stats,
        "/sim/fault" => Route::PlanFault,
        _ if settings.generates && path.strip_prefix("/v1/responses/").is_some_and(|id| !id.contains('/')) => {
            Route::StoredResponse
        }
        _ => return None,
    };
    Some(route)
}

fn is_served(endpoint: Endpoint, engine: &Engine) -> bool {
    use Endpoint as E;
    match endpoint {
        E::Tokenize | E::Detokenize => true,
        E::ChatCompletions | E::Completions | E::Responses | E::Messages | E::CountTokens => engine.settings.generates,
        // A text model hears nothing; a simulation that does everything also pretends to hear.
        E::Transcriptions | E::Translations => engine.settings.generates && engine.settings.pools,
        E::Embeddings | E::Rerank | E::RerankV1 | E::RerankV2 | E::Score | E::ScoreV1 | E::Classify | E::Pooling => {
            engine.settings.pools
        }
    }
}

fn methods(route: Route) -> &'static str {
    match route {
        Route::Health
        | Route::Version
        | Route::Load
        | Route::Metrics
        | Route::Models
        | Route::KvEventSources
        | Route::StoredResponse
        | Route::IsSleeping
        | Route::IsPaused
        | Route::ServerInfo
        | Route::LastRequest
        | Route::Stats => "GET",
        Route::Ping => "GET, POST",
        _ => "POST",
    }
}

async fn serve(
    State(engine): State<Arc<Engine>>,
    ConnectInfo(conn): ConnectInfo<ConnHandle>,
    request: Request,
) -> Response {
    let begun = Instant::now();
    let _busy = conn.busy();
    let (parts, body) = request.into_parts();
    let route = find(parts.uri.path(), &engine);
    let handler = if route.is_some() { parts.uri.path() } else { "none" };
    let line = engine.settings.args.access_log.then(|| format!("\"{} {} HTTP/1.1\"", parts.method, parts.uri));
    let method = known_method(&parts.method);
    let request_id = engine
        .settings
        .request_id_headers
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
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    }
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
    route: Option<Route>,
    parts: &http::request::Parts,
    body: Body,
) -> Response {
    let Some(route) = route else { return reply::detail(StatusCode::NOT_FOUND, "Not Found") };
    let allowed = methods(route);
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
        engine.seen.note(parts, &body);
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
    let query = parts.uri.query().unwrap_or_default();
    match hold {
        Some(hold) => infer(engine, route, parts, body, fault, hold).await,
        None => control(engine, route, query, &parts.headers, body).await.unwrap_or_else(|fail| fail.reply()),
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
        Fault::HangAfter(_) | Fault::DieAfter(_) | Fault::ExitAfter(_) | Fault::Malformed => None,
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
    let endpoint = match route {
        Route::Infer(endpoint) => endpoint,
        _ => invoked(&body),
    };
    let asked = pace(engine, &parts.headers).map(|pace| Ask {
        engine: Arc::clone(engine),
        headers: parts.headers.clone(),
        body,
        pace,
    });
    let replied = match asked {
        _ if engine.draining.load(Ordering::SeqCst) => {
            Err(Fail::internal("cannot schedule new futures after shutdown"))
        }
        Err(fail) => Err(fail),
        Ok(ask) => dispatch(&ask, endpoint).await,
    };
    let malformed = fault == Some(Fault::Malformed);
    match replied {
        Err(fail) => {
            hold.in_flight.complete();
            fail.reply()
        }
        Ok(Reply::Stream(..)) if malformed => stream::malformed(true, hold),
        Ok(_) if malformed => stream::malformed(false, hold),
        Ok(Reply::Json(value)) => stream::plain("application/json", value.to_string(), fault.as_ref(), hold),
        Ok(Reply::Text(kind, text)) => stream::plain(kind, text, fault.as_ref(), hold),
        Ok(Reply::Stream(run, framing)) => stream::reply(run, framing, fault, engine.settings.sse_keep_alive, hold),
    }
}

async fn dispatch(ask: &Ask, endpoint: Endpoint) -> Result<Reply, Fail> {
    match endpoint {
        Endpoint::ChatCompletions => chat::chat(ask).await,
        Endpoint::Completions => completions::completions(ask).await,
        Endpoint::Responses => responses::responses(ask).await,
        Endpoint::Messages => messages::messages(ask).await,
        Endpoint::CountTokens => messages::count_tokens(ask),
        Endpoint::Embeddings => pooling::embeddings(ask).await,
        Endpoint::Pooling => pooling::pooling(ask).await,
        Endpoint::Classify => pooling::classify(ask).await,
        Endpoint::Score | Endpoint::ScoreV1 => pooling::score(ask).await,
        Endpoint::Rerank | Endpoint::RerankV1 | Endpoint::RerankV2 => pooling::rerank(ask).await,
        Endpoint::Tokenize => text::tokenize(ask),
        Endpoint::Detokenize => text::detokenize(ask),
        Endpoint::Transcriptions | Endpoint::Translations => audio::transcribe(ask).await,
    }
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
        Some(text) => args::parse_duration(text).map_err(|why| Fail::bad(format!("{name}: {why}"), None)),
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

async fn control(
    engine: &Arc<Engine>,
    route: Route,
    query: &str,
    headers: &HeaderMap,
    body: bytes::Bytes,
) -> Result<Response, Fail> {
    let ask = |body| -> Result<Ask, Fail> {
        Ok(Ask { engine: Arc::clone(engine), headers: headers.clone(), body, pace: pace(engine, headers)? })
    };
    Ok(match route {
        Route::Health | Route::Ping | Route::ResetCache => reply::empty(),
        Route::Version => reply::ok(&json!({ "version": super::VERSION })),
        Route::Load => {
            let load = if engine.settings.load_tracking { engine.stats.in_flight() } else { 0 };
            reply::ok(&json!({ "server_load": load }))
        }
        Route::Metrics => reply::bytes(
            StatusCode::OK,
            Some("text/plain; version=1.0.0; charset=utf-8"),
            engine.metrics.page(engine.now()),
        ),
        Route::Models => engine.models.list(),
        Route::KvEventSources => reply::ok(&json!({})),
        Route::StoredResponse => {
            return Err(Fail {
                kind: "invalid_request_error",
                ..Fail::not_found("Responses are not stored by the simulated engine.", Some("response_id"))
            });
        }
        Route::LoadLora => engine.models.load(&ask(body)?)?,
        Route::UnloadLora => engine.models.unload(&ask(body)?)?,
        Route::Sleep => sleep::sleep(engine, query).await?,
        Route::WakeUp => sleep::wake_up(engine, query).await,
        Route::IsSleeping => engine.sleep.is_sleeping(),
        Route::Pause => sleep::pause(engine, query).await?,
        Route::Resume => sleep::resume(engine),
        Route::IsPaused => engine.sleep.is_paused(),
        Route::CollectiveRpc => sleep::collective_rpc(engine, &body),
        Route::ServerInfo => {
            reply::ok(&json!({ "vllm_config": format!("simulated, model='{}'", engine.settings.root) }))
        }
        Route::LastRequest => engine.seen.last(query),
        Route::Stats => debug::stats(engine),
        Route::PlanFault => debug::plan(engine, &body),
        Route::Infer(_) | Route::Invocations => reply::detail(StatusCode::NOT_FOUND, "Not Found"),
    })
}

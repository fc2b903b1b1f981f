//! Everything that is not inference: health, models, sleep, and the simulation's own routes.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::api::responses;
use super::engine::Engine;
use super::metrics::page;
use super::routes::{self, Route};
use super::wire::errors::Fail;
use super::wire::fields::Fields;
use super::wire::reply;
use super::{debug, sleep};

/// Answers a request of `route` that is not for inference.
pub(super) async fn control(
    engine: &Engine,
    route: Route,
    (path, query): (&str, &str),
    headers: &HeaderMap,
    body: bytes::Bytes,
) -> Result<Response, Fail> {
    let fields = |body: &[u8]| Fields::read(headers, body);
    if engine.scheduler.is_core_stopped() && asks_the_core(route) {
        return std::future::pending().await;
    }
    Ok(match route {
        Route::Health | Route::Ping if engine.scheduler.is_core_dead() => {
            reply::bytes(StatusCode::SERVICE_UNAVAILABLE, None, "")
        }
        Route::Health | Route::Ping | Route::ResetCache => reply::empty(),
        Route::Description => {
            let routes = routes::served(&engine.settings);
            let paths: serde_json::Map<_, _> = routes.map(|(path, _)| (path.to_owned(), json!({}))).collect();
            reply::ok(&json!({ "openapi": "3.1.0", "paths": paths }))
        }
        Route::Version => reply::ok(&json!({ "version": super::VERSION })),
        Route::Load => {
            let load =
                if engine.settings.args.enable_server_load_tracking { engine.stats.counts().in_flight() } else { 0 };
            reply::ok(&json!({ "server_load": load }))
        }
        Route::Metrics => reply::bytes(
            StatusCode::OK,
            Some("text/plain; version=1.0.0; charset=utf-8"),
            page(&engine.metrics, engine.now()),
        ),
        Route::Models => engine.models.list(),
        Route::KvEventSources => reply::ok(&json!({})),
        Route::StoredResponse => responses::stored(engine, path, query)?,
        Route::CancelResponse => responses::cancel(engine, path)?,
        Route::LoadLora => engine.models.load(&fields(&body)?).await?,
        Route::UnloadLora => engine.models.unload(&fields(&body)?)?,
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
        Route::LastRequest => engine.request_log.last(query),
        Route::Stats => debug::stats(engine),
        Route::PlanFault => debug::plan(engine, &body),
        Route::Infer(_) | Route::Invocations => reply::detail(StatusCode::NOT_FOUND, "Not Found"),
    })
}

/// Whether only the process that computes can answer.
fn asks_the_core(route: Route) -> bool {
    matches!(
        route,
        Route::Sleep
            | Route::WakeUp
            | Route::IsSleeping
            | Route::Pause
            | Route::Resume
            | Route::IsPaused
            | Route::CollectiveRpc
            | Route::ResetCache
    )
}

//! What Prometheus is served: the gateway's metrics, where it finds those of engines, and these. Engines listen on loopback
//! only, so their metrics are passed on.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::exposition::{self, TEXT};
use super::{Admin, gpus, guard, path, read, show};
use crate::api::{EngineState, TargetView};
use crate::engines::Engine;
use crate::telemetry::Sampled;

/// How long an engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long Prometheus waits for an answer, in seconds; it sends this with every scrape.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// The metrics of the gateway.
pub(super) fn own(admin: &Admin, headers: &HeaderMap) -> Result<Response, ApiError> {
    is_on(admin)?;
    let engines = admin.registry.engines();
    let sampled = Sampled {
        engines: engines.iter().map(|(pool, engine)| show::engine(&pool.model, engine, None)).collect(),
        models: admin.registry.pools().iter().map(|pool| show::model(pool, admin)).collect(),
        gpus: gpus::show(&admin.monitor, &engines),
    };
    if exposition::wants_openmetrics(headers) {
        let text = admin.metrics.render_openmetrics(&sampled);
        return Ok(([(header::CONTENT_TYPE, exposition::OPENMETRICS)], text).into_response());
    }
    let text = admin.metrics.render(&sampled);
    let broken = |error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("metrics: {error}"));
    Ok(text_of(text.map_err(broken)?))
}

/// Where the metrics of engines are. One that was stopped has none.
pub(super) fn targets(admin: &Admin, headers: &HeaderMap) -> Result<Response, ApiError> {
    is_on(admin)?;
    let host = guard::host(headers).map(|host| match host.port() {
        Some(port) => format!("{}:{port}", host.host()),
        None => host.host().to_owned(),
    });
    let unknown = || ApiError::malformed("Send a `Host` header: the targets are at the address that it has.");
    let host = host.ok_or_else(unknown)?;
    let engines = admin.registry.engines();
    let there = engines.iter().filter(|(_, engine)| *engine.state() != EngineState::Stopped);
    let mut targets: Vec<TargetView> = there.map(|(pool, engine)| target(&host, &pool.model, engine)).collect();
    // While an engine replaces another one of the same id, both are there.
    targets.dedup();
    Ok(Json(targets).into_response())
}

fn target(host: &str, model: &str, engine: &Engine) -> TargetView {
    let id = engine.id.as_str();
    let mut labels = BTreeMap::from([
        // As it is: Prometheus escapes it.
        ("__metrics_path__".to_owned(), format!("{}engines/{id}/metrics", path::ROOT)),
        ("model".to_owned(), model.to_owned()),
        ("engine".to_owned(), id.to_owned()),
    ]);
    if let Some(gpus) = engine.process.gpus().filter(|gpus| !gpus.is_empty()) {
        labels.insert("gpus".to_owned(), gpus.join(","));
    }
    TargetView { targets: vec![host.to_owned()], labels }
}

/// The metrics of the engine called `id`, as it tells them.
pub(super) async fn of_engine(admin: &Admin, headers: &HeaderMap, id: &str) -> Result<Response, ApiError> {
    is_on(admin)?;
    let (_, engine) = admin.registry.engine(id).ok_or_else(|| read::no_engine(id))?;
    if engine.process.local().is_some() && engine.process.pid().is_none() {
        let message =
            format!("Engine `{id}` has no process that could tell its metrics: it is {}.", engine.state().word());
        return Err(ApiError::refused(message));
    }
    let (client, within) = (admin.client.clone(), patience(headers));
    // Where connections to engines live: this server may end before them.
    let asked = admin.runtime.spawn(async move { client.metrics(&engine, within).await });
    let why = match asked.await.map_err(|error| ApiError::broken("the scrape", &error))? {
        Ok(reply) if reply.status == StatusCode::OK => return Ok(text_of(reply.body)),
        Ok(reply) => format!("it answered {}", reply.status.as_u16()),
        Err(error) => error.to_string(),
    };
    Err(ApiError::new(StatusCode::BAD_GATEWAY, format!("Engine `{id}` does not tell its metrics: {why}.")))
}

/// A little less than Prometheus waits, so that it hears why there is nothing.
fn patience(headers: &HeaderMap) -> Duration {
    let said = headers.get(SCRAPE_TIMEOUT).and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok());
    let said = said.and_then(|seconds| Duration::try_from_secs_f64(seconds * 0.9).ok());
    said.map_or(PATIENCE, |said| said.min(PATIENCE))
}

/// Whether metrics are served at all.
fn is_on(admin: &Admin) -> Result<(), ApiError> {
    if admin.configuration.current().admin.metrics {
        return Ok(());
    }
    Err(ApiError::unknown("Metrics are turned off here: `admin.metrics` is false in the configuration."))
}

fn text_of(text: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, TEXT)], text.into()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_hears_of_a_failure_before_it_gives_up() {
        let patience = |text: &'static str| {
            patience(&HeaderMap::from_iter([(
                header::HeaderName::from_static(SCRAPE_TIMEOUT),
                header::HeaderValue::from_static(text),
            )]))
        };
        assert_eq!(patience("2"), Duration::from_millis(1800));
        for odd in ["600", "inf", "NaN", "-1", "soon", ""] {
            assert_eq!(patience(odd), PATIENCE, "{odd}");
        }
    }
}

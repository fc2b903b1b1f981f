//! The operator's HTTP server: metrics and states.

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::engines::{Engine, House, State as EngineState};
use crate::secret::Secret;
use crate::supervisor::Control;
use crate::telemetry::{EngineSample, Metrics};

/// What the operator's server shows.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Engines and their states.
    pub house: Arc<House>,
    /// What can be done with them; `None`: none is run here.
    pub control: Option<Control>,
    /// Metrics of this process.
    pub metrics: Arc<Metrics>,
    /// Asked for on every route but the probes.
    pub token: Option<Secret>,
}

impl Admin {
    /// Serves on `listener` until `stop` is ready.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        axum::serve(listener, self.router()).with_graceful_shutdown(stop).await
    }

    fn router(self) -> Router {
        let guarded = Router::new()
            .route("/metrics", get(metrics))
            .route("/api/v1/engines", get(engines))
            .route_layer(middleware::from_fn_with_state(self.clone(), authorise));
        Router::new().route("/livez", get(|| async {})).route("/readyz", get(ready)).merge(guarded).with_state(self)
    }
}

async fn authorise(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    let given = given.strip_prefix(b"Bearer ").unwrap_or_default();
    match &admin.token {
        Some(token) if !token.matches(given) => {
            let text = "Send the token of `admin.token` as `Authorization: Bearer …`.\n";
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], text).into_response()
        }
        _ => next.run(request).await,
    }
}

fn all(house: &House) -> Vec<(String, Arc<Engine>)> {
    let of = |pool: &Arc<crate::engines::Pool>| -> Vec<_> {
        pool.engines().iter().map(|engine| (pool.model.to_string(), engine.clone())).collect()
    };
    house.pools().iter().flat_map(of).collect()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let samples: Vec<EngineSample> = all(&admin.house)
        .into_iter()
        .map(|(model, engine)| EngineSample {
            model,
            engine: engine.id.to_string(),
            up: engine.is_ready(),
            in_flight: engine.in_flight(),
        })
        .collect();
    match admin.metrics.render(&samples) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], Body::from(text)).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("metrics: {error}\n")).into_response(),
    }
}

async fn engines(State(admin): State<Admin>) -> Json<Value> {
    let list: Vec<Value> = all(&admin.house).into_iter().map(|(model, engine)| describe(&model, &engine)).collect();
    Json(json!({ "engines": list }))
}

fn describe(model: &str, engine: &Engine) -> Value {
    let state = engine.state();
    let log = match &*state {
        EngineState::Failed(failure) => failure.log.as_slice(),
        _ => &[],
    };
    json!({
        "engine": engine.id.as_str(),
        "model": model,
        "url": engine.address.url.to_string(),
        "pid": engine.pid(),
        "state": state.word(),
        "detail": state.detail(),
        "log": log,
        "ejected": engine.is_ejected(),
        "in_flight": engine.in_flight(),
        "serves": engine.cards().iter().filter_map(|card| card.get("id").cloned()).collect::<Vec<_>>(),
    })
}

async fn ready(State(admin): State<Admin>) -> Response {
    let waiting: Vec<String> =
        admin.house.pools().iter().filter(|pool| !pool.is_ready()).map(|pool| pool.model.to_string()).collect();
    if waiting.is_empty() {
        return StatusCode::OK.into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "not_ready": waiting }))).into_response()
}

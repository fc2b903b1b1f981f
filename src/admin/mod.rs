//! The operator's HTTP server: metrics, states, and what can be done with engines.
//!
//! | method and path | what |
//! |---|---|
//! | `GET /livez`, `GET /readyz` | this process is there; every model can be served (no token asked for) |
//! | `GET /metrics` | Prometheus |
//! | `GET /api/v1/gpus` | the GPUs of this machine, as read last, and the engines on each |
//! | `GET /api/v1/engines`, `GET /api/v1/engines/{engine}` | engines and their states |
//! | `POST /api/v1/engines/{engine}/start`, `stop`, `restart`, `sleep`, `wake` | one engine; `sleep` takes `?level=1` or `2` |
//! | `GET /api/v1/models`, `GET /api/v1/models/{model}` | models |
//! | `POST /api/v1/models/{model}/start`, `stop`, `restart`, `sleep`, `wake`, `roll` | all its engines; `roll`: one by one |
//! | `PUT /api/v1/models/{model}/replicas` | `{"replicas": 2}` |
//! | `GET /api/v1/models/{model}/lora` | its LoRA adapters |
//! | `POST /api/v1/models/{model}/lora` | `{"name": "sql", "path": "/srv/adapters/sql"}` |
//! | `DELETE /api/v1/models/{model}/lora/{name}` | |
//! | `POST /api/v1/reload` | the configuration file is read again; the answer says what changed, or all that is wrong (422) |
//! | `GET /api/v1/reload` | what became of the last reload, whatever caused it; 404: there was none |
//! | `POST /api/v1/plan` | the body is a configuration: what it would change; nothing is changed |
//! | `GET /api/v1/events` | what happens, as server-sent events: states of engines, reloads, requests |
//!
//! `{engine}` is the id that is listed, `model/0`. Names that hold slashes are written as they are or with `%2F`:
//! `curl -X POST http://127.0.0.1:8001/api/v1/engines/Qwen/Qwen3-8B/0/restart` just works.
//!
//! A change is answered when it is done: 200 with `{"engines": […]}`, the engines as they are then. `?wait=false` is
//! answered at once, with 202. It is done even if nobody waits for the answer. Otherwise: 400 not understood, 401 and 403
//! see `guard`, 404 no such thing, 409 refused as things are (the message says what to do), 502 an engine did not do it;
//! all with `{"error": {"message": "…"}}`.

mod act;
mod configuration;
mod events;
mod fault;
mod gpus;
mod guard;
mod path;
mod show;

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router, middleware};
use tokio::net::TcpListener;

pub use self::configuration::{Configuration, Token};
use self::fault::Fault;
use crate::api::NotReadyView;
use crate::engines::EngineRegistry;
use crate::inventory::Monitor;
use crate::supervisor::Control;
use crate::telemetry::{EngineSample, EventBus, Metrics};

/// Largest body of a request: a configuration may have it.
const MOST_BODY: usize = 8 << 20;

/// What the operator's server shows.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Engines and their states.
    pub registry: Arc<EngineRegistry>,
    /// What can be done with those that run here.
    pub control: Control,
    /// Metrics of this process.
    pub metrics: Arc<Metrics>,
    /// The GPUs of this machine.
    pub monitor: Monitor,
    /// The configuration that they run by.
    pub configuration: Arc<dyn Configuration>,
    /// What happens.
    pub events: EventBus,
    /// Asked for on every route but the probes.
    pub token: Token,
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
            .route("/api/v1/{*rest}", any(api))
            .fallback(|| async { Fault::unknown("There is nothing at this path.") })
            .layer(middleware::from_fn_with_state(self.clone(), guard::guard));
        Router::new().route("/livez", get(|| async {})).route("/readyz", get(ready)).merge(guarded).with_state(self)
    }
}

async fn api(State(admin): State<Admin>, request: Request) -> Result<Response, Fault> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MOST_BODY)
        .await
        .map_err(|_| Fault::malformed("The body did not come whole, or is larger than 8 MiB."))?;
    let ask = path::parse(&head.method, &head.uri, &body, |name| admin.registry.pool(name).is_some())?;
    act::answer(&admin, ask).await
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let samples: Vec<EngineSample> = admin.registry.engines().iter().map(show::sample).collect();
    match admin.metrics.render(&samples, &gpus::sample(&admin.monitor)) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], Body::from(text)).into_response()
        }
        Err(error) => Fault::new(StatusCode::INTERNAL_SERVER_ERROR, format!("metrics: {error}")).into_response(),
    }
}

async fn ready(State(admin): State<Admin>) -> Response {
    let waiting: Vec<String> =
        admin.registry.pools().iter().filter(|pool| !pool.is_ready()).map(|pool| pool.model.to_string()).collect();
    if waiting.is_empty() {
        return StatusCode::OK.into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(NotReadyView { not_ready: waiting })).into_response()
}

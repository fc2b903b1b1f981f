//! The routes of the operators' server, and those that need no more than a line.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use axum::body::to_bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router, middleware};
use serde_json::json;
use tokio::net::TcpListener;

use super::error::ApiError;
use super::path::Ask;
use super::state::Admin;
use super::{act, audited, guard, login, operator, page, path, pulse, scrape};
use crate::api::{NotReadyView, OperatorView};

/// The answer to `GET /`, for people.
const WELCOME: &str =
    "This is the operators' API of Enginehouse; in a browser it shows a dashboard. Clients of models use another address
(listen in the configuration).
Metrics: GET /metrics. How everything is: GET /api/v1/status, /api/v1/engines, /api/v1/models, /api/v1/gpus,
/api/v1/requests, /api/v1/rates, /api/v1/logs; what happens: GET /api/v1/events.
Where admin.token is set, send it as `Authorization: Bearer TOKEN`.
`enginehouse schema --api` prints the types of the API.
";

/// Largest body of a request: a configuration may have it.
const MOST_BODY: usize = 8 << 20;

impl Admin {
    /// Serves on `listener` until `stop` is ready, and tells those who listen what changes.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let (pulse, events) = (tokio::spawn(pulse::run(self.clone())), self.events.clone());
        let stopped = async move {
            stop.await;
            // Otherwise those who listen would be waited for.
            events.close();
        };
        let served = axum::serve(listener, self.router().into_make_service_with_connect_info::<SocketAddr>())
            .with_graceful_shutdown(stopped)
            .await;
        pulse.abort();
        served
    }

    fn router(self) -> Router {
        let guarded = Router::new()
            .route("/metrics", get(metrics))
            .route("/api/v1/{*rest}", any(api))
            .fallback(|| async { ApiError::unknown("There is nothing at this path.") })
            .layer(middleware::from_fn_with_state(self.clone(), guard::guard));
        let open = Router::new()
            .route("/", get(welcome))
            .route("/livez", get(|| async {}))
            .route("/readyz", get(ready))
            .route("/page/{name}", get(page_file))
            .route("/api/v1/login", post(login::login).layer(DefaultBodyLimit::max(login::MOST_BODY)))
            .route("/api/v1/logout", post(login::logout));
        open.merge(guarded).with_state(self)
    }
}

/// The dashboard for a browser, for others what this is and where to go. Both tell nothing of this gateway, and so ask for no
/// token.
async fn welcome(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") {
        return page::index();
    }
    if accept.contains("application/json") && !accept.contains("text/") {
        let paths = json!({ "service": "enginehouse operators' API", "metrics": "/metrics", "api": "/api/v1" });
        return Json(paths).into_response();
    }
    WELCOME.into_response()
}

async fn page_file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    page::file(&name, &headers)
}

async fn api(State(admin): State<Admin>, request: Request) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MOST_BODY)
        .await
        .map_err(|_| ApiError::malformed("The body is incomplete or larger than 8 MiB."))?;
    let ask = path::parse(&head.method, &head.uri, &body, |name| admin.registry.pool(name).is_some())?;
    let operator = operator::of(&head);
    match ask.change() {
        None => act::answer(&admin, (operator, &head.headers), ask).await,
        Some(detail) => {
            // In a task of its own: what is done is written down also if the operator goes away.
            let done = tokio::spawn(async move { acted(&admin, (operator, &head), detail, ask).await });
            done.await.map_err(|error| ApiError::broken("the action", &error))?
        }
    }
}

/// Does what is asked for and writes down who had it done.
async fn acted(
    admin: &Admin,
    (operator, head): (OperatorView, &Parts),
    detail: String,
    ask: Ask,
) -> Result<Response, ApiError> {
    let answer = act::answer(admin, (operator.clone(), &head.headers), ask).await;
    let outcome = match &answer {
        Ok(response) => (response.status(), None),
        Err(error) => (error.status, Some(error.message.clone())),
    };
    audited::note(admin, operator, (&head.method, &head.uri), detail, outcome).await;
    answer
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Result<Response, ApiError> {
    scrape::own(&admin, &headers)
}

/// As on the data port, by the names of models: 200 when one is served or none is due; with `?model=`, when that one is.
async fn ready(State(admin): State<Admin>, Query(asked): Query<Asked>) -> Result<Response, ApiError> {
    let shutting_down = admin.control.is_closed();
    let not_ready = match asked.model {
        Some(name) => {
            let Some(pool) = admin.registry.pool(&name) else {
                return Err(ApiError::unknown(format!("There is no model `{name}`.")));
            };
            if pool.is_available() { Vec::new() } else { vec![name] }
        }
        None => {
            let readiness = admin.registry.readiness();
            if readiness.is_ready {
                Vec::new()
            } else {
                readiness.missed.iter().map(|it| it.model.to_string()).collect()
            }
        }
    };
    if not_ready.is_empty() && !shutting_down {
        return Ok(StatusCode::OK.into_response());
    }
    Ok((StatusCode::SERVICE_UNAVAILABLE, Json(NotReadyView { not_ready, shutting_down })).into_response())
}

/// The query of `/readyz`.
#[derive(serde::Deserialize)]
struct Asked {
    model: Option<String>,
}

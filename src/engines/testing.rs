//! A server that answers as an engine does when it is looked at, for tests.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::config::EngineUrl;

/// An engine that others run, on a port of its own; ends when dropped.
pub(crate) struct StubServer {
    /// Where it is.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    health: AtomicU16,
    checks: AtomicUsize,
    served: Mutex<Vec<String>>,
    key: Mutex<Option<String>>,
}

impl StubServer {
    /// A healthy one that serves `names`.
    pub(crate) async fn serving(names: &[&str]) -> Self {
        let shared = Arc::new(Shared {
            health: AtomicU16::new(200),
            checks: AtomicUsize::new(0),
            served: Mutex::new(names.iter().map(ToString::to_string).collect()),
            key: Mutex::new(None),
        });
        let routes = Router::new()
            .route("/health", get(health_route))
            .route("/v1/models", get(models_route))
            .with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("serving");
        });
        Self { address, shared, task }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> EngineUrl {
        EngineUrl { tls: false, host: "127.0.0.1".into(), port: self.address.port(), base: String::new() }
    }

    /// What `/health` answers from now on.
    pub(crate) fn set_health(&self, status: u16) {
        self.shared.health.store(status, Ordering::SeqCst);
    }

    /// How often `/health` was asked.
    pub(crate) fn checks(&self) -> usize {
        self.shared.checks.load(Ordering::SeqCst)
    }

    /// The key `/v1/models` asks for from now on.
    pub(crate) fn set_key(&self, key: &str) {
        *self.shared.key.lock().expect("the key") = Some(format!("Bearer {key}"));
    }
}

impl Drop for StubServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn health_route(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.checks.fetch_add(1, Ordering::SeqCst);
    StatusCode::from_u16(shared.health.load(Ordering::SeqCst)).expect("a status")
}

async fn models_route(
    State(shared): State<Arc<Shared>>,
    headers: axum::http::HeaderMap,
) -> Result<axum::Json<serde_json::Value>, StatusCode> {
    let key = shared.key.lock().expect("the key").clone();
    let given = headers.get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
    if key.is_some() && key != given {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let names = shared.served.lock().expect("the names").clone();
    let cards: Vec<_> = names.iter().map(|id| json!({ "id": id, "object": "model", "max_model_len": 512 })).collect();
    Ok(axum::Json(json!({ "object": "list", "data": cards })))
}

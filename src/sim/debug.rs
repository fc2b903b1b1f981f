//! `/sim/*`: what arrived, what was counted, what shall fail.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use super::engine::Engine;
use super::faults::Fault;
use super::reply;
use super::sleep::parameter;

/// Requests that are remembered.
const REQUESTS: usize = 64;
/// Bytes of their bodies that are remembered; older requests go first.
const BYTES: usize = 160 << 20;
/// Longest body that is shown as text.
const SHOWN: usize = 1 << 20;

/// The requests seen last.
#[derive(Default)]
pub(super) struct Seen(Mutex<Ring>);

#[derive(Default)]
struct Ring {
    requests: VecDeque<Exchange>,
    bytes: usize,
    count: u64,
}

struct Exchange {
    number: u64,
    method: Method,
    target: String,
    version: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Seen {
    /// Remembers one request.
    pub(super) fn note(&self, parts: &Parts, body: &Bytes) {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let exchange = Exchange {
            number: 0,
            method: parts.method.clone(),
            target: parts.uri.to_string(),
            version: format!("{:?}", parts.version),
            headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
            body: body.clone(),
        };
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.count += 1;
        ring.bytes += exchange.body.len();
        let number = ring.count;
        ring.requests.push_back(Exchange { number, ..exchange });
        while ring.requests.len() > REQUESTS || ring.bytes > BYTES && ring.requests.len() > 1 {
            let gone = ring.requests.pop_front().map_or(0, |old| old.body.len());
            ring.bytes -= gone;
        }
    }

    /// `GET /sim/last_request[?n=][&path=]`: newest first; POST requests only unless a path is given.
    pub(super) fn last(&self, query: &str) -> Response {
        let wanted = parameter(query, "n").and_then(|n| n.parse::<usize>().ok());
        let path = parameter(query, "path").map(|path| path.replace("%2F", "/").replace("%2f", "/"));
        let shown: Vec<Value> = {
            let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = |exchange: &&Exchange| match &path {
                Some(path) => exchange.target.split('?').next() == Some(path),
                None => exchange.method == Method::POST,
            };
            ring.requests.iter().rev().filter(fits).take(wanted.unwrap_or(1)).map(Exchange::show).collect()
        };
        match (wanted, shown.first()) {
            (Some(_), _) => reply::ok(&Value::Array(shown)),
            (None, Some(last)) => reply::ok(last),
            (None, None) => reply::detail(StatusCode::NOT_FOUND, "No such request was seen yet."),
        }
    }
}

impl Exchange {
    fn show(&self) -> Value {
        let shown = &self.body[..self.body.len().min(SHOWN)];
        json!({
            "number": self.number, "method": self.method.as_str(), "target": self.target, "version": self.version,
            "headers": self.headers, "body": String::from_utf8_lossy(shown), "body_length": self.body.len(),
            "body_shown": shown.len(), "body_fnv1a64": format!("{:016x}", fnv1a64(&self.body)),
        })
    }
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): a few lines that a test in any language can repeat.
#[must_use]
pub fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `GET /sim/stats`
pub(super) fn stats(engine: &Engine) -> Response {
    let stats = &engine.stats;
    reply::ok(&json!({
        "started": stats.started(), "completed": stats.completed(), "aborted": stats.aborted(),
        "last_abort_micros": stats.last_abort_micros(), "in_flight": stats.in_flight(),
        "running": engine.scheduler.running(), "waiting": engine.scheduler.waiting(),
        "connections": stats.connections(), "open_connections": stats.open_connections(), "pid": std::process::id(),
    }))
}

/// `POST /sim/fault {"kind": …, "times": N, "path": …}`; `{"kind": "none"}` forgets all that wait. `wedge` and `unwedge`
/// are at once.
pub(super) fn plan(engine: &Engine, body: &[u8]) -> Response {
    let wrong = |why: String| reply::detail(StatusCode::BAD_REQUEST, &why);
    let order: Value = match serde_json::from_slice(body) {
        Ok(order) => order,
        Err(why) => {
            return wrong(format!("The body is no JSON ({why}); send {{\"kind\": \"status:503\", \"times\": 1}}."));
        }
    };
    let kind = order.get("kind").and_then(Value::as_str).unwrap_or_default();
    if matches!(kind, "none" | "wedge" | "unwedge") {
        engine.scheduler.wedge(kind == "wedge");
        if kind == "none" {
            engine.faults.clear();
        }
        return reply::ok(&json!({ "waiting": engine.faults.waiting(), "wedged": kind == "wedge" }));
    }
    let fault: Fault = match kind.parse() {
        Ok(fault) => fault,
        Err(why) => return wrong(why),
    };
    let times = order.get("times").and_then(Value::as_u64).map_or(1, |times| usize::try_from(times).unwrap_or(1));
    if times == 0 {
        return wrong("times is 0; say how many requests shall fail.".into());
    }
    let path = order.get("path").and_then(Value::as_str).map(Into::into);
    reply::ok(&json!({ "waiting": engine.faults.plan(fault, times, path) }))
}

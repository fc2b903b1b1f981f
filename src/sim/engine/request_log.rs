//! The requests that an engine saw last.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::sim::hash::fnv1a64;
use crate::sim::wire::query::parameter;
use crate::sim::wire::reply;

/// Requests that are remembered.
const REQUESTS: usize = 64;
/// Bytes of their bodies that are remembered; older requests go first.
const BYTES: usize = 160 << 20;
/// Longest body that is shown as text.
const SHOWN: usize = 1 << 20;

/// The requests seen last.
#[derive(Default)]
pub(crate) struct RequestLog(Mutex<Ring>);

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

impl RequestLog {
    /// Remembers one request.
    pub(crate) fn note(&self, parts: &Parts, body: &Bytes) {
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
    pub(crate) fn last(&self, query: &str) -> Response {
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

//! Small replies: JSON, text and empty ones, with uvicorn's headers.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, SERVER, VARY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

/// `application/json`.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response {
    bytes(status, Some("application/json"), value.to_string())
}

/// A 200 with JSON.
pub(crate) fn ok(value: &Value) -> Response {
    json(StatusCode::OK, value)
}

/// A 200 with nothing in it.
pub(crate) fn empty() -> Response {
    bytes(StatusCode::OK, None, "")
}

/// FastAPI's own errors: `{"detail": …}`.
pub(crate) fn detail(status: StatusCode, text: &str) -> Response {
    json(status, &json!({ "detail": text }))
}

/// Any body with its content type.
pub(crate) fn bytes(status: StatusCode, kind: Option<&'static str>, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("uvicorn"));
    if let Some(kind) = kind {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    response
}

/// The content type of event streams.
pub(crate) const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

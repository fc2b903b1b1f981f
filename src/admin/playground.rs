//! `POST /api/v1/playground/chat`: a conversation of an operator, passed on to the callers' address. A page may talk only to the
//! server that it is from.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Admin;
use super::error::ApiError;

/// Where the page puts the key of a caller; `Authorization` is for operators.
const CALLER_KEY: HeaderName = HeaderName::from_static("x-caller-key");

/// What is told of the answer.
const SHOWN: [HeaderName; 3] = [header::CONTENT_TYPE, header::RETRY_AFTER, HeaderName::from_static("x-request-id")];

/// Sends `body` as a caller would, and hands back what comes, as it comes.
pub(super) async fn chat(admin: &Admin, headers: &HeaderMap, body: Vec<u8>) -> Result<Response, ApiError> {
    let failed = |why: String| {
        ApiError::new(StatusCode::BAD_GATEWAY, format!("The gateway's own address for callers does not answer: {why}."))
    };
    let address = admin.reachable_address().ok_or_else(|| failed("it is closed".into()))?;
    let stream = TcpStream::connect(address).await.map_err(|error| failed(error.to_string()))?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| failed(error.to_string()))?;
    // It ends with the answer, or with the operator who leaves before.
    tokio::spawn(connection);
    let mut request = Request::post("/v1/chat/completions")
        .header(header::HOST, address.to_string())
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(key) = headers.get(CALLER_KEY) {
        let value = [b"Bearer ", key.as_bytes()].concat();
        request = request.header(header::AUTHORIZATION, value);
    }
    let request = request.body(Body::from(body)).map_err(|error| ApiError::malformed(error.to_string()))?;
    let answer = sender.send_request(request).await.map_err(|error| failed(error.to_string()))?;
    let (head, body) = answer.into_parts();
    let shown: HeaderMap =
        SHOWN.iter().filter_map(|name| Some((name.clone(), head.headers.get(name)?.clone()))).collect();
    Ok((head.status, shown, Body::new(body)).into_response())
}

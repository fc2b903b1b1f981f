//! `POST /api/v1/login` and `logout`: how a browser, which cannot send the token with everything, shows that it knows it.

use std::net::SocketAddr;
use std::time::SystemTime;

use axum::extract::rejection::StringRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::error::ApiError;
use super::{Admin, audited, guard, operator, session};
use crate::api;

/// Largest body of a login: a token is a line.
pub(super) const MOST_BODY: usize = 16 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    token: String,
}

/// Logs a browser in: 204 with a cookie, 401 for another token, 409 where none is needed.
pub(super) async fn login(
    State(admin): State<Admin>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    (method, uri, headers): (Method, Uri, HeaderMap),
    body: Result<String, StringRejection>,
) -> Result<Response, ApiError> {
    guard::may_change(&Method::POST, &headers)?;
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 16 KiB: no token is so long.")
        }
        status => ApiError::new(status, format!("The body could not be read: {}.", rejection.body_text())),
    })?;
    let example = r#"The body is not understood. Send one like {"token": "…"}."#;
    let Login { token: given } = serde_json::from_str(&body).map_err(|_| ApiError::malformed(example))?;
    let Some(token) = admin.token.get() else {
        return Err(ApiError::refused("No token is needed: the configuration has no `admin.token`."));
    };
    if !token.matches(given.as_bytes()) {
        tracing::warn!("a login at the operators' server was refused: wrong token");
        admin.token.wrong_one().await;
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "This is not the token of `admin.token`."));
    }
    let is_secure = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let cookie = session::cookie(&token, SystemTime::now(), is_secure);
    let operator = operator::named(&headers, Some(address), api::Login::Token);
    // Those that were refused are only in the gateway's own log: guesses must not push what was done out of this one.
    audited::note(&admin, operator, (&method, &uri), "log in".into(), (StatusCode::NO_CONTENT, None)).await;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Logs a browser out.
pub(super) async fn logout(headers: HeaderMap) -> Result<Response, ApiError> {
    guard::may_change(&Method::POST, &headers)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, session::no_cookie())]).into_response())
}

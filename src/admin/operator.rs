//! Who asks for something.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::api::{Login, OperatorView};

/// Characters of a program's name that are kept.
const MOST_OF_AGENT: usize = 120;

/// Who sent the request with this head, which the guard let through.
pub(super) fn of(head: &Parts) -> OperatorView {
    let address = head.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| *address);
    named(&head.headers, address, head.extensions.get::<Login>().copied().unwrap_or(Login::None))
}

/// Who sends these headers from `address`.
pub(super) fn named(headers: &HeaderMap, address: Option<SocketAddr>, login: Login) -> OperatorView {
    let agent = headers.get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
    let visible = |agent: String| agent.chars().filter(|c| !c.is_control()).take(MOST_OF_AGENT).collect();
    OperatorView { address: address.map(|address| address.to_string()), login, agent: agent.map(visible) }
}

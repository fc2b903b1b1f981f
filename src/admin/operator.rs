//! Who asks for something.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::http::header;
use axum::http::request::Parts;

use crate::api::{Login, OperatorView};

/// Characters of a program's name that are kept.
const MOST_OF_AGENT: usize = 120;

/// Who sent the request with this head, which the guard let through.
pub(super) fn of(head: &Parts) -> OperatorView {
    let agent =
        head.headers.get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
    let visible = |agent: String| agent.chars().filter(|c| !c.is_control()).take(MOST_OF_AGENT).collect();
    OperatorView {
        address: head.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.to_string()),
        login: head.extensions.get::<Login>().copied().unwrap_or(Login::None),
        agent: agent.map(visible),
    }
}

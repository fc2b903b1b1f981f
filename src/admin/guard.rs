//! Who may use the operators' API: clients with the token, and no web pages of other origins.
//!
//! A browser on an operator's machine reaches 127.0.0.1 for any page it shows. Without a token there are two ways in:
//! a page sends a form or a `fetch` across origins (the answer stays hidden from it, what was done is done), or its own
//! name starts to resolve to 127.0.0.1 (DNS rebinding), and then it may read answers as well.

use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::{Admin, session};
use crate::api::Login;
use crate::secret::Secret;

/// Set by browsers; scripts of a page cannot set it (W3C, Fetch Metadata Request Headers).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets a request through or answers it.
pub(super) async fn guard(State(admin): State<Admin>, mut request: Request, next: Next) -> Response {
    match admit((admin.token.get().as_deref(), admin.token.local()), request.method(), request.headers()) {
        Ok(login) => {
            request.extensions_mut().insert(login);
            next.run(request).await
        }
        Err(error) => {
            // A token that is not shown is not guessed.
            if error.status == StatusCode::UNAUTHORIZED && request.headers().contains_key(header::AUTHORIZATION) {
                admin.token.wrong_one().await;
            }
            error.into_response()
        }
    }
}

/// `token`: that of the configuration; `local`: that of this process.
fn admit(
    (token, local): (Option<&Secret>, Option<&Secret>),
    method: &Method,
    headers: &HeaderMap,
) -> Result<Login, ApiError> {
    let given = headers.get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    let given = given.strip_prefix(b"Bearer ").unwrap_or_default();
    let login = match token {
        _ if local.is_some_and(|local| local.matches(given)) => Login::Local,
        Some(token) => {
            if token.matches(given) {
                Login::Token
            } else if session::is_good(token, headers, SystemTime::now()) {
                Login::Cookie
            } else {
                return Err(ApiError::unauthorised());
            }
        }
        None if !is_plain(host(headers).as_ref()) => {
            let message = "Without `admin.token` this server answers to IP addresses and `localhost` only: use one of \
                           them in the URL, or set a token.";
            return Err(ApiError::new(StatusCode::FORBIDDEN, message));
        }
        None => Login::None,
    };
    may_change(method, headers)?;
    Ok(login)
}

/// Lets only pages of this server change something.
pub(super) fn may_change(method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    if method != Method::GET && method != Method::HEAD && is_foreign(headers) {
        let message = "A web page of another origin may not change anything here.";
        return Err(ApiError::new(StatusCode::FORBIDDEN, message));
    }
    Ok(())
}

/// What the client calls this server.
pub(super) fn host(headers: &HeaderMap) -> Option<Authority> {
    Authority::try_from(headers.get(header::HOST)?.as_bytes()).ok()
}

/// Whether no name server has a say in where `host` is.
fn is_plain(host: Option<&Authority>) -> bool {
    host.is_some_and(|host| {
        let name = host.host();
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        bare.parse::<std::net::IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
    })
}

/// Whether a browser sent this for a page of another origin. Other clients do not send the headers that tell it.
fn is_foreign(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(FETCH_SITE) {
        // `none`: the user typed it.
        return site != "same-origin" && site != "none";
    }
    // Older browsers.
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    // A proxy that terminates TLS in front of us changes the scheme, never the name.
    let from = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, from)| from);
    let to = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    !matches!((from, to), (Some(from), Some(to)) if from.eq_ignore_ascii_case(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(token: Option<&str>, method: Method, pairs: &[(&'static str, &'static str)]) -> u16 {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")))
            .collect::<HeaderMap>();
        admit((token.map(Secret::new).as_ref(), Some(&Secret::new("local"))), &method, &headers)
            .map_or_else(|error| error.status.as_u16(), |_| 200)
    }

    #[test]
    fn without_a_token_only_addresses_and_localhost_are_answered_to() {
        for host in ["127.0.0.1:8001", "127.0.0.1", "[::1]:8001", "localhost", "LOCALHOST:8001", "10.0.0.7:1"] {
            assert_eq!(status(None, Method::GET, &[("host", host)]), 200, "{host}");
        }
        for host in
            ["evil.example", "evil.example:8001", "localhost.evil.example", "localhost@evil.example", "", "[::1"]
        {
            assert_eq!(status(None, Method::GET, &[("host", host)]), 403, "{host}");
            assert_eq!(status(Some("t"), Method::GET, &[("host", host), ("authorization", "Bearer t")]), 200, "{host}");
        }
        assert_eq!(status(None, Method::GET, &[]), 403);
    }

    #[test]
    fn the_token_is_asked_for_whatever_else_is_said() {
        let host = ("host", "127.0.0.1");
        assert_eq!(status(Some("t"), Method::GET, &[host]), 401);
        assert_eq!(status(Some("t"), Method::POST, &[host, ("authorization", "Bearer x")]), 401);
        assert_eq!(status(Some("t"), Method::POST, &[host, ("authorization", "t")]), 401);
        assert_eq!(status(Some("t"), Method::POST, &[host, ("authorization", "Bearer t")]), 200);
        assert_eq!(status(Some("t"), Method::POST, &[host, ("authorization", "Bearer local")]), 200);
        assert_eq!(status(Some("t"), Method::POST, &[host, ("authorization", "local")]), 401);
    }

    #[test]
    fn pages_of_other_origins_change_nothing() {
        let (host, key) = (("host", "127.0.0.1:8001"), ("authorization", "Bearer t"));
        let post = |more: &[(&'static str, &'static str)]| {
            let all: Vec<_> = [&[host, key], more].concat();
            let (open, closed) = (status(None, Method::POST, &all), status(Some("t"), Method::DELETE, &all));
            assert_eq!(open, closed);
            open
        };
        assert_eq!(post(&[]), 200, "no browser");
        for site in ["same-origin", "none"] {
            assert_eq!(post(&[("sec-fetch-site", site)]), 200, "{site}");
        }
        for site in ["cross-site", "same-site", "surprise"] {
            assert_eq!(post(&[("sec-fetch-site", site)]), 403, "{site}");
            assert_eq!(status(None, Method::GET, &[host, ("sec-fetch-site", site)]), 200, "reading is not changing");
        }
        for origin in ["http://127.0.0.1:8001", "https://127.0.0.1:8001"] {
            assert_eq!(post(&[("origin", origin)]), 200, "{origin}");
        }
        for origin in ["http://evil.example", "null", "http://127.0.0.1:9999", "http://127.0.0.1", ""] {
            assert_eq!(post(&[("origin", origin)]), 403, "{origin}");
        }
    }
}

//! What the head of a request over HTTP/2 must be for the request to be taken in at all. Pure.
//!
//! The same is asked of heads over HTTP/1.1: one that two programs could understand in two ways goes nowhere.
//! Lengths are not looked at here: `body` refuses what is not one number, and engines get a length of our own.

use http::{Method, header};
use pingora::http::RequestHeader;
use pingora::protocols::http::authority::{RawTargetAuthority, raw_target_authority, validate_request_authority};

use crate::openai::{ApiError, Code};
use crate::proxy::reply::SERVED_METHODS;

/// Checks that the request is for one host and one path, and is none for a tunnel. One that is malformed is refused with 400.
pub(super) fn check(head: &RequestHeader) -> Result<(), ApiError> {
    if head.method == Method::CONNECT {
        return Err(ApiError::new(Code::MethodNotAllowed, "CONNECT is not served here.").allow(SERVED_METHODS));
    }
    let malformed = |code, message: &str| Err(ApiError::new(code, message));
    // A space or the end of a line would be one in the request line for an engine.
    if head.raw_path().iter().any(|byte| matches!(byte, b'\0' | b'\n' | b'\r' | b' ')) {
        return malformed(Code::InvalidHttp, "The request's :path has a byte that no path may have.");
    }
    if head.uri.authority().is_none() && !head.headers.contains_key(header::HOST) {
        let message = "An HTTP/2 request needs :authority or a Host header (RFC 9113, 8.3.1).";
        return malformed(Code::MissingHost, message);
    }
    if raw_target_authority(head.raw_path()) != RawTargetAuthority::None {
        return malformed(Code::InvalidHttp, "The request's :path must be a path alone, without a host.");
    }
    if validate_request_authority(head).is_err() {
        let message = "The request's :authority and its Host header must be one and the same host, without a user.";
        return malformed(Code::InvalidHttp, message);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{Request, Uri, uri};

    use super::*;

    /// What is answered to a request for `path` with that `:authority` and these Host headers.
    fn answered(method: &str, authority: Option<&str>, path: &str, hosts: &[&str]) -> Option<u16> {
        let mut parts = uri::Parts::default();
        parts.scheme = authority.map(|_| uri::Scheme::HTTP);
        parts.authority = authority.map(|authority| authority.parse().expect("an authority"));
        parts.path_and_query = Some(path.parse().expect("a path"));
        let mut request = Request::builder().method(method).uri(Uri::from_parts(parts).expect("a target"));
        for host in hosts {
            request = request.header("host", *host);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        check(&parts.into()).err().map(|error| error.status)
    }

    #[test]
    fn a_request_is_for_one_host() {
        for (authority, hosts) in
            [(Some("a"), &[][..]), (Some("a:80"), &["a:80"]), (None, &["a"]), (Some("[::1]:8000"), &[])]
        {
            assert_eq!(answered("POST", authority, "/v1/x?a=b", hosts), None, "{authority:?} {hosts:?}");
        }
        for (authority, hosts) in [
            (None, &[][..]),
            (Some("a"), &["b"]),
            (Some("a"), &["a:80"]),
            (Some("u@a"), &[]),
            (None, &["u@a"]),
            (None, &["a", "a"]),
            (Some("a"), &["a", "b"]),
        ] {
            assert_eq!(answered("GET", authority, "/", hosts), Some(400), "{authority:?} {hosts:?}");
        }
    }

    #[test]
    fn a_path_is_a_path() {
        for path in ["/", "/v1/x?a=b", "/http://b/", "*", "/a//b:80"] {
            assert_eq!(answered("OPTIONS", Some("a"), path, &[]), None, "{path}");
        }
        let target = |path: &[u8]| {
            let mut head = RequestHeader::build("GET", b"/", None).expect("a head");
            head.insert_header("host", "a").expect("valid");
            head.set_raw_path(path).map(|()| check(&head).err().map(|error| error.status))
        };
        for path in [&b"http://b/"[..], b"http:/\\b/", b"ws://b"] {
            assert_eq!(target(path).expect("a target"), Some(400), "{path:?}");
        }
        for path in [&b"/a b"[..], b"/a\r\nx: y", b"/\0"] {
            // Where it can be had at all.
            assert!(target(path).is_err() || target(path).is_ok_and(|told| told == Some(400)), "{path:?}");
        }
    }

    #[test]
    fn a_tunnel_is_refused_whatever_it_is_for() {
        let (mut parts, ()) = Request::new(()).into_parts();
        (parts.method, parts.uri) = (Method::CONNECT, Uri::from_static("a:443"));
        assert_eq!(check(&parts.into()).expect_err("refused").status, 405);
    }
}

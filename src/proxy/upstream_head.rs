//! The head of a request as the engine gets it.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, Result};

use super::context::{Forward, REQUEST_ID, RequestContext};
use crate::http1::RequestHead;
use crate::routing::CREDENTIALS;
use crate::telemetry::{TRACEPARENT, TRACESTATE};

/// What concerns the caller's connection alone, or is said anew, and never reaches an engine (RFC 9110, 7.6.1). Engines never upgrade:
/// no WebSocket, no h2c.
static OURS: [HeaderName; 14] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    REQUEST_ID,
];

/// What a caller must not have taken out by naming it in `Connection`.
const PROTECTED: [&str; 4] = ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

/// Most names in `Connection`.
const MAX_NAMED: usize = 64;

/// The head for this attempt, made of the head of the caller's request.
///
/// # Errors
/// The caller names headers in `Connection` that it may not name.
pub(super) fn write(caller: &RequestHeader, ctx: &mut RequestContext) -> Result<Bytes> {
    let named = named(caller)?;
    let missing = || Error::new(ErrorType::InternalError);
    let Forward { attempts, request, .. } = &**ctx.forward.as_ref().ok_or_else(missing)?;
    let trace = attempts.trace();
    let engine = &attempts.current.as_ref().ok_or_else(missing)?.lease;
    let has_body = caller.method != Method::GET;
    // What is translated, or gets another name, must be readable.
    let is_read = request.translator.is_some()
        || ctx.target().is_some_and(|target| target.response_model(request.requested.as_ref()).is_some());
    // They were for us.
    let hides_credentials = ctx.snapshot.callers.are_configured() || engine.address.api_key.is_some();
    let is_left_out = |name: &HeaderName| {
        OURS.contains(name)
            || named.contains(name)
            || *name == header::ACCEPT_ENCODING && is_read
            || *name == header::CONTENT_ENCODING && request.decoded
            || *name == header::CONTENT_TYPE && !has_body
            // The span that the engine's belongs to is the attempt's.
            || trace.is_some() && (*name == TRACEPARENT || *name == TRACESTATE)
            || hides_credentials && CREDENTIALS.contains(name)
            || request.headers.iter().any(|(ours, _)| ours == name)
    };
    // An origin server gets a path (RFC 9112, 3.2), and knows nothing of paths of our own.
    let path = engine.address.url.path(request.path());
    let mut head = RequestHead::new(&caller.method, &path, caller.uri.query());
    head.push(&header::HOST, engine.authority().as_bytes());
    for (name, value) in caller.headers.iter().filter(|(name, _)| !is_left_out(name)) {
        head.push(name, value.as_bytes());
    }
    for (name, value) in &request.headers {
        head.push(name, value.as_bytes());
    }
    if let Some(key) = &engine.address.api_key {
        head.push(&header::AUTHORIZATION, format!("Bearer {}", key.expose()).as_bytes());
    }
    if let Some((parent, state)) = trace {
        head.push(&TRACEPARENT, &parent);
        if let Some(state) = state {
            head.push(&TRACESTATE, state.as_bytes());
        }
    }
    head.push(&REQUEST_ID, ctx.account.id.as_bytes());
    if has_body {
        head.push(&header::CONTENT_LENGTH, request.body.len().to_string().as_bytes());
    }
    ctx.account.clock.ours.stop();
    Ok(head.end())
}

/// The headers that the caller names in `Connection`: they concern its connection alone.
fn named(caller: &RequestHeader) -> Result<Vec<HeaderName>> {
    let values = caller.headers.get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes);
    let names = values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let mut named = Vec::new();
    for name in names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"keep-alive")) {
        let refused = || Error::new_down(ErrorType::InvalidHTTPHeader);
        let name = HeaderName::from_bytes(name).map_err(|_| refused())?;
        if PROTECTED.contains(&name.as_str()) || named.len() == MAX_NAMED {
            return Err(refused());
        }
        named.push(name);
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(values: &[&'static str]) -> std::result::Result<Vec<String>, bool> {
        let mut head = RequestHeader::build_no_case("POST", b"/", None).expect("a head");
        for value in values {
            head.append_header("connection", *value).expect("a header");
        }
        let named = named(&head).map_err(|error| *error.etype() == ErrorType::InvalidHTTPHeader)?;
        Ok(named.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_connection_names_is_the_callers_alone_and_some_must_stay() {
        assert_eq!(names(&[]), Ok(vec![]));
        assert_eq!(names(&["keep-alive"]), Ok(vec![]));
        assert_eq!(names(&["close, X-Own", " ,x-other"]), Ok(vec!["close".into(), "x-own".into(), "x-other".into()]));
        for bad in ["X-Forwarded-For", "Host", ":path", "a b", "\"x\""] {
            assert_eq!(names(&["x", bad]), Err(true), "{bad}");
        }
    }
}

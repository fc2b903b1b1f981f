//! The head of a request as the engine gets it.

use http::{Method, header};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, Result};

use super::context::{REQUEST_ID, RequestContext};
use crate::routing::CREDENTIALS;

/// The head for this attempt. Pingora has cloned the caller's and taken out hop-by-hop headers.
pub(super) fn write(request: &mut RequestHeader, ctx: &mut RequestContext) -> Result<()> {
    let missing = || Error::new(ErrorType::InternalError);
    let forward = ctx.forward.as_ref().ok_or_else(missing)?;
    let engine = &forward.attempts.current.as_ref().ok_or_else(missing)?.lease;
    let upstream = &forward.request;
    request.remove_header(&header::TRANSFER_ENCODING);
    request.remove_header(&header::EXPECT);
    request.remove_header(&header::PROXY_AUTHORIZATION);
    let requested = upstream.requested.as_ref();
    if upstream.translator.is_some() || ctx.target().is_some_and(|target| target.response_model(requested).is_some()) {
        // Its answer must be readable.
        request.remove_header(&header::ACCEPT_ENCODING);
    }
    if upstream.decoded {
        request.remove_header(&header::CONTENT_ENCODING);
    }
    if ctx.snapshot.callers.are_configured() {
        // They were for us.
        CREDENTIALS.iter().for_each(|name| drop(request.remove_header(name)));
    }
    for (name, value) in &upstream.headers {
        request.insert_header(name.clone(), value.clone())?;
    }
    if request.method == Method::GET {
        request.remove_header(&header::CONTENT_LENGTH);
        request.remove_header(&header::CONTENT_TYPE);
    } else {
        request.insert_header(header::CONTENT_LENGTH, upstream.body.len())?;
    }
    request.insert_header(header::HOST, engine.authority().clone())?;
    request.insert_header(REQUEST_ID, ctx.account.id.clone())?;
    if let Some(key) = &engine.address.api_key {
        request.insert_header(header::AUTHORIZATION, format!("Bearer {}", key.expose()))?;
        // The caller's own credentials were for us.
        CREDENTIALS
            .iter()
            .filter(|name| **name != header::AUTHORIZATION)
            .for_each(|name| drop(request.remove_header(name)));
    }
    let path = engine.address.url.path(upstream.path());
    // Absolute form is for proxies; an origin server gets a path (RFC 9112, 3.2). Nor does it know of paths of our own.
    if request.uri.authority().is_some() || request.uri.path() != path {
        let query = request.uri.query().map_or_else(String::new, |query| format!("?{query}"));
        let uri = format!("{path}{query}").parse().map_err(|_| Error::new(ErrorType::InvalidHTTPHeader))?;
        request.set_uri(uri);
    }
    ctx.account.clock.ours.stop();
    Ok(())
}

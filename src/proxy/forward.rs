//! One attempt: the request as the engine gets it, and what to do when it fails before an answer began.

use http::header;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::auth::CREDENTIALS;
use super::context::Context;
use super::pick::{eject, has_another, is_clean};
use super::{Shared, fallback};
use crate::openai::Endpoint;

/// The head for this attempt. Pingora has cloned the caller's and taken out hop-by-hop headers.
pub(super) fn head(request: &mut RequestHeader, ctx: &mut Context) -> Result<()> {
    let Some(lease) = &ctx.lease else { return Err(Error::new(ErrorType::InternalError)) };
    request.remove_header(&header::TRANSFER_ENCODING);
    request.remove_header(&header::EXPECT);
    if ctx.translator.is_some() || ctx.target().is_some_and(|target| target.echo().is_some()) {
        // Its answer must be readable.
        request.remove_header(&header::ACCEPT_ENCODING);
    }
    if ctx.decoded {
        request.remove_header(&header::CONTENT_ENCODING);
    }
    if ctx.target.as_ref().is_some_and(|(table, _)| table.callers.are_known()) {
        // They were for us.
        CREDENTIALS.iter().for_each(|name| drop(request.remove_header(name)));
    }
    for (name, value) in &ctx.headers {
        request.insert_header(name.clone(), value.clone())?;
    }
    request.insert_header(header::CONTENT_LENGTH, ctx.body.len())?;
    request.insert_header(header::HOST, &**lease.authority())?;
    request.insert_header("x-request-id", &ctx.id)?;
    if let Some(key) = &lease.address.api_key {
        request.insert_header(header::AUTHORIZATION, format!("Bearer {}", key.expose()))?;
        // The caller's own credentials were for us.
        request.remove_header("x-api-key");
    }
    request.remove_header(&header::PROXY_AUTHORIZATION);
    let path = ctx.upstream.map_or("/", Endpoint::path);
    // Absolute form is for proxies; an origin server gets a path (RFC 9112, 3.2). Nor does it know of paths of our own.
    if request.uri.authority().is_some() || request.uri.path() != path {
        let query = request.uri.query().map_or_else(String::new, |query| format!("?{query}"));
        let uri = format!("{path}{query}").parse().map_err(|_| Error::new(ErrorType::InvalidHTTPHeader))?;
        request.set_uri(uri);
    }
    ctx.ours.stop();
    Ok(())
}

/// An engine's answer has begun. A busy engine's refusal is taken back when another one may do better.
pub(super) fn response(shared: &Shared, session: &Session, response: &ResponseHeader, ctx: &mut Context) -> Result<()> {
    ctx.ours.start();
    let status = response.status.as_u16();
    let busy = match status {
        502 | 503 => true,
        // Full, or too small for this request: its brothers are alike, and only another target may do better.
        429 => !ctx.fallback.is_empty(),
        400 | 413 => fallback::may_be_longer(ctx),
        _ => false,
    };
    ctx.leave = busy && !matches!(status, 502 | 503);
    if busy && is_clean(session) && may_retry(shared, ctx, "status") {
        let mut error = Error::new_up(ErrorType::HTTPStatus(status));
        error.set_retry(true);
        return Err(error);
    }
    Ok(())
}

/// The engine could not be reached: nobody has seen the request.
pub(super) fn connect_failed(
    shared: &Shared,
    session: &Session,
    ctx: &mut Context,
    mut error: Box<Error>,
) -> Box<Error> {
    ctx.ours.start();
    eject(ctx);
    // Neither budget nor attempts bound this: a refused connection costs no engine anything, and each is tried once.
    let retry = is_clean(session) && has_another(ctx);
    if retry {
        retry_elsewhere(shared, ctx, "connect");
    }
    error.set_retry(retry);
    error
}

/// The attempt failed after the connection was there.
pub(super) fn attempt_failed(
    shared: &Shared,
    session: &Session,
    ctx: &mut Context,
    mut error: Box<Error>,
    reused: bool,
) -> Box<Error> {
    ctx.ours.start();
    let upstream = error.esource() == &ErrorSource::Upstream;
    if !upstream || !is_clean(session) {
        error.set_retry(false);
        return error;
    }
    match error.etype() {
        // Decided by `response`.
        ErrorType::HTTPStatus(_) => {}
        ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError if reused => {
            // A kept connection that the engine had closed meanwhile says nothing of the engine's health:
            // the same one gets another chance on a fresh connection.
            ctx.tried.pop();
            error.set_retry(true);
        }
        ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError => {
            eject(ctx);
            error.set_retry(may_retry(shared, ctx, "died"));
        }
        _ => error.set_retry(false),
    }
    error
}

/// Whether another attempt is allowed, affordable and possible; prepares for it if so.
fn may_retry(shared: &Shared, ctx: &mut Context, reason: &'static str) -> bool {
    if ctx.resent + 1 >= shared.retry.attempts || !has_another(ctx) {
        return false;
    }
    if !ctx.target().is_some_and(|target| target.budget.spend()) {
        return false;
    }
    ctx.resent += 1;
    retry_elsewhere(shared, ctx, reason);
    true
}

/// Counts the retry and gives up the lease, so that the next attempt picks anew.
fn retry_elsewhere(shared: &Shared, ctx: &mut Context, reason: &'static str) {
    ctx.lease = None;
    if let Some(target) = ctx.target() {
        target.meters.retried(&shared.metrics, reason);
    }
    ctx.retries += 1;
}

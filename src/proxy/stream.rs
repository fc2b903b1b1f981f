//! The answer on its way to the caller: every piece at once, read in passing, ended well.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{Version, header};
use pingora::http::ResponseHeader;
use pingora::proxy::{FailToProxy, Session};
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::context::Context;
use super::pick::is_clean;
use super::reply;
use super::rework::Rework;
use super::standin::CUT;
use super::table::Target;
use crate::openai::{ApiError, Code, Echo, SseScanner, UsageFinder};

/// The head of an engine's answer, as the caller gets it.
pub(super) fn head(session: &Session, response: &mut ResponseHeader, ctx: &mut Context) -> Result<()> {
    if response.status.is_informational() {
        return Ok(());
    }
    response.insert_header("x-request-id", &ctx.id)?;
    if session.req_header().version == Version::HTTP_10 {
        // The connection ends with the answer: `accept::tune`.
        response.remove_header(&header::TRANSFER_ENCODING);
    }
    // What is compressed passes unread.
    let readable = !response.headers.contains_key(header::CONTENT_ENCODING);
    let kind = response.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    if readable && response.status.is_success() {
        if kind.starts_with(b"text/event-stream") {
            ctx.events = Some(SseScanner::default());
            ctx.usage = Some(UsageFinder::default());
        } else if kind.starts_with(b"application/json") {
            ctx.usage = Some(UsageFinder::default());
        }
    }
    ctx.rework = if readable { rework(response.status.as_u16(), kind, ctx) } else { Rework::None };
    if !ctx.rework.is_none() {
        // What it will be is not known yet. `standin` says it where it can.
        response.remove_header(&header::CONTENT_LENGTH);
        if session.req_header().version != Version::HTTP_10 {
            response.insert_header(header::TRANSFER_ENCODING, "chunked")?;
        }
    }
    if let Rework::Whole { .. } = ctx.rework {
        response.insert_header(header::CONTENT_TYPE, "application/json")?;
    }
    ctx.ours.stop();
    Ok(())
}

/// What is to be done to an answer with this `status` and content type.
fn rework(status: u16, kind: &[u8], ctx: &mut Context) -> Rework {
    let success = (200..300).contains(&status);
    let events = kind.starts_with(b"text/event-stream");
    match ctx.translator.clone() {
        Some(teller) if success && events => Rework::Events(teller.by),
        Some(by) => Rework::Whole { by, status, kept: BytesMut::new() },
        None => match ctx.target().and_then(Target::echo).filter(|_| success) {
            Some(name) if events => Rework::Named(Box::new(Echo::events(name))),
            Some(name) if kind.starts_with(b"application/json") => Rework::Named(Box::new(Echo::json(name))),
            _ => Rework::None,
        },
    }
}

/// A piece of the answer, before it is written; `end`: the last one.
pub(super) fn body(piece: &mut Option<Bytes>, end: bool, ctx: &mut Context) -> Result<()> {
    let readable = ctx.usage.is_some() || ctx.events.is_some();
    if ctx.rework.is_none() && !readable {
        return Ok(());
    }
    // The clock is asked twice for a piece, whatever is done to it: it is no cheaper than the rest.
    let now = Instant::now();
    if readable {
        read(piece.as_deref(), now, ctx);
    }
    let told = ctx.rework.feed(piece, end);
    ctx.ours.add(now.elapsed());
    told.map_err(|refusal| {
        ctx.refusal = Some(refusal);
        Error::new_in(ErrorType::InternalError)
    })
}

/// Notes what a piece of the engine's answer, which came `now`, says of tokens and time.
fn read(piece: Option<&[u8]>, now: Instant, ctx: &mut Context) {
    let Some(piece) = piece.filter(|piece| !piece.is_empty()) else { return };
    if let Some(usage) = &mut ctx.usage {
        usage.feed(piece);
    }
    let events = ctx.events.as_mut().map_or(0, |scanner| scanner.feed(piece));
    if events > 0 {
        if let Some((table, at)) = &ctx.target {
            let meters = &table.targets[*at].meters;
            match ctx.last_event {
                Some(last) => meters.tokens_after(now - last, events),
                None => {
                    ctx.first_event = Some(now);
                    meters.first_token(now - ctx.complete.unwrap_or(ctx.started));
                }
            }
        }
        ctx.last_event = Some(now);
    }
}

/// The request failed for good: says so, in whatever way is still open.
pub(super) async fn fail(session: &mut Session, error: &Error, ctx: &mut Context) -> FailToProxy {
    let gone = FailToProxy { error_code: 0, can_reuse_downstream: false };
    if error.esource() == &ErrorSource::Downstream && !matches!(error.etype(), ErrorType::InvalidHTTPHeader | &CUT) {
        ctx.error = Some("client_gone");
        return gone;
    }
    let refusal = match ctx.refusal.take() {
        Some(refusal) => refusal,
        None => explain(error, ctx),
    };
    let status = refusal.status;
    if is_clean(session) {
        // Nothing can be done about a caller that leaves just now.
        let _ = reply::refuse(session, ctx, refusal).await;
        return FailToProxy { error_code: status, can_reuse_downstream: true };
    }
    ctx.error = Some(refusal.code);
    if let Some(scanner) = &ctx.events
        && !scanner.done()
    {
        let boundary = scanner.at_boundary();
        let event = ctx.rework.fail(&refusal).unwrap_or_else(|| refusal.event(ctx.dialect(), boundary).into());
        ctx.ended = session.write_response_body(Some(event), true).await.is_ok();
    }
    // An answer of known length stays visibly short.
    FailToProxy { error_code: status, can_reuse_downstream: false }
}

fn explain(error: &Error, ctx: &Context) -> ApiError {
    let engine = ctx.lease.as_ref().map_or_else(|| "the engine".to_owned(), |lease| format!("engine {}", lease.id));
    let what = error.etype();
    match what {
        ErrorType::InvalidHTTPHeader if error.esource() == &ErrorSource::Downstream => {
            ApiError::new(Code::InvalidHeader, "A request header is not valid.")
        }
        &CUT => {
            let message =
                "The gateway is shutting down and gave up this answer (timeouts.drain). Try again on another one.";
            ApiError::new(Code::ShuttingDown, message)
        }
        ErrorType::ReadTimedout => ApiError::new(
            Code::EngineTimeout,
            format!("No sign of life from {engine} for longer than timeouts.read; the request was given up."),
        ),
        ErrorType::ConnectTimedout
        | ErrorType::ConnectRefused
        | ErrorType::ConnectError
        | ErrorType::ConnectNoRoute => {
            let message = format!("{engine} cannot be reached ({}).", what.as_str());
            ApiError::new(Code::EngineUnreachable, message)
        }
        _ => {
            let message =
                format!("The connection to {engine} broke before its answer was complete ({}).", what.as_str());
            ApiError::new(Code::EngineDied, message)
        }
    }
}

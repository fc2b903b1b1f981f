//! The answer on its way to the caller: each piece is read, translated if needed, and passed on at once.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderName, Version, header};
use pingora::http::ResponseHeader;
use pingora::proxy::{FailToProxy, Session};
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::context::{Forward, RequestContext};
use super::downstream::{ABORTED, Downstream, EXPIRED, LEFT};
use super::response::KeptResponse;
use super::retry::is_clean;
use super::transform::{ResponseTransform, last_event};
use super::{ProxyState, cors, kept_response, reply};
use crate::openai::{ApiError, Code, Dialect, Endpoint, Scanned, events_before_output, output_events, without_usage};

/// The header that names the types of tools which the engine was not told of, because nobody here can run them.
const DROPPED_TOOLS: &str = "x-enginehouse-dropped-tools";

/// What concerns the engine's connection alone, named by it or not.
static OF_A_CONNECTION: [HeaderName; 5] = [
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The head of an engine's answer, as the caller gets it.
pub(super) fn head(session: &Session, response: &mut ResponseHeader, ctx: &mut RequestContext) -> Result<()> {
    remove_hop_by_hop(response);
    ctx.account.name_answer(response)?;
    cors::write(response, ctx.account.cors.as_deref())?;
    if matches!(response.status.as_u16(), 429 | 503) && !response.headers.contains_key(header::RETRY_AFTER) {
        // vLLM says nothing of it. Its queue may have room again at once.
        response.insert_header(header::RETRY_AFTER, 1)?;
    }
    let is_http10 = session.req_header().version == Version::HTTP_10;
    if is_http10 {
        // The connection ends with the answer: `accept::tune`.
        response.remove_header(&header::TRANSFER_ENCODING);
    }
    let requested = ctx.forward.as_ref().and_then(|forward| forward.request.requested.as_ref());
    let name = ctx.target().and_then(|target| target.response_model(requested)).cloned();
    let Some(forward) = &mut ctx.forward else { return Ok(()) };
    if let Some(translator) = &forward.request.translator
        && !translator.by.dropped_tools().is_empty()
    {
        response.insert_header(DROPPED_TOOLS, translator.by.dropped_tools().join(", "))?;
    }
    let is_opened = forward.downstream.is_opened();
    // What is compressed passes unread.
    let readable = !response.headers.contains_key(header::CONTENT_ENCODING);
    let kind = response.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let answer = &mut forward.response;
    if is_opened && !(response.status == 200 && readable && kind.starts_with(b"text/event-stream")) {
        ctx.account.error = Some("engine_error");
        answer.follow_late(response.status.as_u16(), forward.request.translator.clone(), ctx.account.dialect());
        return Ok(());
    }
    let renamed = readable && {
        let translator = forward.request.translator.clone();
        answer.hides_usage = forward.request.hides_usage;
        answer.follow(response.status.as_u16(), kind, translator, name.as_deref())
    };
    answer.kept = match &forward.request.about {
        Some(about) => KeptResponse::Known(about.0.clone()),
        None if forward.request.endpoint == Endpoint::Responses && response.status == 200 && readable => {
            KeptResponse::Awaited
        }
        None => KeptResponse::No,
    };
    if renamed || !answer.transform.is_none() {
        // What it will be is not known yet. The buffered downstream says it where it can.
        response.remove_header(&header::CONTENT_LENGTH);
        if !is_http10 {
            response.insert_header(header::TRANSFER_ENCODING, "chunked")?;
        }
    }
    if let ResponseTransform::Whole { .. } = answer.transform {
        response.insert_header(header::CONTENT_TYPE, "application/json")?;
    }
    ctx.account.clock.ours.stop();
    Ok(())
}

/// Takes out what an engine says of its own connection (RFC 9110, 7.6.1).
fn remove_hop_by_hop(response: &mut ResponseHeader) {
    let named = response.headers.get(header::CONNECTION).and_then(|named| named.to_str().ok()).unwrap_or_default();
    let named: Vec<HeaderName> = named.split(',').filter_map(|name| name.trim().parse().ok()).collect();
    for name in named.iter().chain(&OF_A_CONNECTION) {
        if *name != header::TRANSFER_ENCODING && *name != header::CONTENT_LENGTH && *name != header::CONTENT_TYPE {
            response.remove_header(name);
        }
    }
}

/// A piece of the answer, before it is written; `end`: the last one.
pub(super) fn body(state: &ProxyState, piece: &mut Option<Bytes>, end: bool, ctx: &mut RequestContext) -> Result<()> {
    let Some(forward) = &ctx.forward else { return Ok(()) };
    if forward.response.transform.is_none() && forward.response.scanner.is_none() {
        return Ok(());
    }
    // The clock is asked twice for a piece, whatever is done to it: it is no cheaper than the rest.
    let now = Instant::now();
    kept_response::note(state, piece.as_deref().unwrap_or_default(), ctx);
    *piece = piece.take().map(|piece| read(piece, now, ctx));
    let Some(forward) = &mut ctx.forward else { return Ok(()) };
    let answer = &mut forward.response;
    let written = answer.transform.feed(piece, end);
    if let (ResponseTransform::None, Some(scanner)) = (&answer.transform, &answer.scanner)
        && scanner.is_stream()
    {
        *piece = answer.unfinished.feed(piece.take(), scanner.at_boundary(), end);
        if answer.hides_usage && scanner.usage().is_some() {
            *piece = piece.take().map(|events| {
                let (rest, found) = without_usage(events);
                answer.hides_usage = !found;
                rest
            });
        }
    }
    ctx.account.clock.ours.add(now.elapsed());
    written.map_err(|refusal| {
        answer.refusal = Some(refusal);
        Error::new_in(ErrorType::InternalError)
    })
}

/// Notes what a piece of the engine's answer, which came `now`, says of tokens and time; returns it under the right name.
fn read(piece: Bytes, now: Instant, ctx: &mut RequestContext) -> Bytes {
    let RequestContext { snapshot, account, forward, .. } = ctx;
    let Some(Forward { response: answer, request, .. }) = forward.as_deref_mut() else { return piece };
    let Some(scanner) = &mut answer.scanner else { return piece };
    let (is_torn, told) = (scanner.is_stream() && !scanner.at_boundary(), scanner.usage().is_some());
    let Scanned { bytes, events } = scanner.feed(piece);
    let is_named = request.endpoint.dialect() != Dialect::OpenAi;
    let events = match answer.output.first {
        _ if events == 0 => 0,
        // Nearly half of their events carry nothing.
        _ if is_named => events.min(output_events(&bytes) + usize::from(is_torn && answer.output.first.is_some())),
        // What closes a stream is no output, and comes right behind the last of it.
        _ if scanner.done() || !told && scanner.usage().is_some() => {
            events.min(output_events(&bytes) + usize::from(is_torn))
        }
        Some(_) => events,
        // Of an event whose beginning came before, the kind is not known any more: it is one that opens the stream.
        None => events.saturating_sub(events_before_output(&bytes) + usize::from(is_torn)),
    };
    if events == 0 {
        return bytes;
    }
    answer.output.events += events;
    if let Some(target) = account.target.and_then(|at| snapshot.target(at)) {
        match answer.output.last {
            Some(last) => target.meters.tokens_after(now - last, events),
            None => {
                answer.output.first = Some(now);
                target.meters.first_token(now - account.clock.complete());
            }
        }
    }
    answer.output.last = Some(now);
    bytes
}

/// The request failed finally: sends an error in the form that is still possible.
pub(super) async fn fail(
    state: &ProxyState,
    session: &mut Session,
    error: &Error,
    ctx: &mut RequestContext,
) -> FailToProxy {
    let downstream = error.esource() == &ErrorSource::Downstream;
    if downstream && !matches!(error.etype(), ErrorType::InvalidHTTPHeader | &ABORTED | &EXPIRED | &LEFT) {
        if !ctx.forward.as_ref().is_some_and(|forward| forward.response.is_left_complete(error)) {
            ctx.account.error = Some("client_gone");
        }
        return FailToProxy { error_code: 0, can_reuse_downstream: false };
    }
    if let Some(forward) = &mut ctx.forward
        && forward.response.is_complete()
    {
        // Its engine broke, or the gateway ends, after the last event: all that is missing is the end.
        let ended = end_with(session, &mut forward.downstream, Bytes::new()).await.is_ok();
        return FailToProxy { error_code: 200, can_reuse_downstream: ended };
    }
    let refusal = refusal(state, error, ctx);
    let status = refusal.status;
    let is_opened = ctx.forward.as_ref().is_some_and(|forward| forward.downstream.is_opened());
    let is_clean = ctx.forward.as_ref().is_none_or(|forward| is_clean(session, &forward.downstream));
    if is_clean && !is_opened {
        // Nothing can be done about a caller that leaves just now.
        let _ = reply::refuse(session, ctx, refusal).await;
        return FailToProxy { error_code: status, can_reuse_downstream: true };
    }
    ctx.account.error = Some(refusal.code);
    let dialect = ctx.account.dialect();
    let mut ended = false;
    if let Some(Forward { response: answer, request, downstream, .. }) = ctx.forward.as_deref_mut()
        && (is_opened || answer.open_stream().is_some())
    {
        let at_boundary = answer.unfinished.give_up();
        let by = if is_opened {
            request.translator.as_mut().map(|translator| &mut *translator.by)
        } else {
            answer.transform.translator()
        };
        let event = last_event(by, &refusal, dialect, at_boundary);
        if let Some(captured) = &mut ctx.captured {
            captured.add(&event);
        }
        ended = end_with(session, downstream, event).await.is_ok();
    }
    // An answer of known length stays visibly short. A stream that has ended well leaves the connection as it was.
    FailToProxy { error_code: status, can_reuse_downstream: ended }
}

/// Ends an answer that is under way with these last bytes.
async fn end_with(session: &mut Session, downstream: &mut Downstream, last: Bytes) -> Result<()> {
    downstream.resume(session).await?;
    session.write_response_body(Some(last), true).await
}

fn refusal(state: &ProxyState, error: &Error, ctx: &mut RequestContext) -> ApiError {
    if error.esource() == &ErrorSource::Downstream && error.etype() == &ErrorType::InvalidHTTPHeader {
        return ApiError::new(Code::InvalidHeader, "A request header is not valid.");
    }
    let broken = || ApiError::new(Code::Internal, "The request could not be processed.");
    let Some(forward) = &mut ctx.forward else { return broken() };
    let told = forward.response.refusal.take();
    told.unwrap_or_else(|| forward.attempts.refusal(state.is_draining()))
}

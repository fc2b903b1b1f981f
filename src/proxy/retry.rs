//! The ends of attempts: the outcome of each, and whether the request is tried again.

use bytes::{Bytes, BytesMut};
use http::header;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::attempts::Advance;
use super::context::RequestContext;
use super::downstream::{ABORTED, Downstream, EXPIRED, LEFT};
use super::response::HeldError;
use super::{ProxyState, kept_response, missing_route};
use crate::dispatch::{Judgement, judge_body, judge_head, judge_health, judge_opening};
use crate::engines;
use crate::openai::{ApiError, Code};
use crate::outcome::Outcome;

/// Most of an engine's error answer that is looked into.
const JUDGED_BODY: usize = 256 * 1024;

/// Whether nothing of an answer has reached the caller yet, so that another engine may still give it. The head of a stream with
/// nothing but comments after it binds only to a stream.
pub(super) fn is_clean(session: &Session, downstream: &Downstream) -> bool {
    downstream.is_opened() || session.response_written().is_none_or(|head| head.status.is_informational())
}

/// The head of an engine's answer has come; `end`: there is no body.
pub(super) async fn head(
    state: &ProxyState,
    session: &mut Session,
    response: &ResponseHeader,
    ctx: &mut RequestContext,
) -> Result<()> {
    let now = ctx.account.clock.ours.start();
    let Some(forward) = &mut ctx.forward else { return Ok(()) };
    forward.response.began = true;
    forward.attempts.timeline.note_head(now);
    let is_stream = is_readable_stream(response);
    if let Some(current) = &mut forward.attempts.current {
        if is_stream && !forward.request.is_background {
            // An engine whose core is stuck sends it, too.
            current.lease.note_piece();
        } else {
            current.lease.note_answer();
        }
    }
    let status = response.status.as_u16();
    if status == 101 || (300..400).contains(&status) {
        return unusable(state, session, ctx, status);
    }
    if missing_route::may_be(response) {
        ctx.account.clock.ours.stop();
        // What is rare is boxed: the state of a request is as large as its largest part.
        let no_route = Box::pin(missing_route::refusal(state, ctx)).await;
        ctx.account.clock.ours.start();
        if let Some(forward) = &mut ctx.forward {
            forward.response.held_error = Some(HeldError { status, body: Vec::new(), no_route });
        }
        return Ok(());
    }
    let Some(forward) = &mut ctx.forward else { return Ok(()) };
    match judge_head(status) {
        Judgement::Known(Outcome::Answered { .. }) => {
            // Of one that is made in the background the caller has to know the id at once.
            forward.response.opening = (is_stream && !forward.request.is_background).then(BytesMut::new);
            Ok(())
        }
        Judgement::Known(outcome) => judged(state, session, ctx, outcome),
        Judgement::NeedsHealth => {
            let Some(engine) = forward.attempts.current.as_ref().map(|current| current.lease.engine().clone()) else {
                return Ok(());
            };
            ctx.account.clock.ours.stop();
            let healthy = Box::pin(state.client.is_healthy(&engine)).await;
            ctx.account.clock.ours.start();
            let outcome = match judge_health(status, healthy) {
                // Another engine may do better, and nothing is held against this one.
                Outcome::Answered { status } => Outcome::Failed { status },
                outcome => outcome,
            };
            judged(state, session, ctx, outcome)
        }
        Judgement::NeedsBody => {
            // Only a later leg could do better.
            let wanted = forward.attempts.has_later_leg();
            forward.response.held_error = wanted.then(|| HeldError { status, body: Vec::new(), no_route: None });
            Ok(())
        }
    }
}

/// An answer that is not for a caller: it leads elsewhere, to where only the gateway could follow.
fn unusable(state: &ProxyState, session: &Session, ctx: &mut RequestContext, status: u16) -> Result<()> {
    judged(state, session, ctx, Outcome::EngineBroken { status })?;
    let Some(forward) = &mut ctx.forward else { return Ok(()) };
    let what = if status == 101 { "wants to speak another protocol" } else { "points to another address" };
    let engine = forward.attempts.engine().map_or_else(String::new, |engine| format!(" {}", engine.id));
    let message =
        format!("Engine{engine} {what} ({status}), which is not followed. Correct its URL, or what stands before it.");
    forward.response.refusal = Some(ApiError::new(Code::EngineAnswer, message));
    Err(Error::new_up(ErrorType::Custom("UnusableAnswer")))
}

fn is_readable_stream(response: &ResponseHeader) -> bool {
    let kind = response.headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    response.status == 200
        && kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"))
        && !response.headers.contains_key(header::CONTENT_ENCODING)
}

/// A piece of an engine's answer has come, which is kept from the caller until it can be judged; `end`: the last one.
pub(super) fn body(
    state: &ProxyState,
    session: &Session,
    piece: &mut Option<Bytes>,
    end: bool,
    ctx: &mut RequestContext,
) -> Result<()> {
    let Some(forward) = &mut ctx.forward else { return Ok(()) };
    if let Some(current) = &forward.attempts.current {
        current.lease.note_piece();
    }
    if let Some(came) = forward.response.opening.take() {
        return opening(state, session, (came, end), piece, ctx);
    }
    let Some(held) = &mut forward.response.held_error else { return Ok(()) };
    held.body.extend_from_slice(piece.as_deref().unwrap_or_default());
    if held.body.len() > JUDGED_BODY {
        forward.response.held_error = None;
    } else if end {
        let outcome = judge_body(held.status, &held.body);
        if held.body == missing_route::NOT_FOUND
            && let Some(refusal) = held.no_route.take()
        {
            // No other engine is asked.
            forward.attempts.settle(outcome, String::new);
            forward.response.held_error = None;
            forward.response.refusal = Some(refusal);
            return Err(Error::new_up(ErrorType::Custom("NoSuchRoute")));
        }
        forward.response.held_error = None;
        if !matches!(outcome, Outcome::Answered { .. }) {
            return judged(state, session, ctx, outcome);
        }
    }
    Ok(())
}

/// A piece of a stream whose first event has not come yet; `came`: what was kept of it so far; `end`: the last piece.
fn opening(
    state: &ProxyState,
    session: &Session,
    (mut came, end): (BytesMut, bool),
    piece: &mut Option<Bytes>,
    ctx: &mut RequestContext,
) -> Result<()> {
    // Nearly always the first piece has the first event, and is passed on as it is.
    if !came.is_empty() {
        came.extend_from_slice(piece.as_deref().unwrap_or_default());
        *piece = Some(std::mem::take(&mut came).freeze());
    }
    let bytes = piece.as_deref().unwrap_or_default();
    // A stream that ends without any event was given up, too.
    let outcome = judge_opening(bytes).or_else(|| end.then(|| judge_whole(bytes)));
    // It can be asked for again before its first output.
    kept_response::note(state, bytes, ctx);
    let Some(forward) = &mut ctx.forward else { return Ok(()) };
    if outcome.is_none() && bytes.len() <= JUDGED_BODY {
        forward.response.opening = Some(BytesMut::from(piece.take().unwrap_or_default()));
        return Ok(());
    }
    if let Some(current) = &mut forward.attempts.current {
        current.lease.note_answer();
    }
    match outcome {
        None | Some(Outcome::Answered { .. }) => Ok(()),
        Some(outcome) => judged(state, session, ctx, outcome),
    }
}

/// What a stream says that ends without a whole event.
fn judge_whole(bytes: &[u8]) -> Outcome {
    // The last line may have no end.
    judge_opening(&[bytes, b"\n"].concat()).unwrap_or(Outcome::GaveUp { status: 500 })
}

/// There is an answer, but another engine may give a better one.
fn judged(state: &ProxyState, session: &Session, ctx: &mut RequestContext, outcome: Outcome) -> Result<()> {
    let Some(forward) = &mut ctx.forward else { return Ok(()) };
    forward.attempts.settle(outcome, String::new);
    forward.attempts.history.delivered = !is_clean(session, &forward.downstream);
    if forward.attempts.advance(&state.admission) != Advance::Go {
        return Ok(());
    }
    let mut error = Error::new_up(ErrorType::Custom("AnotherEngine"));
    error.set_retry(true);
    Err(error)
}

/// The engine could not be reached: it has not seen the request.
pub(super) fn connect_failed(
    state: &ProxyState,
    session: &Session,
    ctx: &mut RequestContext,
    error: Box<Error>,
) -> Box<Error> {
    let outcome = engines::connect_outcome(&error);
    failed(state, session, ctx, error, outcome)
}

/// The attempt failed after the connection was there.
pub(super) fn attempt_failed(
    state: &ProxyState,
    session: &Session,
    ctx: &mut RequestContext,
    mut error: Box<Error>,
) -> Box<Error> {
    let Some(forward) = &ctx.forward else {
        error.set_retry(false);
        return error;
    };
    if forward.attempts.is_about_to_go() {
        // It was judged, and another engine has the lease.
        error.set_retry(true);
        return error;
    }
    let outcome = match *error.etype() {
        ABORTED => Outcome::Aborted,
        LEFT => Outcome::EngineLeft,
        EXPIRED => Outcome::Expired,
        _ if forward.response.is_left_complete(&error) => Outcome::Answered { status: 200 },
        _ => engines::outcome(&error, forward.response.began),
    };
    failed(state, session, ctx, error, outcome)
}

fn failed(
    state: &ProxyState,
    session: &Session,
    ctx: &mut RequestContext,
    mut error: Box<Error>,
    outcome: Outcome,
) -> Box<Error> {
    ctx.account.clock.ours.start();
    let Some(forward) = &mut ctx.forward else { return error };
    forward.attempts.settle(outcome, || error.etype().as_str().to_owned());
    forward.attempts.history.delivered = !is_clean(session, &forward.downstream);
    error.set_retry(forward.attempts.advance(&state.admission) == Advance::Go);
    error
}

//! The end of every request, on whatever path: its one record.

use std::time::{Duration, Instant, SystemTime};

use pingora::proxy::Session;
use pingora::{Error, ErrorSource};

use super::ProxyState;
use super::context::RequestContext;
use super::response::KeptResponse;
use crate::outcome::Outcome;
use crate::telemetry::{Captured, Record};

/// The client closed the connection first (nginx's convention).
const CLIENT_GONE: u16 = 499;

/// Publishes the record of the request, and gives back what it held.
pub(super) fn finish(state: &ProxyState, session: &Session, error: Option<&Error>, ctx: &mut RequestContext) {
    let now = Instant::now();
    let took = now.saturating_duration_since(ctx.account.clock.started);
    let downstream = error.is_some_and(|error| error.esource() == &ErrorSource::Downstream);
    let gone = downstream && ctx.account.error == Some("client_gone");
    let written = session.response_written().map(|head| head.status.as_u16()).filter(|status| *status >= 200);
    let status = written.filter(|_| !gone).unwrap_or(CLIENT_GONE);
    if let Some(forward) = &mut ctx.forward {
        let outcome = if status == CLIENT_GONE { Outcome::ClientGone } else { Outcome::Answered { status } };
        forward.attempts.settle(outcome, String::new);
    }
    let captured = ctx.captured.take();
    ctx.account.clock.ours.stop_at(now);
    tell(state, session, ctx, (status, took), captured);
    // The next request may wait on this connection for a minute: nothing of this one must stay.
    ctx.account.close();
    ctx.forward = None;
}

fn tell(
    state: &ProxyState,
    session: &Session,
    ctx: &RequestContext,
    (status, took): (u16, Duration),
    captured: Option<Box<Captured>>,
) {
    let (account, target, head) = (&ctx.account, ctx.target(), session.req_header());
    let answer = ctx.forward.as_ref().map(|forward| &forward.response);
    let overhead = account.clock.ours.total();
    if target.is_some() {
        state.recorder.overhead(overhead);
    }
    let called = account.calls.as_deref();
    let (engine, retries) = match (&ctx.forward, called.and_then(|called| called.engine.as_ref())) {
        (Some(forward), _) => (forward.attempts.engine(), forward.attempts.retries()),
        (None, Some((engine, retries))) => (Some(engine), *retries),
        (None, None) => (None, 0),
    };
    let usage = answer.and_then(|answer| answer.usage()).or(called.and_then(|called| called.usage));
    let estimate = answer.and_then(|answer| answer.estimate());
    // A response that is read again has cost nothing again.
    let is_counted = match answer.map(|answer| &answer.kept) {
        Some(KeptResponse::Known(kept)) if usage.is_some() || estimate.is_some() => kept.count(),
        _ => false,
    };
    let told = usage.or(estimate).filter(|_| !is_counted);
    let told_error = answer.filter(|answer| answer.tells_error()).map(|_| "engine_error");
    let error = account.error.or(told_error);
    let started = account.clock.started;
    let timeline = ctx.timeline();
    let attempts = timeline.map(|timeline| timeline.attempts(started, took)).unwrap_or_default();
    let first_output = answer.and_then(|answer| answer.output.first);
    let record = Record {
        id: account.id(),
        trace_id: account.trace.as_ref().map(|trace| trace.trace_id),
        client: session.client_addr().and_then(|address| address.as_inet()).map(|address| address.ip()),
        caller: account.caller_name(),
        method: head.method.as_str(),
        path: head.uri.path(),
        endpoint: account.asked.endpoint,
        model: target.map(|target| &*target.route.model),
        unknown_model: account.unknown_model.as_deref(),
        alias: target.and_then(|target| target.alias()),
        engine: engine.map(|engine| engine.id.as_str()),
        status,
        stream: answer.is_some_and(|answer| answer.is_stream()),
        bytes_in: account.received,
        bytes_out: session.body_bytes_sent(),
        ended: SystemTime::now(),
        took,
        first_token: first_output.map(|at| at - account.clock.complete()),
        first_token_came: first_output.map(|at| at - started),
        overhead,
        retries,
        usage: told,
        is_estimate: usage.is_none(),
        stream_end: answer.filter(|answer| answer.is_stream()).map(|_| stream_end(error)),
        error,
        queue: timeline.and_then(|timeline| timeline.queue(started)),
        attempts: &attempts,
    };
    if account.asked.is_probe {
        return state.recorder.publish_probe(&record);
    }
    state.recorder.publish(&record, target, account.caller.as_deref(), account.trace.as_ref(), captured);
}

/// How a stream ended, by the code of what went wrong.
fn stream_end(error: Option<&str>) -> &'static str {
    match error {
        None => "complete",
        Some("client_gone") => "client_gone",
        Some("engine_died" | "engine_unreachable") => "engine_died",
        Some("engine_timeout") => "timeout",
        Some("engine_error") => "engine_error",
        Some(_) => "cut",
    }
}

//! The end of every request, on whatever path: metrics and the access log, once.

use pingora::proxy::Session;
use pingora::{Error, ErrorSource};

use super::context::Context;
use super::{Shared, front, standin};
use crate::telemetry::Entry;

/// The client closed the connection first (nginx's convention).
const CLIENT_GONE: u16 = 499;

/// Accounts for the request and gives back what it held.
pub(super) fn finish(shared: &Shared, session: &mut Session, error: Option<&Error>, ctx: &mut Context) {
    if let Some(slot) = ctx.stand_in.take() {
        standin::give_back(session, &slot);
    }
    let took = ctx.started.elapsed();
    let gone =
        error.is_some_and(|error| error.esource() == &ErrorSource::Downstream && ctx.error == Some("client_gone"));
    let written = session.response_written().map(|head| head.status.as_u16());
    let status = match written.filter(|status| *status >= 200) {
        _ if gone => CLIENT_GONE,
        Some(status) => status,
        None => CLIENT_GONE,
    };
    let usage = ctx.usage.as_ref().and_then(|finder| finder.usage());
    let overhead = ctx.ours.total();
    let target = ctx.target();
    let meters = target.map_or(&shared.no_route, |target| &target.meters);
    meters.answered(&shared.metrics, ctx.endpoint, status, took);
    if let Some(usage) = usage {
        meters.used(usage.prompt, usage.completion, usage.cached);
    }
    if let Some(caller) = &ctx.caller {
        caller.meters.answered(usage.map(|usage| (usage.prompt, usage.completion)));
    }
    if target.is_some() {
        shared.metrics.overhead.observe(overhead.as_secs_f64());
    }
    if shared.access.is_on() {
        let head = session.req_header();
        let client = session.client_addr().and_then(|address| address.as_inet()).map(|address| address.ip());
        let engine = ctx.lease.as_ref().map(|lease| &lease.id).or_else(|| ctx.tried.last().map(|engine| &engine.id));
        shared.access.write(&Entry {
            id: &ctx.id,
            client,
            method: head.method.as_str(),
            path: head.uri.path(),
            caller: ctx.caller(),
            model: target.map(|target| &*target.route.model),
            alias: target.and_then(|target| target.alias()),
            engine: engine.map(|id| id.as_str()),
            status,
            stream: ctx.events.is_some(),
            bytes_in: ctx.received,
            bytes_out: session.body_bytes_sent(),
            took,
            first_token: ctx.first_event.map(|at| at - ctx.complete.unwrap_or(ctx.started)),
            overhead,
            retries: ctx.retries,
            tokens: usage.map(|usage| (usage.prompt, usage.completion)),
            error: ctx.error,
        });
    }
    // The next request may wait on this connection for a minute: nothing of this one must stay.
    ctx.lease = None;
    ctx.in_flight = None;
    ctx.held = None;
    if ctx.ended {
        front::keep(standin::take(session));
    }
}

//! A request on its way to engines: prepared, mirrored, admitted, and given its first engine.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use pingora::proxy::Session;

use super::accept::{self, Accepted, Admitted, StoredRequest};
use super::attempts::{Advance, Attempts, Terms};
use super::body::ReceivedBody;
use super::context::{Forward, RequestContext};
use super::downstream::{Downstream, Wait};
use super::memory::BodyReservation;
use super::refusal::Refusal;
use super::response::Response;
use super::stored::{self, Kept};
use super::upstream_request::{OFFLOAD, OriginalRequest, UpstreamRequest, elsewhere};
use super::{ProxyState, gym, mirror, waiting};
use crate::dispatch::Affinity;
use crate::openai::{ApiError, Endpoint, PlainRuns};
use crate::routing::{self, Chance, Plan, Prepared, PreparedRequest, Protocol, RequestHead, Snapshot, Unprepared};
use crate::telemetry::Captured;

/// Takes an accepted request as far as it goes without an engine.
pub(super) async fn admit(
    state: &Arc<ProxyState>,
    session: &mut Session,
    ctx: &mut RequestContext,
    accepted: Accepted,
) -> Result<Admitted, Refusal> {
    let Accepted { endpoint, body: ReceivedBody { bytes, mut reservation, decoded, runs } } = accepted;
    let boundary = accept::boundary(session, endpoint);
    let head = accept::head(session, ctx, endpoint, boundary.as_deref());
    let received = (bytes, runs, reservation.another(0)?);
    let (captured, prepared) = prepare(state, &ctx.snapshot, &head, received).await;
    let (prepared, mut beside) = match prepared {
        Ok(prepared) => prepared,
        Err(unprepared) => {
            ctx.captured = captured;
            return Err(refused(ctx, unprepared).into());
        }
    };
    let Prepared { plan, request, original, previous, is_background } = prepared;
    let original = original.map(|body| (head.to_owned(), body));
    ctx.captured = captured;
    let affinity = affinity(state, ctx, &plan, previous.as_deref())?;
    reservation.grow_to(request.body.len())?;
    let original = original.map(|(head, body)| {
        beside.shrink_to(body.len());
        Arc::new(OriginalRequest { head, body, reservation: beside })
    });
    if let Some(at) = plan.legs.first() {
        ctx.account.set_target(&ctx.snapshot, *at);
    }
    tell_dropped_tools(state, ctx, &request);
    if let Protocol::Gym(route) = plan.protocol {
        let asked = gym::Asked { plan, route, body: request.body.freeze(), reservation };
        return Box::pin(gym::serve(state, session, ctx, asked)).await;
    }
    if let (Some(to), Some(original)) = (plan.mirror, &original) {
        mirror::send_copy(state, ctx, to, original);
    }
    let mut request = UpstreamRequest::new(request, 0, decoded, (original, reservation));
    request.is_background = is_background;
    send(state, session, ctx, (plan, affinity, request)).await
}

/// Gives a request that goes where `plan` says its first engine.
async fn send(
    state: &ProxyState,
    session: &mut Session,
    ctx: &mut RequestContext,
    (plan, affinity, request): (Plan, Affinity, UpstreamRequest),
) -> Result<Admitted, Refusal> {
    let (expires, sees_logs, trace) = (ctx.expires(), ctx.sees_logs(), ctx.account.trace.clone());
    let terms = Terms { affinity, expires, sees_logs, trace, ..Terms::default() };
    let mut attempts = Attempts::new(ctx.snapshot.clone(), plan, terms);
    match attempts.advance(&state.admission) {
        Advance::Go => {}
        Advance::Wait(..) => {
            ctx.account.clock.ours.stop();
            let waited = Box::pin(waiting::first_engine(state, session, &mut attempts)).await;
            ctx.account.clock.ours.start();
            if let Err(Refusal::Gone(_)) = waited {
                ctx.account.error = Some("client_gone");
            }
            waited?;
        }
        Advance::Deliver | Advance::Refuse => return Err(attempts.refusal(state.is_draining()).into()),
    }
    let wait = Wait::new(state.abort_signal(), &ctx.snapshot.timeouts, ctx.expires());
    let (response, downstream) = (Response::default(), Downstream::new(wait));
    ctx.forward = Some(Box::new(Forward { attempts, request, response, downstream }));
    Ok(Admitted::Forward)
}

/// Sends a request about a response to the engine that keeps it.
pub(super) async fn to_stored(
    state: &ProxyState,
    session: &mut Session,
    ctx: &mut RequestContext,
    asked: StoredRequest,
) -> Result<Admitted, Refusal> {
    let StoredRequest { id, path, reservation } = asked;
    let kept = state.stored.find(&id, ctx.account.caller_name(), Instant::now())?;
    let own = ctx.own_target()?.map(|target| &target.route.name);
    let is_here = |kept: &Arc<Kept>| own.is_none_or(|own| *own == kept.route);
    let kept = kept.filter(is_here).ok_or_else(|| stored::unknown(&id))?;
    let at = ctx.snapshot.leads_to(&kept.route, kept.engine).ok_or_else(|| stored::gone(&id))?;
    ctx.account.set_target(&ctx.snapshot, at);
    ctx.captured = state.recorder.capture(ctx.target(), b"");
    let plan = Plan { legs: [at].into_iter().collect(), mirror: None, protocol: Protocol::Plain };
    let affinity = Affinity::Only(kept.engine);
    send(state, session, ctx, (plan, affinity, UpstreamRequest::about(kept, path, reservation))).await
}

/// Notes of a request that cannot be made ready what is known of it; returns what its caller is told.
fn refused(ctx: &mut RequestContext, unprepared: Unprepared) -> ApiError {
    let Unprepared { error, target, model } = unprepared;
    if let Some(at) = target {
        ctx.account.set_target(&ctx.snapshot, at);
    }
    ctx.account.unknown_model = model.map(String::into_boxed_str);
    *error
}

/// Tells operators, once for an alias, which tools its requests have that are dropped, because nobody here can run them.
fn tell_dropped_tools(state: &ProxyState, ctx: &RequestContext, request: &PreparedRequest) {
    let dropped = request.translator.as_ref().map_or(&[][..], |translator| translator.by.dropped_tools());
    let Some(target) = ctx.target().filter(|_| !dropped.is_empty()) else { return };
    // Clients choose them.
    let tools: String = dropped.join(", ").chars().take(200).collect();
    if state.is_news(format!("{} {tools}", target.route.name)) {
        tracing::info!(
            model = &*target.route.name,
            tools,
            "hosted tools are dropped from requests: nobody here can run them. Said once for these."
        );
    }
}

/// The engine that has what a request goes on with, of those that `plan` leads to: no other one knows the `previous` response.
///
/// # Errors
/// 404: it is another caller's, or its engine is gone. Where there are callers, whose a response is has to be known.
fn affinity(
    state: &ProxyState,
    ctx: &RequestContext,
    plan: &Plan,
    previous: Option<&str>,
) -> Result<Affinity, ApiError> {
    let Some(id) = previous else { return Ok(Affinity::None) };
    let snapshot = &ctx.snapshot;
    let Some(kept) = state.stored.find(id, ctx.account.caller_name(), Instant::now())? else {
        let is_anybodys = !snapshot.callers.are_configured();
        return if is_anybodys { Ok(Affinity::None) } else { Err(stored::unknown(id)) };
    };
    let has_it = |at: &usize| snapshot.target(*at).is_some_and(|target| target.has_engine(kept.engine));
    if plan.legs.iter().any(has_it) {
        return Ok(Affinity::Only(kept.engine));
    }
    // Elsewhere it may be known by another part of a split; a gateway cannot move what an engine keeps.
    snapshot.leads_to(&kept.route, kept.engine).map(|_| Affinity::None).ok_or_else(|| stored::gone(id))
}

/// The bodies of a request, if its alias has them kept, and what became of the request.
type Preparation = (Option<Box<Captured>>, Result<(Prepared, BodyReservation), Unprepared>);

/// [`routing::prepare`], where it delays no other request; what that takes beside the body is reserved in `beside`.
async fn prepare(
    state: &Arc<ProxyState>,
    snapshot: &Arc<Snapshot>,
    head: &RequestHead<'_>,
    (body, runs, mut beside): (BytesMut, PlainRuns, BodyReservation),
) -> Preparation {
    let chance = Chance { split: fastrand::u64(..), mirror: fastrand::f64() };
    let mut captured = None;
    // What was looked at as it came takes next to no time now, unless it has to be translated.
    let may_be_translated = matches!(head.endpoint, Endpoint::Responses | Endpoint::Messages | Endpoint::CountTokens);
    let seen = if may_be_translated { 0 } else { runs.ascii() };
    if body.len() - seen < OFFLOAD {
        let mut resolved = |at, body: &[u8]| captured = state.recorder.capture(snapshot.target(at), body);
        let room = &mut |bytes| beside.grow_by(bytes);
        let prepared = routing::prepare(snapshot, head, (body, &runs), chance, room, &mut resolved);
        return (captured, prepared.map(|prepared| (prepared, beside)));
    }
    let (state, snapshot, head) = (state.clone(), snapshot.clone(), head.to_owned());
    let prepared = elsewhere(move || {
        let mut resolved = |at, body: &[u8]| captured = state.recorder.capture(snapshot.target(at), body);
        let room = &mut |bytes| beside.grow_by(bytes);
        let prepared = routing::prepare(&snapshot, &head.head(), (body, &runs), chance, room, &mut resolved);
        (captured, prepared.map(|prepared| (prepared, beside)))
    })
    .await;
    prepared.unwrap_or_else(|error| (None, Err(error.into())))
}

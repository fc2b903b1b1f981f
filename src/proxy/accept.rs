//! The first look at a request: is it one we take, and where does it go?

use std::sync::Arc;

use bytes::BytesMut;
use http::{Method, Version, header};
use pingora::Error;
use pingora::proxy::Session;

use super::context::Context;
use super::rewrite::{self, Prepared};
use super::{Shared, body, door, gym, local, mirror, pick, resolve, standin};
use crate::ids;
use crate::openai::{ApiError, Code, Endpoint};

/// What became of a request that was let in.
pub(super) enum Admission {
    /// It goes to an engine.
    Forward,
    /// We answered it ourselves.
    Answered,
}

/// Why a request was not let in.
pub(super) enum Refusal {
    /// The caller is told.
    Say(ApiError),
    /// The caller is gone.
    Gone(Box<Error>),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Say(error)
    }
}

/// The connection's time-outs. Pingora's defaults wait for ever.
pub(super) fn tune(shared: &Shared, session: &mut Session) {
    let downstream = &mut session.downstream_session;
    // `None` means "close after this request", which must stay.
    if downstream.get_keepalive().is_some() {
        downstream.set_keepalive(Some(shared.timeouts.keepalive.as_secs().max(1)));
    }
    if downstream.req_header().version == Version::HTTP_10 {
        // It knows no chunks: the end of the connection is the end of an answer of unknown length.
        downstream.set_keepalive(None);
    }
    downstream.set_write_timeout(Some(shared.timeouts.client_write));
    downstream.set_read_timeout(Some(shared.timeouts.body));
    downstream.set_total_drain_timeout(Some(std::time::Duration::from_secs(2)));
    // Otherwise a stray byte behind the request ends the answer that is under way.
    downstream.set_pipelining_enabled(true);
}

/// Takes the request as far as it goes without an engine.
pub(super) async fn admit(
    shared: &Arc<Shared>,
    session: &mut Session,
    ctx: &mut Context,
) -> Result<Admission, Refusal> {
    ctx.id = request_id(session);
    check_head(session, shared.limits.head)?;
    if ctx.door.is_none()
        && let Some((alias, _)) = door::split(session.req_header().uri.path())
    {
        ctx.door = Some(alias.as_ref().into());
        ctx.by_path = true;
    }
    let path = inside(session, ctx);
    // Known before anything is refused: it decides in whose dialect.
    ctx.endpoint = Endpoint::find(path);
    ctx.caller = shared.who(path, &session.req_header().headers)?;
    if let Some(admission) = gym::enter(shared, session, ctx).await? {
        return Ok(admission);
    }
    let path = inside(session, ctx);
    let Some(endpoint) = ctx.endpoint else {
        let path = path.to_owned();
        return local::answer(shared, session, ctx, &path).await;
    };
    if session.req_header().method != Method::POST {
        let message = format!("{path} takes POST, not {}.", session.req_header().method);
        return Err(ApiError::new(Code::MethodNotAllowed, message).allow("POST").into());
    }
    resolve::check_content_type(session, endpoint.body())?;

    let bytes = receive(shared, session, ctx).await?;

    if let Prepared::Gym(route, body) = rewrite::prepare(shared, session, ctx, endpoint, bytes).await? {
        return gym::serve(shared, session, ctx, route, body).await;
    }
    mirror::cast(shared, ctx);
    pick::first(shared, ctx).await?;
    ctx.stand_in = Some(standin::take_place(session, ctx.body.clone(), shared.cuts()));
    Ok(Admission::Forward)
}

/// The path that is meant, without what leads to an alias.
pub(super) fn inside<'s>(session: &'s Session, ctx: &Context) -> &'s str {
    let path = session.req_header().uri.path();
    match door::split(path) {
        Some((_, inside)) if ctx.by_path => inside,
        _ => path,
    }
}

/// The whole body.
pub(super) async fn receive(
    shared: &Arc<Shared>,
    session: &mut Session,
    ctx: &mut Context,
) -> Result<BytesMut, Refusal> {
    ctx.ours.stop();
    let bytes = body::read(shared, session, ctx).await?;
    ctx.complete = Some(std::time::Instant::now());
    ctx.ours.start();
    Ok(bytes)
}

/// The caller's request id if it is fit to keep, else one of ours.
fn request_id(session: &Session) -> String {
    match session.req_header().headers.get("x-request-id") {
        Some(given) if ids::is_request_id(given.as_bytes()) => given.to_str().unwrap_or_default().to_owned(),
        _ => ids::new_request_id(),
    }
}

fn check_head(session: &Session, limit: usize) -> Result<(), ApiError> {
    let head = session.req_header();
    let size = head.uri.path_and_query().map_or(0, |target| target.as_str().len())
        + head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    if size > limit {
        let message = format!("The request's head has {size} bytes; limits.head is {limit}.");
        return Err(ApiError::new(Code::HeadTooLarge, message));
    }
    if head.version == Version::HTTP_11 && !head.headers.contains_key(header::HOST) {
        return Err(ApiError::new(Code::MissingHost, "An HTTP/1.1 request needs a Host header (RFC 9112, 3.2)."));
    }
    Ok(())
}

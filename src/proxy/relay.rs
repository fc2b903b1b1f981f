//! A request on its way to engines, and the answer on its way back: one attempt after the other, until the caller has an answer.
//!
//! Pingora's own way to an upstream server is not taken: it sends a body that was read before only up to 64 KiB, passes each piece of
//! an answer through a queue, and asks three times as often for memory (`benches/pingora.md`).

use http::{Method, StatusCode, Version, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::context::RequestContext;
use super::next_engine::{self, Next};
use super::upstream::Connection;
use super::{ProxyState, respond, retry, upstream_head};

/// Has an engine answer the request.
///
/// # Errors
/// None has, or the answer broke off; what the caller is still to be told is told by [`respond::fail`].
pub(super) async fn run(state: &ProxyState, session: &mut Session, ctx: &mut RequestContext) -> Result<()> {
    loop {
        match attempt(state, session, ctx).await {
            Err(error) if error.retry() => {}
            ended => return ended,
        }
    }
}

async fn attempt(state: &ProxyState, session: &mut Session, ctx: &mut RequestContext) -> Result<()> {
    let Next { engine, address, fresh } = next_engine::begin(state, ctx).await?;
    let timeouts = &ctx.snapshot.timeouts;
    let (mut connection, reused) = match state.connections.get(&engine, address, timeouts, fresh).await {
        Ok(connected) => connected,
        Err(error) => return Err(retry::connect_failed(state, session, ctx, error)),
    };
    if let Some(current) = ctx.forward.as_mut().and_then(|forward| forward.attempts.current.as_mut()) {
        current.reused = reused;
    }
    match exchange(state, session, ctx, &mut connection).await {
        Ok(()) => {
            state.connections.put(connection, &engine, address);
            Ok(())
        }
        // Dropping the connection makes an engine give the request up.
        Err(error) => Err(retry::attempt_failed(state, session, ctx, error)),
    }
}

/// Sends the request, and passes on what comes of its answer.
async fn exchange(
    state: &ProxyState,
    session: &mut Session,
    ctx: &mut RequestContext,
    connection: &mut Connection,
) -> Result<()> {
    let head = upstream_head::write(session.req_header(), ctx)?;
    let lost = || Error::new(ErrorType::InternalError);
    let forward = ctx.forward.as_mut().ok_or_else(lost)?;
    connection.send(session.req_header().method.clone(), head, forward.request.body.clone());
    forward.downstream.begin(&forward.attempts);

    let mut head = forward.downstream.meanwhile(session, &forward.attempts, connection.head()).await?;
    retry::head(state, session, &head, ctx).await?;
    let mut ended = connection.is_done();
    delimit(session, &mut head, ended)?;
    respond::head(session, &mut head, ctx)?;
    pass(session, ctx, HttpTask::Header(Box::new(head), ended)).await?;
    while !ended {
        let forward = ctx.forward.as_mut().ok_or_else(lost)?;
        let mut piece = forward.downstream.meanwhile(session, &forward.attempts, connection.piece()).await?;
        ended = connection.is_done();
        retry::body(state, session, &mut piece, ended, ctx)?;
        respond::body(state, &mut piece, ended, ctx)?;
        pass(session, ctx, HttpTask::Body(piece, ended)).await?;
        if let Some(forward) = ctx.forward.as_mut().filter(|forward| !retry::is_clean(session, &forward.downstream)) {
            // Nobody can be asked again.
            forward.request.forget_body();
        }
    }
    let forward = ctx.forward.as_mut().ok_or_else(lost)?;
    forward.downstream.finish(session).await
}

/// An answer whose length is not known is chunked, whatever its engine made of it. So is a stream of events: it may end with one of ours.
fn delimit(session: &Session, head: &mut ResponseHeader, ended: bool) -> Result<()> {
    head.set_version(Version::HTTP_11);
    if head.status == StatusCode::NO_CONTENT {
        // It has no body that could have a length (RFC 9110, 8.6).
        head.remove_header(&header::CONTENT_LENGTH);
        head.remove_header(&header::TRANSFER_ENCODING);
        return Ok(());
    }
    if session.req_header().method == Method::HEAD || head.status == StatusCode::NOT_MODIFIED || ended {
        return Ok(());
    }
    let kind = head.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    if kind.starts_with(b"text/event-stream") {
        head.remove_header(&header::CONTENT_LENGTH);
    }
    if !head.headers.contains_key(header::TRANSFER_ENCODING) && !head.headers.contains_key(header::CONTENT_LENGTH) {
        head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    Ok(())
}

async fn pass(session: &mut Session, ctx: &mut RequestContext, task: HttpTask) -> Result<()> {
    if let Some(captured) = &mut ctx.captured {
        match &task {
            HttpTask::Header(..) => captured.begin_answer(),
            HttpTask::Body(Some(piece), _) => captured.add(piece),
            _ => {}
        }
    }
    match &mut ctx.forward {
        Some(forward) => forward.downstream.pass(session, task).await,
        None => Ok(()),
    }
}

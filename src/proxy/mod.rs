//! The data path: one request from the caller to an engine and back.
//!
//! The files are the steps, in this order: [`accept`](self) → auth → body → resolve → rewrite → pick → forward → stream → account.
//! What aliases add stands beside them: `door` (addresses of their own), `split`, `fallback` and `mirror` (other places to
//! go), `rework` (answers told otherwise), `gym` (NeMo Gym's clients). This file only hands Pingora's callbacks to them.

mod accept;
mod account;
mod auth;
mod body;
mod context;
mod door;
mod fallback;
mod forward;
mod front;
mod gym;
mod listen;
mod local;
mod mirror;
mod pick;
mod reply;
mod resolve;
mod rework;
mod rewrite;
mod shared;
mod socket;
mod split;
mod standin;
mod stream;
mod table;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};
use std::sync::Arc;

use crate::ids::Name;
use context::Context;
pub use listen::{Listener, Running, drain};
pub use shared::Shared;
pub use table::Table;

/// The proxy application that Pingora drives.
pub(crate) struct Gateway {
    shared: Arc<Shared>,
    /// The alias whose own address this is.
    door: Option<Name>,
}

impl Gateway {
    pub(crate) fn new(shared: Arc<Shared>, door: Option<Name>) -> Self {
        Self { shared, door }
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.door.clone())
    }

    async fn early_request_filter(&self, session: &mut Session, _: &mut Context) -> Result<()> {
        accept::tune(&self.shared, session);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        match accept::admit(&self.shared, session, ctx).await {
            Ok(accept::Admission::Forward) => Ok(false),
            Ok(accept::Admission::Answered) => Ok(true),
            Err(accept::Refusal::Gone(error)) => Err(error),
            Err(accept::Refusal::Say(error)) => {
                reply::refuse(session, ctx, error).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Context) -> Result<Box<HttpPeer>> {
        pick::peer(&self.shared, session, ctx).await
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        reused: bool,
        _: &HttpPeer,
        _: std::os::unix::io::RawFd,
        _: Option<&Digest>,
        ctx: &mut Context,
    ) -> Result<()> {
        ctx.reused = reused;
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        forward::head(request, ctx)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        forward::response(&self.shared, session, response, ctx)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        stream::head(session, response, ctx)
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Context,
    ) -> Result<Option<Duration>> {
        stream::body(body, end, ctx)?;
        Ok(None)
    }

    fn fail_to_connect(&self, session: &mut Session, _: &HttpPeer, ctx: &mut Context, error: Box<Error>) -> Box<Error> {
        forward::connect_failed(&self.shared, session, ctx, error)
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Context,
        reused: bool,
    ) -> Box<Error> {
        forward::attempt_failed(&self.shared, session, ctx, error, reused)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Context) -> FailToProxy {
        stream::fail(session, error, ctx).await
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Context) {
        account::finish(&self.shared, session, error, ctx);
    }

    // `account` tells of every request once; Pingora's own lines would tell of some of them twice.
    fn suppress_error_log(&self, _: &Session, _: &Context, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Context, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}

//! Pingora's callbacks: each one hands the request to the step that it belongs to.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};

use super::accept::{self, Admitted, Arrival};
use super::context::RequestContext;
use super::refusal::Refusal;
use super::state::ProxyState;
use super::{forward, gym, header_case, local, peer, record, reply, request_head, respond, retry, upstream_head};
use crate::net::ListenerId;

/// The proxy application that Pingora drives.
pub(crate) struct Gateway {
    state: Arc<ProxyState>,
    listener: ListenerId,
}

impl Gateway {
    /// For the requests of one listener.
    pub(crate) fn new(state: Arc<ProxyState>, listener: ListenerId) -> Self {
        Self { state, listener }
    }

    /// What is rare is boxed: the state of a request moves through all of Pingora, and is as large as its largest part.
    async fn take_in(&self, session: &mut Session, ctx: &mut RequestContext) -> std::result::Result<Admitted, Refusal> {
        match accept::accept(&self.state, session, ctx).await? {
            Arrival::Request(accepted) => forward::admit(&self.state, session, ctx, accepted).await,
            Arrival::Stored(stored) => forward::to_stored(&self.state, session, ctx, stored),
            Arrival::Preflight(preflight) => {
                let head = preflight.head().map_err(Refusal::Gone)?;
                Box::pin(reply::send(session, &ctx.account, head, Bytes::new())).await.map_err(Refusal::Gone)?;
                Ok(Admitted::Answered)
            }
            Arrival::Local(local::Answer { body, gym: true, .. }) => {
                Box::pin(gym::answer_local(session, ctx, body)).await
            }
            Arrival::Local(local::Answer { body, content_type, gym: false }) => {
                Box::pin(reply::ok(session, &ctx.account, content_type, body)).await.map_err(Refusal::Gone)?;
                Ok(Admitted::Answered)
            }
        }
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = RequestContext;

    fn new_ctx(&self) -> RequestContext {
        RequestContext::new(self.state.snapshot(), self.listener)
    }

    /// None: bodies pass as they are.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut RequestContext) -> Result<()> {
        request_head::has_come();
        header_case::forget_of_request(session.req_header_mut());
        accept::tune(session, ctx);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut RequestContext) -> Result<bool> {
        match self.take_in(session, ctx).await {
            Ok(Admitted::Forward) => Ok(false),
            Ok(Admitted::Answered) => Ok(true),
            Err(Refusal::Gone(error)) => Err(error),
            Err(Refusal::Say(error)) => {
                Box::pin(reply::refuse(session, &mut ctx.account, error)).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, _: &mut Session, ctx: &mut RequestContext) -> Result<Box<HttpPeer>> {
        peer::next(&self.state, ctx).await
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        reused: bool,
        _: &HttpPeer,
        _: std::os::unix::io::RawFd,
        _: Option<&Digest>,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        if let Some(current) = ctx.forward.as_mut().and_then(|forward| forward.attempts.current.as_mut()) {
            current.reused = reused;
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        upstream_head::write(request, ctx)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        header_case::forget_of_response(response);
        retry::head(&self.state, session, response, ctx).await
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut RequestContext,
    ) -> Result<Option<Duration>> {
        retry::body(&self.state, session, body, end, ctx)?;
        Ok(None)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        respond::head(session, response, ctx)
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut RequestContext,
    ) -> Result<Option<Duration>> {
        respond::body(&self.state, body, end, ctx)?;
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _: &HttpPeer,
        ctx: &mut RequestContext,
        error: Box<Error>,
    ) -> Box<Error> {
        retry::connect_failed(&self.state, session, ctx, error)
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut RequestContext,
        _: bool,
    ) -> Box<Error> {
        retry::attempt_failed(&self.state, session, ctx, error)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut RequestContext) -> FailToProxy {
        respond::fail(&self.state, session, error, ctx).await
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut RequestContext) {
        record::finish(&self.state, session, error, ctx);
    }

    // `record` tells of every request once; Pingora's own lines would tell of some of them twice.
    fn suppress_error_log(&self, _: &Session, _: &RequestContext, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &RequestContext, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}

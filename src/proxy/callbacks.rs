//! Pingora's callbacks: they hand a request to its steps.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::accept::{self, Admitted, Arrival};
use super::context::RequestContext;
use super::refusal::Refusal;
use super::state::ProxyState;
use super::{forward, gym, local, record, relay, reply, respond};
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
            Arrival::Stored(stored) => forward::to_stored(&self.state, session, ctx, stored).await,
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
        accept::tune(session, ctx);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut RequestContext) -> Result<bool> {
        match self.take_in(session, ctx).await {
            Ok(Admitted::Forward) => relay::run(&self.state, session, ctx).await.map(|()| true),
            Ok(Admitted::Answered) => Ok(true),
            Err(Refusal::Gone(error)) => Err(error),
            Err(Refusal::Say(error)) => {
                Box::pin(reply::refuse(session, ctx, error)).await?;
                Ok(true)
            }
        }
    }

    /// Never asked: `request_filter` sees to the whole answer.
    async fn upstream_peer(&self, _: &mut Session, _: &mut RequestContext) -> Result<Box<HttpPeer>> {
        Err(Error::new_in(ErrorType::InternalError))
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

//! A request on its way through Pingora: made ready, mirrored, let in, and given its first engine.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue};
use pingora::proxy::Session;

use super::accept::{self, Accepted, Refusal};
use super::attempts::{Advance, Attempts};
use super::body::ReceivedBody;
use super::buffered_downstream::{self, Slot};
use super::context::RequestContext;
use super::memory::BodyReservation;
use super::respond::Response;
use super::{ProxyState, gym, mirror};
use crate::admission::Permit;
use crate::openai::{ApiError, Code, Endpoint};
use crate::routing::{
    self, Chance, OwnedHead, Prepared, PreparedRequest, Protocol, RequestHead, ResponseTranslator, Snapshot,
};

/// From this size on, looking through a body could hold up a worker for more than a millisecond.
pub(super) const OFFLOAD: usize = 1 << 20;

/// A request on its way through Pingora.
pub(super) struct Forward {
    pub(super) attempts: Attempts,
    pub(super) request: UpstreamRequest,
    pub(super) response: Response,
    /// Where the caller's session is left.
    pub(super) downstream: Option<Slot>,
    _permit: Permit,
}

/// What the engines of the current leg are sent.
pub(super) struct UpstreamRequest {
    pub(super) body: Bytes,
    pub(super) endpoint: Endpoint,
    /// In place of the caller's.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The caller's body was compressed.
    pub(super) decoded: bool,
    pub(super) translator: Option<ResponseTranslator>,
    /// The leg that it is for.
    leg: usize,
    original: Option<Arc<OriginalRequest>>,
    reservation: BodyReservation,
}

/// A request as its caller sent it, for another leg or a mirror.
pub(super) struct OriginalRequest {
    pub(super) head: OwnedHead,
    pub(super) body: Bytes,
    pub(super) reservation: BodyReservation,
}

/// What became of a request that was let in.
pub(super) enum Admitted {
    /// It goes to an engine, through Pingora.
    Forward,
    /// It was answered.
    Answered,
}

/// Takes an accepted request as far as it goes without an engine.
pub(super) async fn admit(
    state: &Arc<ProxyState>,
    session: &mut Session,
    ctx: &mut RequestContext,
    accepted: Accepted,
) -> Result<Admitted, Refusal> {
    let Accepted { endpoint, body: ReceivedBody { bytes, mut reservation, decoded } } = accepted;
    let boundary = accept::boundary(session, endpoint);
    let head = accept::head(session, ctx, endpoint, boundary.as_deref());
    let prepared = prepare(&ctx.snapshot, &head, bytes).await?;
    let Prepared { plan, request, original } = prepared;
    reservation.grow_to(request.body.len())?;
    let original = match original {
        Some(body) => {
            let reservation = reservation.another(body.len())?;
            Some(Arc::new(OriginalRequest { head: head.to_owned(), body, reservation }))
        }
        None => None,
    };
    if let Some(at) = plan.legs.first() {
        ctx.account.aim(&ctx.snapshot, *at);
    }
    let permit = state.admission.admit();
    if let Protocol::Gym(route) = plan.protocol {
        return gym::serve(state, session, ctx, gym::Asked { plan, route, body: request.body.freeze(), reservation })
            .await;
    }
    if let (Some(to), Some(original)) = (plan.mirror, &original) {
        mirror::send_copy(state, ctx, to, original);
    }
    let mut attempts = Attempts::new(plan, &ctx.snapshot, None);
    if attempts.advance(&ctx.snapshot) != Advance::Go {
        return Err(attempts.refusal(&ctx.snapshot, state.is_draining()).into());
    }
    let request = UpstreamRequest::new(request, 0, decoded, (original, reservation));
    let downstream = buffered_downstream::install(session, request.body.clone(), state.abort_signal());
    let (response, downstream) = (Response::default(), Some(downstream));
    ctx.forward = Some(Box::new(Forward { attempts, request, response, downstream, _permit: permit }));
    Ok(Admitted::Forward)
}

/// [`routing::prepare`], where it holds nobody up.
async fn prepare(snapshot: &Arc<Snapshot>, head: &RequestHead<'_>, body: BytesMut) -> Result<Prepared, ApiError> {
    let chance = Chance { split: fastrand::u64(..), mirror: fastrand::f64() };
    if body.len() < OFFLOAD {
        return routing::prepare(snapshot, head, body, chance);
    }
    let (snapshot, head) = (snapshot.clone(), head.to_owned());
    elsewhere(move || routing::prepare(&snapshot, &head.head(), body, chance)).await?
}

/// Does `work` where it holds nobody up.
///
/// # Errors
/// It panicked.
pub(super) async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    let broken = |_| ApiError::new(Code::Internal, "The request could not be processed.");
    tokio::task::spawn_blocking(work).await.map_err(broken)
}

impl OriginalRequest {
    /// Made ready for the target at `at`.
    pub(super) async fn prepare_for(
        self: &Arc<Self>,
        snapshot: &Arc<Snapshot>,
        at: usize,
    ) -> Result<PreparedRequest, ApiError> {
        let work = {
            let (snapshot, original) = (snapshot.clone(), self.clone());
            move || {
                let body = BytesMut::from(&original.body[..]);
                routing::prepare_for(&snapshot, at, &original.head.head(), body, None)
            }
        };
        if self.body.len() < OFFLOAD { work() } else { elsewhere(work).await? }
    }
}

impl UpstreamRequest {
    fn new(
        request: PreparedRequest,
        leg: usize,
        decoded: bool,
        (original, reservation): (Option<Arc<OriginalRequest>>, BodyReservation),
    ) -> Self {
        let PreparedRequest { body, endpoint, translator, headers } = request;
        Self { body: body.freeze(), endpoint, headers, decoded, translator, leg, original, reservation }
    }

    /// Makes it the request for another leg's engines; whether that changed anything.
    ///
    /// # Errors
    /// What the caller is told.
    pub(super) async fn switch_to(
        &mut self,
        snapshot: &Arc<Snapshot>,
        leg: usize,
        at: usize,
    ) -> Result<bool, ApiError> {
        let Some(original) = self.original.as_ref().filter(|_| leg != self.leg) else { return Ok(false) };
        let request = original.prepare_for(snapshot, at).await?;
        self.reservation.grow_to(request.body.len())?;
        let PreparedRequest { body, endpoint, translator, headers } = request;
        (self.body, self.endpoint, self.translator, self.headers) = (body.freeze(), endpoint, translator, headers);
        self.leg = leg;
        Ok(true)
    }
}

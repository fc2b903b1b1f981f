//! What engines are sent: made for the first leg, and made anew from the caller's request for another one or a mirror.

use std::num::NonZero;
use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue};
use tokio::sync::Semaphore;

use super::memory::BodyReservation;
use super::stored::Kept;
use crate::ids::Name;
use crate::openai::{ApiError, Code, Endpoint};
use crate::routing::{self, OwnedHead, PreparedRequest, ResponseTranslator, Snapshot};

/// From this size on, looking through a body could hold up a worker for more than a millisecond.
pub(super) const OFFLOAD: usize = 1 << 20;

/// What the engines of the current leg are sent.
pub(super) struct UpstreamRequest {
    pub(super) body: Bytes,
    pub(super) endpoint: Endpoint,
    /// In place of the caller's.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The caller's body was compressed.
    pub(super) decoded: bool,
    pub(super) translator: Option<ResponseTranslator>,
    /// See [`PreparedRequest::hides_usage`].
    pub(super) hides_usage: bool,
    /// As in [`PreparedRequest`].
    pub(super) requested: Option<Name>,
    /// It is about a response that an engine made before: the response, and its path in place of the endpoint's.
    pub(super) about: Option<Box<(Arc<Kept>, String)>>,
    /// It is for a response that is made after its answer.
    pub(super) is_background: bool,
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

/// Does `work` where it delays no other request.
///
/// # Errors
/// It panicked.
pub(super) async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    /// As many at once as there are cores: more would only hold more memory at the same time.
    static ROOM: LazyLock<Semaphore> =
        LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get)));
    let _room = ROOM.acquire().await.ok();
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
        let mut beside = self.reservation.another(0)?;
        let mut work = {
            let (snapshot, original) = (snapshot.clone(), self.clone());
            move || {
                let body = BytesMut::from(&original.body[..]);
                let mut room = |bytes| beside.grow_by(bytes);
                routing::prepare_for(&snapshot, at, &original.head.head(), body, None, &mut room)
            }
        };
        if self.body.len() < OFFLOAD { work() } else { elsewhere(work).await? }
    }
}

impl UpstreamRequest {
    pub(super) fn new(
        request: PreparedRequest,
        leg: usize,
        decoded: bool,
        (original, reservation): (Option<Arc<OriginalRequest>>, BodyReservation),
    ) -> Self {
        let PreparedRequest { body, endpoint, translator, hides_usage, headers, requested } = request;
        let body = body.freeze();
        let about = None;
        let is_background = false;
        Self {
            body,
            endpoint,
            headers,
            decoded,
            translator,
            hides_usage,
            requested,
            about,
            is_background,
            leg,
            original,
            reservation,
        }
    }

    /// About a response that an engine made before.
    pub(super) fn about(kept: Arc<Kept>, path: String, reservation: BodyReservation) -> Self {
        Self {
            body: Bytes::new(),
            endpoint: Endpoint::Responses,
            headers: Vec::new(),
            decoded: false,
            translator: None,
            hides_usage: false,
            requested: kept.requested.clone(),
            about: Some(Box::new((kept, path))),
            is_background: false,
            leg: 0,
            original: None,
            reservation,
        }
    }

    /// Gives back the bodies, which are for further attempts.
    pub(super) fn forget_body(&mut self) {
        if !self.body.is_empty() {
            (self.body, self.original) = (Bytes::new(), None);
            self.reservation.shrink_to(0);
        }
    }

    /// Its path at the engine.
    pub(super) fn path(&self) -> &str {
        self.about.as_deref().map_or(self.endpoint.path(), |(_, path)| path)
    }

    /// Makes it the request for another leg's engines; whether that changed anything.
    ///
    /// # Errors
    /// The error that the caller gets.
    pub(super) async fn switch_to(
        &mut self,
        snapshot: &Arc<Snapshot>,
        leg: usize,
        at: usize,
    ) -> Result<bool, ApiError> {
        let Some(original) = self.original.as_ref().filter(|_| leg != self.leg) else { return Ok(false) };
        // The body before is held until there is the new one.
        self.reservation.grow_to(self.body.len() + original.body.len())?;
        let request = original.prepare_for(snapshot, at).await?;
        self.reservation.grow_to(request.body.len())?;
        let PreparedRequest { body, endpoint, translator, hides_usage, headers, requested: _ } = request;
        self.hides_usage = hides_usage;
        (self.body, self.endpoint, self.translator, self.headers) = (body.freeze(), endpoint, translator, headers);
        self.leg = leg;
        self.reservation.shrink_to(self.body.len());
        Ok(true)
    }
}

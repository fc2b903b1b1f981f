//! Shadow traffic: copies of some requests for another target, whose answers are dropped and whose failures affect no client.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, header};

use super::ProxyState;
use super::attempts::{Attempts, Terms};
use super::context::RequestContext;
use super::exchange::{Message, Messages, exchange};
use super::memory::BodyReservation;
use super::upstream_request::OriginalRequest;
use crate::engines::CallLimits;
use crate::openai::{ApiError, Code};
use crate::routing::{Plan, Protocol, Snapshot};

/// Most of an answer that is read before it is given up.
const ANSWER: usize = 16 << 20;

/// A mirror that does not answer for so long is given up.
const WITHIN: Duration = Duration::from_secs(600);

/// Headers of a caller that its copy has too. None of its credentials.
const KEPT: [HeaderName; 3] = [header::CONTENT_TYPE, header::ACCEPT, header::USER_AGENT];

/// Sends a copy of the request to the target at `to`. Its caller waits for nothing.
pub(super) fn send_copy(state: &Arc<ProxyState>, ctx: &RequestContext, to: usize, original: &Arc<OriginalRequest>) {
    let Some(meters) = ctx.target().map(|target| target.meters.clone()) else { return };
    let Ok(place) = state.mirrors.clone().try_acquire_owned() else {
        meters.mirrored("dropped");
        return;
    };
    let (state, snapshot, original) = (state.clone(), ctx.snapshot.clone(), original.clone());
    let id = format!("{}-mirror", ctx.account.id());
    tokio::spawn(async move {
        let mut abort = state.abort_signal();
        let outcome = tokio::select! {
            outcome = copy(&state, &snapshot, to, &original, &id) => outcome,
            () = state.memory.copies_must_give_way() => "dropped",
            () = abort.aborted() => "failed",
        };
        drop(place);
        meters.mirrored(outcome);
    });
}

/// Sends the copy and reads its answer; what became of it.
async fn copy(
    state: &ProxyState,
    snapshot: &Arc<Snapshot>,
    to: usize,
    original: &Arc<OriginalRequest>,
    id: &str,
) -> &'static str {
    // The copy's own body is changed by other settings, and counts like any other.
    let Ok(reservation) = original.reservation.for_copy(original.body.len()) else { return "dropped" };
    let plan = Plan { legs: [to].into_iter().collect(), mirror: None, protocol: Protocol::Plain };
    let timeouts = &snapshot.timeouts;
    let limits = CallLimits { whole: Some(WITHIN), connect: timeouts.connect, silence: timeouts.read, bytes: ANSWER };
    let mut attempts = Attempts::new(snapshot.clone(), plan, Terms { is_copy: true, ..Terms::default() });
    let mut copies = Copies { snapshot, to, original, reservation, id };
    match exchange(state, &mut attempts, limits, &mut copies).await {
        Ok(reply) if reply.status.is_success() => "answered",
        _ => "failed",
    }
}

/// The copy for the mirror's engines.
struct Copies<'a> {
    snapshot: &'a Arc<Snapshot>,
    to: usize,
    original: &'a Arc<OriginalRequest>,
    reservation: BodyReservation,
    id: &'a str,
}

#[async_trait]
impl Messages for Copies<'_> {
    async fn message(&mut self, _: usize) -> Result<Message, ApiError> {
        self.reservation.grow_to(self.original.body.len())?;
        let request = self.original.prepare_for(self.snapshot, self.to).await?;
        self.reservation.grow_to(request.body.len())?;
        let sent = self.original.head.head().headers;
        let mut headers: HeaderMap =
            KEPT.iter().filter_map(|name| Some((name.clone(), sent.get(name)?.clone()))).collect();
        headers.extend(request.headers);
        let id = self.id.parse().map_err(|_| ApiError::new(Code::Internal, "The copy's id cannot be sent."))?;
        headers.insert("x-request-id", id);
        Ok(Message { path: request.endpoint.path(), headers, body: request.body.freeze() })
    }
}

//! An answer that is a response which its engine may keep: whose it is, and where, is noted as soon as its id has come.

use std::sync::Arc;
use std::time::Instant;

use super::ProxyState;
use super::context::{Forward, RequestContext};
use super::response::KeptResponse;
use super::stored::Kept;
use crate::ids::Name;
use crate::openai::response_id;

/// Notes which engine has made the response that begins with `piece`, if it may be asked for again.
pub(super) fn note(state: &ProxyState, piece: &[u8], ctx: &mut RequestContext) {
    let is_awaited = |forward: &Forward| matches!(forward.response.kept, KeptResponse::Awaited);
    if piece.is_empty() || !ctx.forward.as_deref().is_some_and(is_awaited) {
        return;
    }
    let (route, owner) = (ctx.target().map(|target| target.route.name.clone()), ctx.account.caller_name());
    let (owner, lifetime) = (owner.map(Name::from), ctx.snapshot.timeouts.stored_response);
    let Some(Forward { attempts, request, response: answer, .. }) = ctx.forward.as_deref_mut() else { return };
    answer.kept = KeptResponse::No;
    if let (Some(id), Some(route), Some(engine)) = (response_id(piece, answer.is_stream()), route, attempts.engine()) {
        let kept = Arc::new(Kept::new(engine.key(), owner, route, request.requested.clone()));
        answer.kept = KeptResponse::Known(kept.clone());
        state.stored.note(id, kept, lifetime, Instant::now());
    }
}

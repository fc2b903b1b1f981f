//! The engine of the next attempt, with the request made ready for it.

use std::net::SocketAddr;
use std::sync::Arc;

use pingora::{Error, ErrorType, Result};

use super::ProxyState;
use super::attempts::Advance;
use super::context::{Forward, RequestContext};
use crate::engines::Engine;
use crate::openai::{ApiError, Code};
use crate::outcome::Outcome;

/// Where an attempt goes.
pub(super) struct Next {
    pub(super) engine: Arc<Engine>,
    pub(super) address: SocketAddr,
    /// Over a new connection.
    pub(super) fresh: bool,
}

/// Begins the next attempt.
///
/// # Errors
/// The request cannot be made ready for its engine, or the engine's name leads nowhere and there is no other one.
pub(super) async fn begin(state: &ProxyState, ctx: &mut RequestContext) -> Result<Next> {
    let RequestContext { snapshot, account, forward, .. } = ctx;
    let Some(forward) = forward else { return Err(Error::new(ErrorType::InternalError)) };
    loop {
        let leg = forward.attempts.leg();
        let at = forward.attempts.plan.legs.get(leg).copied().unwrap_or_default();
        match forward.request.switch_to(snapshot, leg, at).await {
            Ok(false) => {}
            Ok(true) => account.set_target(snapshot, at),
            Err(refusal) => return Err(refuse(forward, refusal)),
        }
        forward.response.begin_attempt();
        let Some(current) = forward.attempts.begin() else {
            return Err(refuse(forward, ApiError::new(Code::Internal, "The request lost its engine.")));
        };
        let (engine, fresh) = (current.lease.engine().clone(), current.fresh);
        if let Some(address) = engine.socket() {
            return Ok(Next { engine, address, fresh });
        }
        forward.attempts.settle(Outcome::Unreachable, || "its host name does not resolve".into());
        if forward.attempts.advance(&state.admission) != Advance::Go {
            let message = format!("The host name of engine {} does not resolve.", engine.id);
            return Err(refuse(forward, ApiError::new(Code::EngineUnresolved, message)));
        }
    }
}

fn refuse(forward: &mut Forward, refusal: ApiError) -> Box<Error> {
    forward.response.refusal = Some(refusal);
    Error::new_up(ErrorType::ConnectError)
}

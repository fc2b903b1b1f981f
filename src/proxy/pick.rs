//! Choosing an engine for an attempt, and how Pingora is to talk to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use pingora::protocols::TcpKeepalive;
use pingora::proxy::Session;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora::{Error, ErrorType, Result};
use smallvec::SmallVec;

use super::context::Context;
use super::table::Target;
use super::{Shared, fallback};
use crate::config::Balance;
use crate::engines::{Engine, EngineState, Lease, Pool};
use crate::openai::{ApiError, Code};
use crate::routing::{self, Candidate, Picker};

/// How long a guess holds. The health check that it sets off is the better judge, and comes before.
const EJECTION: Duration = Duration::from_secs(1);

/// How many retries a burst may cost before the long-run share applies.
const RETRY_BURST: i64 = 256;

/// Hundredths of a retry that a model may spend: each request earns its share, each retry costs one.
#[derive(Debug)]
pub(super) struct Budget {
    cents: AtomicI64,
    per_request: i64,
}

impl Budget {
    pub(super) fn new(share: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "validated to 0..=10")]
        let per_request = (share * 100.0) as i64;
        Self { cents: AtomicI64::new(RETRY_BURST * 100), per_request }
    }

    fn earn(&self) {
        if self.cents.load(Ordering::Relaxed) < RETRY_BURST * 100 {
            self.cents.fetch_add(self.per_request, Ordering::Relaxed);
        }
    }

    /// Takes the price of one retry, if there is enough.
    pub(super) fn spend(&self) -> bool {
        if self.cents.fetch_sub(100, Ordering::Relaxed) >= 100 {
            return true;
        }
        self.cents.fetch_add(100, Ordering::Relaxed);
        false
    }
}

/// Leases the engine of the first attempt, or says why there is none.
pub(super) async fn first(shared: &Shared, ctx: &mut Context) -> Result<(), ApiError> {
    let Some(target) = ctx.target() else { return Err(no_target()) };
    target.budget.earn();
    let refusal = match lease(target, &ctx.tried) {
        Some(lease) => {
            ctx.lease = Some(lease);
            return Ok(());
        }
        None => why_not(shared, target),
    };
    while fallback::next(shared, ctx).await? {
        ctx.lease = ctx.target().and_then(|target| lease(target, &ctx.tried));
        if ctx.lease.is_some() {
            return Ok(());
        }
    }
    Err(refusal)
}

/// Whether a further attempt could go somewhere.
pub(super) fn has_another(ctx: &Context) -> bool {
    let Some((table, at)) = &ctx.target else { return false };
    let own = Some(at).filter(|_| !ctx.leave);
    let targets = own.into_iter().chain(&ctx.fallback).filter_map(|at| table.targets.get(*at));
    targets.into_iter().any(|target| choose(target, &ctx.tried).is_some())
}

/// The peer of the next attempt. The lease on it is in `ctx`.
pub(super) async fn peer(shared: &Shared, session: &mut Session, ctx: &mut Context) -> Result<Box<HttpPeer>> {
    if ctx.lease.is_none() && !ctx.leave {
        ctx.lease = ctx.target().and_then(|target| lease(target, &ctx.tried));
    }
    ctx.leave = false;
    while ctx.lease.is_none() && fallback::switch(shared, session, ctx).await? {
        ctx.lease = ctx.target().and_then(|target| lease(target, &ctx.tried));
    }
    let Some(lease) = &ctx.lease else {
        ctx.refusal = Some(ctx.target().map_or_else(no_target, |target| why_not(shared, target)));
        return Err(Error::new_up(ErrorType::ConnectError));
    };
    let engine = lease.engine().clone();
    let Some(socket) = engine.socket() else {
        let message = format!("The host name of engine {} does not resolve.", engine.id);
        ctx.refusal = Some(ApiError::new(Code::EngineUnresolved, message));
        return Err(Error::new_up(ErrorType::ConnectError));
    };
    ctx.tried.push(engine.clone());
    let url = &engine.address.url;
    // An empty server name spares an allocation where no TLS is spoken.
    let mut peer = HttpPeer::new(socket, url.tls, if url.tls { url.host.clone() } else { String::new() });
    let options = &mut peer.options;
    options.connection_timeout = Some(shared.timeouts.connect);
    options.total_connection_timeout = Some(shared.timeouts.connect * 2);
    options.read_timeout = Some(shared.timeouts.read);
    options.write_timeout = Some(shared.timeouts.write);
    options.idle_timeout = Some(engine.keep_alive());
    // Engines never upgrade: no WebSocket, no h2c.
    options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: Duration::from_secs(30),
        interval: Duration::from_secs(10),
        count: 3,
        #[cfg(target_os = "linux")]
        user_timeout: Duration::ZERO,
    });
    Ok(Box::new(peer))
}

/// Leases the best engine. One that stopped between the look and the count is not chosen again: it is not ready.
pub(super) fn lease(target: &Target, tried: &[Arc<Engine>]) -> Option<Lease> {
    loop {
        if let Some(lease) = Lease::try_take(choose(target, tried)?) {
            return Some(lease);
        }
    }
}

fn choose(target: &Target, tried: &[Arc<Engine>]) -> Option<Arc<Engine>> {
    let engines = target.pool.engines();
    let candidates: SmallVec<[Candidate; 16]> = engines
        .iter()
        .map(|engine| Candidate {
            ready: engine.is_ready(),
            ejected: engine.is_ejected(),
            tried: tried.iter().any(|other| Arc::ptr_eq(other, engine)),
            in_flight: engine.in_flight(),
        })
        .collect();
    let turn = match target.balance {
        Balance::RoundRobin => target.pool.advance(),
        Balance::LeastOutstanding | Balance::Random => fastrand::usize(..),
    };
    routing::pick(&candidates, Picker { balance: target.balance, turn }).map(|at| engines[at].clone())
}

pub(super) fn no_target() -> ApiError {
    ApiError::new(Code::Internal, "The request was not resolved.")
}

/// 503 with the state of the model and, when it failed, the reason with its last log lines.
pub(super) fn why_not(shared: &Shared, target: &Target) -> ApiError {
    if shared.is_draining() {
        let message = "The gateway is shutting down. Try again on another one.";
        return ApiError::new(Code::ShuttingDown, message);
    }
    describe(&target.pool)
}

fn describe(pool: &Pool) -> ApiError {
    let model = &pool.model;
    let state = pool.best_state();
    let (code, message) = match &*state {
        EngineState::Starting(what) => (Code::ModelLoading, format!("The model `{model}` is loading ({what}).")),
        EngineState::Ready => (Code::ModelBusy, format!("The model `{model}` has no engine left to try.")),
        EngineState::Unhealthy { problem: reason } => {
            (Code::ModelUnhealthy, format!("No engine of the model `{model}` passes its health checks: {reason}"))
        }
        EngineState::Failed(failure) => {
            let message = format!("The model `{model}` failed: {failure}");
            (Code::ModelFailed, message)
        }
        EngineState::Asleep(_) => {
            (Code::ModelAsleep, format!("The model `{model}` is asleep until an operator wakes it."))
        }
        EngineState::Stopping { reason: why } => {
            (Code::ModelStopping, format!("The model `{model}` takes no requests now: {why}."))
        }
        EngineState::Stopped => (Code::ModelStopped, format!("The model `{model}` is stopped.")),
    };
    ApiError::new(code, message)
}

/// Takes the engine of a failed attempt out of rotation until its health is known.
pub(super) fn eject(ctx: &Context) {
    if let Some(lease) = &ctx.lease {
        lease.eject(EJECTION);
    }
}

/// Whether nothing of an answer has reached the caller yet, so that another engine may still give it.
pub(super) fn is_clean(session: &Session) -> bool {
    session.response_written().is_none_or(|head| head.status.is_informational() && head.status != 101)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_lets_a_burst_pass_and_then_a_share_of_requests() {
        let budget = Budget::new(0.2);
        let burst = (0..1000).filter(|_| budget.spend()).count();
        assert_eq!(i64::try_from(burst), Ok(RETRY_BURST));
        let later = (0..1000)
            .filter(|_| {
                budget.earn();
                budget.spend()
            })
            .count();
        assert_eq!(later, 200);
    }
}

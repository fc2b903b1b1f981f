//! The engine of the next attempt, and how Pingora is to talk to it.

use std::time::Duration;

use pingora::protocols::TcpKeepalive;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora::{Error, ErrorType, Result};

use super::ProxyState;
use super::attempts::Advance;
use super::context::{Forward, RequestContext};
use crate::config::Timeouts;
use crate::engines::{Engine, avoid_kept_connections};
use crate::openai::{ApiError, Code};
use crate::outcome::Outcome;
use crate::routing::Snapshot;

/// The peer of the next attempt.
pub(super) async fn next(state: &ProxyState, ctx: &mut RequestContext) -> Result<Box<HttpPeer>> {
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
        match begin(forward, snapshot) {
            Ok(peer) => return Ok(peer),
            Err(unresolved) => {
                forward.attempts.settle(Outcome::Unreachable, || "its host name does not resolve".into());
                if forward.attempts.advance(&state.admission) != Advance::Go {
                    return Err(refuse(forward, unresolved));
                }
            }
        }
    }
}

fn refuse(forward: &mut Forward, refusal: ApiError) -> Box<Error> {
    forward.response.refusal = Some(refusal);
    Error::new_up(ErrorType::ConnectError)
}

/// Begins the attempt that has a lease.
fn begin(forward: &mut Forward, snapshot: &Snapshot) -> std::result::Result<Box<HttpPeer>, ApiError> {
    forward.response.begin_attempt();
    let gone = || ApiError::new(Code::Internal, "The request lost its engine.");
    let current = forward.attempts.begin().ok_or_else(gone)?;
    let (engine, fresh) = (current.lease.engine().clone(), current.fresh);
    if let Some(downstream) = &forward.downstream {
        downstream.begin(engine.clone(), forward.request.body.clone(), forward.attempts.alternatives());
    }
    let unresolved =
        || ApiError::new(Code::EngineUnresolved, format!("The host name of engine {} does not resolve.", engine.id));
    let socket = engine.socket().ok_or_else(unresolved)?;
    let url = &engine.address.url;
    // An empty server name spares an allocation where no TLS is spoken.
    let mut peer = HttpPeer::new(socket, url.tls, if url.tls { url.host.clone() } else { String::new() });
    tune(&mut peer, &engine, &snapshot.timeouts);
    if fresh {
        avoid_kept_connections(&mut peer);
    }
    Ok(Box::new(peer))
}

fn tune(peer: &mut HttpPeer, engine: &Engine, timeouts: &Timeouts) {
    let options = &mut peer.options;
    options.connection_timeout = Some(timeouts.connect);
    options.total_connection_timeout = Some(timeouts.connect * 2);
    options.read_timeout = Some(timeouts.read);
    options.write_timeout = Some(timeouts.write);
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
}

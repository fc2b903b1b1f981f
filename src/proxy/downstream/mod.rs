//! The caller's side of a request that goes to engines: its session, wrapped so that Pingora can repeat attempts.
//!
//! `session` is what Pingora sees in place of the caller's session. `answer` holds an answer back until something of it is
//! worth keeping, `burst` gathers events that come at once, `wait` knows what else ends the wait for an engine, and `interim`
//! writes what a caller gets meanwhile. `shared` is what the request tells the session and hears from it.

mod answer;
mod burst;
mod interim;
mod session;
mod shared;
mod wait;

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;

use self::session::BufferedSession;
use self::shared::{Attempt, Shared};
pub(super) use self::wait::{ABORTED, EXPIRED, LEFT, Wait, leaves};
use super::attempts::Alternatives;
use crate::engines::Engine;

/// The caller's session, as long as Pingora has a buffered one in its place.
#[derive(Debug)]
pub(super) struct Downstream(Arc<Shared>);

impl Downstream {
    /// Puts a buffered session in the place of the real one.
    pub(super) fn install(session: &mut Session, wait: Wait) -> Self {
        let shared = Arc::new(Shared::default());
        let real = std::mem::replace(&mut session.downstream_session, placeholder());
        let buffered = BufferedSession::new(real, shared.clone(), wait);
        *session.downstream_session = ServerSession::Custom(Box::new(buffered));
        Self(shared)
    }

    /// An attempt begins on `engine`, which is sent `body`; `alternatives`: who knows whether another engine could take its place.
    pub(super) fn begin(&self, engine: Arc<Engine>, body: Bytes, alternatives: Option<Alternatives>) {
        let mut attempt = self.0.attempt();
        let (number, alternatives) = (attempt.number + 1, alternatives.map(Arc::new));
        *attempt = Attempt { number, body, alternatives, engine: Some(engine) };
    }

    /// Whether the caller has the head of a stream, and perhaps comments, but nothing of its events: an answer that comes
    /// now must be events.
    pub(super) fn is_opened(&self) -> bool {
        self.0.opened.load(Ordering::Relaxed)
    }

    /// Puts the real session back, so that its connection can be used again.
    pub(super) fn remove(self, session: &mut Session) {
        // Dropping it leaves the real session here.
        *session.downstream_session = ServerSession::Custom(Box::new(()));
        if let Some(real) = self.0.real.lock().unwrap_or_else(PoisonError::into_inner).take() {
            session.downstream_session = real;
        }
    }
}

/// A session that must never be asked anything: it fills a place for a moment.
fn placeholder() -> Box<ServerSession> {
    Box::new(ServerSession::Custom(Box::new(())))
}

/// Takes the real session away for good. Pingora asks nothing more of a request that has failed and is accounted for.
pub(super) fn take(session: &mut Session) -> Box<ServerSession> {
    std::mem::replace(&mut session.downstream_session, placeholder())
}

//! What a request and its buffered session tell each other.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use pingora::protocols::http::ServerSession;

use crate::engines::Engine;
use crate::proxy::attempts::Alternatives;

/// What a request and its buffered session share. Neither waits for the other: they take turns.
#[derive(Default)]
pub(super) struct Shared {
    /// Where the real session is left when the buffered one is dropped.
    pub(super) real: Mutex<Option<Box<ServerSession>>>,
    attempt: Mutex<Attempt>,
    /// The caller has the head of a stream, and nothing of its events.
    pub(super) opened: AtomicBool,
}

/// The attempt under way.
#[derive(Default)]
pub(super) struct Attempt {
    pub(super) number: u32,
    /// What its engine is sent.
    pub(super) body: Bytes,
    pub(super) alternatives: Option<Arc<Alternatives>>,
    pub(super) engine: Option<Arc<Engine>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("opened", &self.opened).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn attempt(&self) -> MutexGuard<'_, Attempt> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

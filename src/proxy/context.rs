//! What is remembered of one request from its head to its account.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::auth::Known;
use super::rework::{Rework, Teller};
use super::rewrite::Original;
use super::shared::Held;
use super::standin;
use super::table::{Table, Target};
use crate::engines::{Engine, Lease};
use crate::ids::Name;
use crate::openai::{ApiError, Dialect, Endpoint, SseScanner, UsageFinder};
use crate::telemetry::InFlight;

/// A stopwatch that runs while a request is in our hands and stands while it is in an engine's or its caller's.
#[derive(Debug)]
pub(super) struct Stopwatch {
    since: Option<Instant>,
    total: Duration,
}

impl Stopwatch {
    pub(super) fn start(&mut self) {
        self.since = Some(Instant::now());
    }

    pub(super) fn stop(&mut self) {
        if let Some(since) = self.since.take() {
            self.total += since.elapsed();
        }
    }

    pub(super) fn add(&mut self, more: Duration) {
        self.total += more;
    }

    pub(super) fn total(&self) -> Duration {
        self.total + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// One request.
pub(crate) struct Context {
    pub(super) started: Instant,
    pub(super) ours: Stopwatch,
    pub(super) id: String,
    /// The alias that the caller came to, by its own address or path.
    pub(super) door: Option<Name>,
    /// It was by its path.
    pub(super) by_path: bool,
    /// Who sent it; `None`: who has no key.
    pub(super) caller: Option<Arc<Known>>,
    pub(super) endpoint: Option<Endpoint>,
    /// The table as it was when the request came, and the position of its target.
    pub(super) target: Option<(Arc<Table>, usize)>,
    pub(super) in_flight: Option<InFlight>,
    /// Positions of the targets to try when nothing else is left.
    pub(super) fallback: SmallVec<[usize; 4]>,
    /// The engines of the target will not do: the next attempt is the next target's.
    pub(super) leave: bool,
    /// The request as its caller sent it, where another target may want it.
    pub(super) original: Option<Arc<Original>>,
    /// The endpoint of the engines, which may be another than the caller's.
    pub(super) upstream: Option<Endpoint>,
    /// Of the answer, when the caller speaks another API than the engine.
    pub(super) translator: Option<Teller>,

    /// Headers as the engines get them, in place of the caller's.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The body as the engines get it.
    pub(super) body: Bytes,
    pub(super) received: usize,
    pub(super) decoded: bool,
    pub(super) held: Option<Held>,
    pub(super) stand_in: Option<standin::Slot>,
    /// When the request was complete.
    pub(super) complete: Option<Instant>,

    pub(super) lease: Option<Lease>,
    pub(super) tried: SmallVec<[Arc<Engine>; 4]>,
    pub(super) reused: bool,
    /// Further attempts, those included that found no engine at the other end.
    pub(super) retries: usize,
    /// Further attempts that cost an engine something.
    pub(super) resent: usize,

    /// The answer is a stream of events that we can read.
    pub(super) events: Option<SseScanner>,
    pub(super) usage: Option<UsageFinder>,
    /// What is done to the pieces of the answer.
    pub(super) rework: Rework,
    pub(super) first_event: Option<Instant>,
    pub(super) last_event: Option<Instant>,
    /// The answer was ended by us, properly, after its engine had died.
    pub(super) ended: bool,
    /// What we say instead of an engine.
    pub(super) refusal: Option<ApiError>,
    /// Code of what went wrong, for the access log.
    pub(super) error: Option<&'static str>,
}

impl Context {
    pub(super) fn new(door: Option<Name>) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            ours: Stopwatch { since: Some(now), total: Duration::ZERO },
            id: String::new(),
            door,
            by_path: false,
            caller: None,
            endpoint: None,
            target: None,
            in_flight: None,
            fallback: SmallVec::new(),
            leave: false,
            original: None,
            upstream: None,
            translator: None,
            headers: Vec::new(),
            body: Bytes::new(),
            received: 0,
            decoded: false,
            held: None,
            stand_in: None,
            complete: None,
            lease: None,
            tried: SmallVec::new(),
            reused: false,
            retries: 0,
            resent: 0,
            events: None,
            usage: None,
            rework: Rework::None,
            first_event: None,
            last_event: None,
            ended: false,
            refusal: None,
            error: None,
        }
    }

    pub(super) fn target(&self) -> Option<&Target> {
        self.target.as_ref().and_then(|(table, at)| table.targets.get(*at))
    }

    /// The name of who sent it.
    pub(super) fn caller(&self) -> Option<&str> {
        self.caller.as_deref().map(|known| &*known.name)
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.endpoint.map_or(Dialect::OpenAi, Endpoint::dialect)
    }
}

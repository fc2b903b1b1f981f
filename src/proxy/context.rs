//! The state of one request from its head to its record. Each step keeps its own part.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue};
use pingora::http::ResponseHeader;

use super::attempts::Attempts;
use super::downstream::Downstream;
use super::entry::Entry;
use super::response::Response;
use super::timeline::Timeline;
use super::upstream_request::UpstreamRequest;
use crate::config::LogReaders;
use crate::engines::Engine;
use crate::ids::Name;
use crate::net::ListenerId;
use crate::openai::{ApiError, Dialect, Endpoint, Usage};
use crate::routing::{CorsAnswer, Snapshot, Target};
use crate::telemetry::{CallerMeters, Captured, InFlight, TraceContext};

/// The header with the id of a request.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One request.
pub(crate) struct RequestContext {
    /// Everything that a reload can change, as it was when the request came.
    pub(super) snapshot: Arc<Snapshot>,
    /// The listener that it came in by.
    pub(super) listener: ListenerId,
    /// How it came in.
    pub(super) entry: Entry,
    /// What its record will contain.
    pub(super) account: Account,
    /// Its attempts on engines, once it was admitted.
    pub(super) forward: Option<Box<Forward>>,
    /// Its bodies, where its alias has them kept.
    pub(super) captured: Option<Box<Captured>>,
}

impl RequestContext {
    pub(super) fn new(snapshot: Arc<Snapshot>, listener: ListenerId) -> Self {
        let (entry, account) = (Entry::default(), Account::new(Instant::now()));
        Self { snapshot, listener, entry, account, forward: None, captured: None }
    }

    /// When the time for its answer is over.
    pub(super) fn expires(&self) -> Option<Instant> {
        self.snapshot.timeouts.request.map(|time| self.account.clock.started + time)
    }

    /// Whether its caller may know what engines log.
    pub(super) fn sees_logs(&self) -> bool {
        match self.snapshot.log_readers {
            LogReaders::Operators => false,
            LogReaders::Callers => self.account.caller.is_some(),
            LogReaders::Everybody => true,
        }
    }

    /// The times of its attempts, if it has got so far.
    pub(super) fn timeline(&self) -> Option<&Timeline> {
        match &self.forward {
            Some(forward) => Some(&forward.attempts.timeline),
            None => self.account.calls.as_deref().map(|called| &called.timeline),
        }
    }

    /// What the request goes to.
    pub(super) fn target(&self) -> Option<&Target> {
        self.account.target.and_then(|at| self.snapshot.target(at))
    }

    /// The target whose own address or path it was that the request came to; `None`: it was no one's own.
    ///
    /// # Errors
    /// 404: the alias is not there any more.
    pub(super) fn own_target(&self) -> Result<Option<&Target>, ApiError> {
        let find = |alias: &Name| self.snapshot.find(alias).map(|at| self.snapshot.target(at));
        Ok(self.entry.alias.as_ref().map(find).transpose()?.flatten())
    }
}

/// A request on its way to engines.
pub(super) struct Forward {
    pub(super) attempts: Attempts,
    pub(super) request: UpstreamRequest,
    pub(super) response: Response,
    pub(super) downstream: Downstream,
}

/// What became of attempts that were made by [`exchange`](super::exchange).
pub(super) struct Called {
    /// The engine tried last, and the attempts that another one followed.
    pub(super) engine: Option<(Arc<Engine>, usize)>,
    /// What the answer says of tokens.
    pub(super) usage: Option<Usage>,
    pub(super) timeline: Timeline,
}

/// What a request asks for, as far as its head says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) endpoint: Option<Endpoint>,
    /// It comes from a client of Anthropic's API, as far as that shows where there is no endpoint.
    pub(super) is_anthropic: bool,
    /// It only asks whether the gateway is well.
    pub(super) is_probe: bool,
}

/// What the record of a request will contain.
pub(super) struct Account {
    pub(super) clock: Clock,
    /// `x-request-id`.
    pub(super) id: HeaderValue,
    pub(super) asked: Asked,
    /// Its ids, where requests are traced.
    pub(super) trace: Option<Arc<TraceContext>>,
    /// Which pages may read its answer, where any may.
    pub(super) cors: Option<Box<CorsAnswer>>,
    /// The caller; `None`: without a key.
    pub(super) caller: Option<Arc<CallerMeters>>,
    /// Size of its body as received.
    pub(super) received: usize,
    /// Position of its target in the snapshot.
    pub(super) target: Option<usize>,
    /// The name that it says, where nothing is served under it.
    pub(super) unknown_model: Option<Box<str>>,
    in_flight: Option<InFlight>,
    /// What became of attempts that were made by [`exchange`](super::exchange).
    pub(super) calls: Option<Box<Called>>,
    /// Code of what went wrong.
    pub(super) error: Option<&'static str>,
}

impl Account {
    fn new(now: Instant) -> Self {
        Self {
            clock: Clock::start(now),
            id: HeaderValue::from_static(""),
            asked: Asked::default(),
            trace: None,
            cors: None,
            caller: None,
            received: 0,
            target: None,
            unknown_model: None,
            in_flight: None,
            calls: None,
            error: None,
        }
    }

    /// Its id, as text.
    pub(super) fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// The name of who sent it.
    pub(super) fn caller_name(&self) -> Option<&str> {
        self.caller.as_deref().map(CallerMeters::name)
    }

    /// Whose conventions its answer follows.
    pub(super) fn dialect(&self) -> Dialect {
        match self.asked.endpoint {
            Some(endpoint) => endpoint.dialect(),
            None if self.asked.is_anthropic => Dialect::Anthropic,
            None => Dialect::OpenAi,
        }
    }

    /// The headers by which its answer is known again: ours, and the one that Anthropic's libraries read.
    pub(super) fn name_answer(&self, head: &mut ResponseHeader) -> pingora::Result<()> {
        head.insert_header(REQUEST_ID, self.id.clone())?;
        if self.dialect() == Dialect::Anthropic {
            head.insert_header("request-id", self.id.clone())?;
        }
        Ok(())
    }

    /// Notes that it goes to the target at `at`, and counts it there.
    pub(super) fn set_target(&mut self, snapshot: &Snapshot, at: usize) {
        self.in_flight = snapshot.target(at).map(|target| target.meters.enter());
        self.target = Some(at);
    }

    /// It is over: it counts nowhere any more.
    pub(super) fn close(&mut self) {
        self.in_flight = None;
    }
}

/// The times of one request.
#[derive(Debug)]
pub(super) struct Clock {
    pub(super) started: Instant,
    /// Runs while the gateway works on the request, and is stopped while an engine or the client does.
    pub(super) ours: Stopwatch,
    /// When all of the request was there.
    received: Option<Instant>,
}

impl Clock {
    fn start(now: Instant) -> Self {
        Self { started: now, ours: Stopwatch { since: Some(now), total: Duration::ZERO }, received: None }
    }

    /// All of the request is there: from now on it is the gateway's turn.
    pub(super) fn note_received(&mut self) {
        self.received = Some(Instant::now());
        self.ours.start();
    }

    /// When all of the request was there, as far as it has a body.
    pub(super) fn complete(&self) -> Instant {
        self.received.unwrap_or(self.started)
    }
}

/// A stopwatch.
#[derive(Debug)]
pub(super) struct Stopwatch {
    since: Option<Instant>,
    total: Duration,
}

impl Stopwatch {
    /// Starts it, now.
    pub(super) fn start(&mut self) -> Instant {
        *self.since.insert(Instant::now())
    }

    pub(super) fn stop(&mut self) {
        if self.since.is_some() {
            self.stop_at(Instant::now());
        }
    }

    pub(super) fn stop_at(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.total += now.saturating_duration_since(since);
        }
    }

    pub(super) fn add(&mut self, more: Duration) {
        self.total += more;
    }

    /// What it has measured; not what it measures until it is stopped.
    pub(super) fn total(&self) -> Duration {
        self.total
    }
}

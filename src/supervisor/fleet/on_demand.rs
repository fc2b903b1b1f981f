//! What the fleet keeps of a model that is loaded on demand: where it is, who wants it, and when it was used.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::turns::Turn;
use crate::supervisor::lifecycle::orders::Done;

/// How long a request that went elsewhere has a model loaded for those after it.
const REMEMBERED: Duration = Duration::from_secs(30);

/// One model. For one that is not loaded on demand it is always its turn.
pub(super) struct OnDemand {
    /// Where it is.
    pub(super) turn: Turn,
    /// Since when it has its turn.
    since: Instant,
    /// How often it has got its turn.
    loads: u64,
    /// Since when it takes requests, in this turn.
    serves_since: Option<Instant>,
    /// Since when somebody wants it.
    wanted_since: Option<Instant>,
    /// When it was last seen that a request had gone elsewhere.
    asked_at: Option<Instant>,
    /// Whether an operator wants it loaded.
    is_ordered: bool,
    /// When it was last seen busy.
    used_at: Instant,
    /// How many attempts had begun on its engines then.
    begun: u64,
    /// Who waits for it to be loaded.
    waiting: Vec<oneshot::Sender<Done>>,
}

/// What requests do with a model at the moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    /// Attempts under way.
    pub(super) in_flight: usize,
    /// Requests that wait for it.
    pub(super) waiting: usize,
    /// Attempts that ever began on its engines.
    pub(super) begun: u64,
    /// Whether requests went elsewhere because it was not loaded.
    pub(super) passed_over: bool,
}

impl OnDemand {
    /// One that nobody used yet. `is_loaded`: it has its turn.
    pub(super) fn new(is_loaded: bool) -> Self {
        let now = Instant::now();
        Self {
            turn: if is_loaded { Turn::In } else { Turn::Out },
            since: now,
            loads: 0,
            serves_since: None,
            wanted_since: None,
            asked_at: None,
            is_ordered: false,
            used_at: now,
            begun: 0,
            waiting: vec![],
        }
    }

    /// It is to be loaded although no request needs it.
    pub(super) fn want(&mut self) {
        self.is_ordered = true;
    }

    /// An operator wants it loaded. What is returned tells when it is, or why it is not.
    pub(super) fn order(&mut self) -> oneshot::Receiver<Done> {
        self.want();
        let (done, waiting) = oneshot::channel();
        self.waiting.push(done);
        waiting
    }

    /// Nobody wants it any more, because of `why`.
    pub(super) fn forget(&mut self, why: &Done) {
        (self.is_ordered, self.asked_at, self.wanted_since) = (false, None, None);
        self.answer(why);
    }

    /// Tells who waits for it.
    pub(super) fn answer(&mut self, done: &Done) {
        self.is_ordered = false;
        self.waiting.drain(..).for_each(|waiting| _ = waiting.send(done.clone()));
    }

    /// Goes to `turn`.
    pub(super) fn set_turn(&mut self, turn: Turn, now: Instant) {
        self.loads += u64::from(turn == Turn::In && self.turn != Turn::In);
        (self.turn, self.since, self.serves_since) = (turn, now, None);
    }

    /// Takes note of what requests do with it, and whether it takes some; whether it is busy.
    pub(super) fn look(&mut self, of: Use, is_ready: bool, now: Instant) -> bool {
        let is_busy = of.in_flight + of.waiting > 0;
        if is_busy || self.begun != of.begun {
            (self.used_at, self.begun) = (now, of.begun);
        }
        self.asked_at = if of.passed_over { Some(now) } else { self.asked_at };
        let is_wanted = self.turn != Turn::In && (of.waiting > 0 || self.is_ordered || self.is_remembered(now));
        self.wanted_since = is_wanted.then(|| self.wanted_since.unwrap_or(now));
        match (self.turn, is_ready) {
            (Turn::In, true) => _ = self.serves_since.get_or_insert(now),
            (Turn::In, false) => {}
            _ => self.serves_since = None,
        }
        is_busy
    }

    fn is_remembered(&self, now: Instant) -> bool {
        // What was asked for before its turn ended was served.
        let asked = self.asked_at.filter(|at| self.turn == Turn::Next || *at >= self.since);
        asked.is_some_and(|at| now.saturating_duration_since(at) < REMEMBERED)
    }

    /// How often it has got its turn.
    pub(super) fn loads(&self) -> u64 {
        self.loads
    }

    /// Since when it takes requests, and how long it took until then.
    pub(super) fn serves(&self) -> Option<(Instant, Duration)> {
        self.serves_since.map(|since| (since, since.saturating_duration_since(self.since)))
    }

    /// Since when somebody wants it.
    pub(super) fn wanted_since(&self) -> Option<Instant> {
        self.wanted_since
    }

    /// When it was last seen busy.
    pub(super) fn used_at(&self) -> Instant {
        self.used_at
    }
}

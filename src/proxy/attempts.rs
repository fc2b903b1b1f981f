//! The attempts of one request: asks [`dispatch::next`] what to do, carries it out on permits, leases and budgets, and lets
//! nothing but an [`Outcome`] speak for or against an engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;

use super::timeline::Timeline;
use crate::admission::{Admission, Permit};
use crate::config::{Balance, Retry};
use crate::dispatch::{self, Affinity, Attempt, Decision, Engines, History, Rules, Send, WaitFor};
use crate::engines::{Engine, Lease, Pool};
use crate::openai::ApiError;
use crate::outcome::Outcome;
use crate::routing::{Plan, Snapshot, Target};
use crate::telemetry::TraceContext;

/// How long a guess holds. The health check that it sets off is the better judge, and comes before.
const EJECTION: Duration = Duration::from_secs(1);

/// How soon a connection breaks that its engine had closed while it was idle. An engine that takes longer has read the request.
const IDLE_CLOSE: Duration = Duration::from_secs(1);

/// For a copy of a request: nobody misses its answer, and no client's retries are to be spent on it.
const ONCE: Retry = Retry { attempts: 1, budget: 0.0 };

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Advance {
    /// A lease is there for the next attempt.
    Go,
    /// Wait, begin a new round, ask again.
    Wait(WaitFor, Instant),
    /// The answer at hand is the caller's.
    Deliver,
    /// There is no answer.
    Refuse,
}

/// What is asked of the attempts of one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    /// Which engine it is for.
    pub(super) affinity: Affinity,
    /// How long engines are waited for that cannot be had; `None`: not at all.
    pub(super) wait_until: Option<Instant>,
    /// When the time for the answer is over.
    pub(super) expires: Option<Instant>,
    /// It is a copy, whose answer nobody gets.
    pub(super) is_copy: bool,
    /// The caller may know what engines log.
    pub(super) sees_logs: bool,
    /// The ids of its spans, where requests are traced.
    pub(super) trace: Option<Arc<TraceContext>>,
}

impl Terms {
    fn rules<'a>(&self, snapshot: &'a Snapshot, load_until: Option<Instant>) -> Rules<'a> {
        let retry = if self.is_copy { &ONCE } else { &snapshot.retry };
        Rules { retry, wait_until: self.wait_until, load_until, expires: self.expires }
    }

    /// How long a model that is loaded on demand is waited for, from `now` on. Nobody waits for a copy, and an engine that is
    /// gone takes what it kept with it.
    fn load_until(&self, snapshot: &Snapshot, now: Instant) -> Option<Instant> {
        let waits = !self.is_copy && !matches!(self.affinity, Affinity::Only(_));
        let until = now + snapshot.timeouts.load;
        waits.then(|| self.expires.map_or(until, |expires| expires.min(until)))
    }
}

/// An attempt under way, or about to begin.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) lease: Lease,
    /// Position in the plan's legs.
    pub(super) leg: usize,
    /// Over a new connection.
    pub(super) fresh: bool,
    /// It goes over a kept connection.
    pub(super) reused: bool,
    since: Instant,
    /// What became of it is known.
    settled: bool,
    /// Given back with it.
    _permit: Permit,
}

/// The attempts of one request.
#[derive(Debug)]
pub(super) struct Attempts {
    snapshot: Arc<Snapshot>,
    pub(super) plan: Plan,
    pub(super) history: History,
    terms: Terms,
    /// How long a model is waited for that is loaded on demand; from the first question on.
    load_until: Option<Instant>,
    /// It is counted as one that found no engine.
    is_unserved: bool,
    pub(super) current: Option<Current>,
    pub(super) timeline: Timeline,
    /// What comes after it.
    next: Option<Current>,
    /// The engine tried last, and what happened to its connection.
    last: Option<(Arc<Engine>, String)>,
}

impl Attempts {
    /// None so far. A request earns its model's share of the retry budget.
    pub(super) fn new(snapshot: Arc<Snapshot>, plan: Plan, terms: Terms) -> Self {
        let (history, timeline) = (History::default(), Timeline::default());
        let (load_until, is_unserved) = (None, false);
        let attempts = Self {
            snapshot,
            plan,
            history,
            terms,
            load_until,
            is_unserved,
            current: None,
            timeline,
            next: None,
            last: None,
        };
        if let Some(target) = attempts.target(0).filter(|_| !attempts.terms.is_copy) {
            target.pool.budget.earn();
        }
        attempts
    }

    /// The target of a leg.
    pub(super) fn target(&self, leg: usize) -> Option<&Target> {
        self.plan.legs.get(leg).and_then(|at| self.snapshot.target(*at))
    }

    /// Asks what to do next, and takes the permit and the lease of the engine that is to be tried.
    pub(super) fn advance(&mut self, admission: &Admission) -> Advance {
        // An engine may stop between the look and the count, or the last of the budget go: then the question is put again.
        loop {
            let since = Instant::now();
            let view = Engines::new(&self.snapshot, &self.plan, &self.terms.affinity);
            self.load_until = self.load_until.or_else(|| self.terms.load_until(&self.snapshot, since));
            let rules = self.terms.rules(&self.snapshot, self.load_until);
            let send = match dispatch::next(&rules, &self.history, &view, since) {
                Decision::Send(send) => send,
                Decision::Wait { what, until } => return Advance::Wait(what, until),
                Decision::Deliver => return Advance::Deliver,
                Decision::Refuse => return Advance::Refuse,
            };
            if let Some(lease) = commit(&view, &send) {
                let Send { leg, fresh, .. } = send;
                self.note_passed_over(leg);
                self.count(leg);
                let permit = admission.admit();
                self.next = Some(Current { lease, leg, fresh, reused: false, since, settled: false, _permit: permit });
                return Advance::Go;
            }
        }
    }

    /// Whether an attempt is about to begin.
    pub(super) fn is_about_to_go(&self) -> bool {
        self.next.is_some()
    }

    /// Begins the attempt that is about to: the one before is over.
    pub(super) fn begin(&mut self) -> Option<&mut Current> {
        let now = Instant::now();
        let next = Current { since: now, ..self.next.take()? };
        let engine = next.lease.engine();
        self.timeline.begin(engine.clone(), now);
        self.last = Some((engine.clone(), String::new()));
        Some(self.current.insert(next))
    }

    /// The `traceparent` of the attempt under way, where requests are traced, and what goes with it.
    pub(super) fn trace(&self) -> Option<([u8; 55], Option<&HeaderValue>)> {
        let trace = self.terms.trace.as_deref()?;
        Some((trace.traceparent(self.timeline.begun()), trace.state()))
    }

    /// Where the attempt under way or about to begin goes.
    pub(super) fn leg(&self) -> usize {
        self.next.as_ref().or(self.current.as_ref()).map_or(0, |current| current.leg)
    }

    /// Whether a later leg could take the request, should this one's engines refuse it.
    pub(super) fn has_later_leg(&self) -> bool {
        self.leg() + 1 < self.plan.legs.len()
    }

    /// What is left of the time for the whole request; `None`: it is not limited.
    pub(super) fn time_left(&self) -> Option<Duration> {
        self.terms.expires.map(|expires| expires.saturating_duration_since(Instant::now()))
    }

    /// Engines are not waited for any more.
    pub(super) fn wait_no_more(&mut self) {
        // A time that is over.
        (self.terms.wait_until, self.load_until) = (None, Some(Instant::now()));
    }

    /// Counts it as a request that found no engine, once.
    pub(super) fn note_unserved(&mut self) {
        if !std::mem::replace(&mut self.is_unserved, true) {
            self.pools().for_each(|pool| pool.ask_for_engine());
        }
    }

    /// The models that it can go to.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        (0..self.plan.legs.len()).filter_map(|leg| Some(&self.target(leg)?.pool))
    }

    /// Who can say whether another engine could take the place of the attempt under way; `None`: none ever could.
    pub(super) fn alternatives(&self) -> Option<Alternatives<'_>> {
        let current = self.current.as_ref()?;
        let alone = self.plan.legs.len() == 1 && self.target(current.leg)?.pool.engines().len() < 2;
        (!alone && !self.terms.is_copy).then_some(Alternatives { attempts: self, current })
    }

    /// Notes what became of the attempt under way, once; `why`: what happened to the connection, for people.
    pub(super) fn settle(&mut self, outcome: Outcome, why: impl FnOnce() -> String) {
        let Some(current) = &mut self.current else { return };
        let now = Instant::now();
        self.timeline.end(outcome, now);
        let engine = current.lease.engine().clone();
        if std::mem::replace(&mut current.settled, true) {
            // Its answer was judged already, and broke off afterwards.
            self.last = Some((engine, why()));
            return;
        }
        if outcome.speaks_against_engine() {
            engine.eject(EJECTION);
        } else if outcome.casts_doubt() {
            engine.suspect();
        }
        let reused = current.reused && now.saturating_duration_since(current.since) < IDLE_CLOSE;
        let (leg, alone) = (current.leg, current.lease.was_alone());
        if let Some(target) = self.target(leg) {
            target.meters.attempted(outcome.word());
        }
        self.history.note(Attempt { leg, key: engine.key(), outcome, reused, alone });
        self.last = Some((engine, why()));
    }

    /// What nobody waited for to its end was given up by its caller.
    pub(super) fn give_up(&mut self) {
        if self.current.as_ref().is_some_and(|current| !current.settled) {
            self.settle(Outcome::ClientGone, String::new);
        }
    }

    /// Counts a further attempt, and a move to another leg.
    fn count(&mut self, leg: usize) {
        let last = self.history.last().copied();
        let from = last.map_or(0, |last| last.leg);
        if let (Some(from), Some(to)) = (self.target(from), self.target(leg).filter(|_| leg != from)) {
            from.meters.fell_back(&to.route.model);
        }
        if let Some(last) = last {
            if let Some(target) = self.target(from) {
                target.meters.retried(last.outcome.word());
            }
            self.history.note_retry();
        }
    }

    /// Has models loaded on demand that would have been tried before `leg`, had they had an engine: later requests find one.
    fn note_passed_over(&self, leg: usize) {
        let is_due = |pool: &&Arc<Pool>| pool.loads_on_demand() && !pool.is_ready();
        self.pools().take(leg).filter(is_due).for_each(|pool| pool.pass_over());
    }

    /// Attempts that another one followed.
    pub(super) fn retries(&self) -> usize {
        self.history.retries()
    }

    /// The engine tried last.
    pub(super) fn engine(&self) -> Option<&Arc<Engine>> {
        self.last.as_ref().map(|(engine, _)| engine)
    }

    /// The error that the caller gets when there is no answer.
    pub(super) fn refusal(&self, draining: bool) -> ApiError {
        if let (Some(last), Some((engine, why))) = (self.history.last(), &self.last) {
            return dispatch::after(last.outcome, engine.id.as_str(), why, self.history.killed());
        }
        if draining {
            return dispatch::shutting_down();
        }
        if !self.is_unserved {
            self.pools().for_each(|pool| pool.ask_for_engine());
        }
        match self.target(0) {
            Some(target) => dispatch::no_engine(&target.pool, self.pools().map(|pool| &**pool), self.terms.sees_logs),
            None => dispatch::shutting_down(),
        }
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Takes the lease and pays; `None`: either failed.
fn commit(view: &Engines<'_>, send: &Send) -> Option<Lease> {
    let lease = Lease::try_take(view.engine(send)?)?;
    let target = view.target(send.leg)?;
    if send.payer.is_some_and(|leg| !view.target(leg).is_some_and(|payer| payer.pool.budget.spend())) {
        return None;
    }
    if target.balance == Balance::RoundRobin {
        target.pool.advance();
    }
    Some(lease)
}

/// Says whether another engine could take the place of an attempt under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alternatives<'a> {
    attempts: &'a Attempts,
    current: &'a Current,
}

impl Alternatives<'_> {
    /// The attempt's own engine.
    pub(super) fn engine(&self) -> &Engine {
        self.current.lease.engine()
    }

    /// Whether one could now.
    pub(super) fn any(&self) -> bool {
        let Attempts { snapshot, plan, history, terms, load_until, .. } = self.attempts;
        let Current { lease, leg, reused, .. } = self.current;
        let mut history = history.clone();
        // As it would end.
        let outcome = Outcome::EngineLeft;
        history.note(Attempt { leg: *leg, key: lease.key(), outcome, reused: *reused, alone: false });
        let view = Engines::new(snapshot, plan, &terms.affinity);
        matches!(
            dispatch::next(&terms.rules(snapshot, *load_until), &history, &view, Instant::now()),
            Decision::Send(_)
        )
    }
}

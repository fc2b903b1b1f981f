//! The attempts of one request: asks [`dispatch::next`] what to do, carries it out on leases and budgets, and lets nothing but
//! an [`Outcome`] speak for or against an engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dispatch::{self, Attempt, Decision, Engines, History, Patience, Send, WaitFor};
use crate::engines::{Engine, Lease};
use crate::openai::ApiError;
use crate::outcome::Outcome;
use crate::routing::{Plan, Snapshot};

/// How long a guess holds. The health check that it sets off is the better judge, and comes before.
const EJECTION: Duration = Duration::from_secs(1);

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
    /// What became of it is known.
    settled: bool,
}

/// The attempts of one request.
#[derive(Debug)]
pub(super) struct Attempts {
    pub(super) plan: Plan,
    pub(super) history: History,
    /// The session whose requests stay on one replica, and how long they wait.
    session: Option<(String, Patience)>,
    pub(super) current: Option<Current>,
    /// What comes after it.
    next: Option<Current>,
    /// The engine tried last, and what happened to its connection.
    last: Option<(Arc<Engine>, String)>,
}

impl Attempts {
    /// None so far. A request earns its model's share of the retry budget.
    pub(super) fn new(plan: Plan, snapshot: &Snapshot, session: Option<(String, Patience)>) -> Self {
        if let Some(target) = plan.legs.first().and_then(|at| snapshot.target(*at)) {
            target.pool.budget.earn();
        }
        Self { plan, history: History::default(), session, current: None, next: None, last: None }
    }

    /// Asks what to do next, and takes the lease of the engine that is to be tried.
    pub(super) fn advance(&mut self, snapshot: &Snapshot) -> Advance {
        let retry = &snapshot.retry;
        // An engine may stop between the look and the count, or the last of the budget go: then the question is put again.
        loop {
            let (session, patience) =
                self.session.as_ref().map_or((None, None), |(name, it)| (Some(&**name), Some(*it)));
            let view = Engines { snapshot, plan: &self.plan, session };
            let send = match dispatch::next(retry, patience, &self.history, &view, Instant::now()) {
                Decision::Send(send) => send,
                Decision::Wait { what, until } => return Advance::Wait(what, until),
                Decision::Deliver => return Advance::Deliver,
                Decision::Refuse => return Advance::Refuse,
            };
            if let Some(lease) = commit(&view, &send) {
                let Send { leg, fresh, .. } = send;
                self.count(snapshot, leg);
                self.next = Some(Current { lease, leg, fresh, reused: false, settled: false });
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
        let next = self.next.take()?;
        self.last = Some((next.lease.engine().clone(), String::new()));
        Some(self.current.insert(next))
    }

    /// Where the attempt under way or about to begin goes.
    pub(super) fn leg(&self) -> usize {
        self.next.as_ref().or(self.current.as_ref()).map_or(0, |current| current.leg)
    }

    /// Whether a later leg could take the request, should this one's engines refuse it.
    pub(super) fn has_later_leg(&self) -> bool {
        self.leg() + 1 < self.plan.legs.len()
    }

    /// Notes what became of the attempt under way, once; `why`: what happened to the connection, for people.
    pub(super) fn settle(&mut self, snapshot: &Snapshot, outcome: Outcome, why: impl FnOnce() -> String) {
        let Some(current) = &mut self.current else { return };
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
        let (leg, reused, key) = (current.leg, current.reused, engine.key());
        if let Some(target) = self.plan.legs.get(leg).and_then(|at| snapshot.target(*at)) {
            target.meters.attempted(outcome.word());
        }
        self.history.note(Attempt { leg, key, outcome, reused });
        self.last = Some((engine, why()));
    }

    /// Counts a further attempt, and a move to another leg.
    fn count(&mut self, snapshot: &Snapshot, leg: usize) {
        let last = self.history.last().copied();
        let target = |leg: usize| self.plan.legs.get(leg).and_then(|at| snapshot.target(*at));
        let from = last.map_or(0, |last| last.leg);
        if let (Some(from), Some(to)) = (target(from), target(leg).filter(|_| leg != from)) {
            from.meters.fell_back(&to.route.model);
        }
        if let Some(last) = last {
            if let Some(target) = target(from) {
                target.meters.retried(last.outcome.word());
            }
            self.history.note_retry();
        }
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
    pub(super) fn refusal(&self, snapshot: &Snapshot, draining: bool) -> ApiError {
        if let (Some(last), Some((engine, why))) = (self.history.last(), &self.last) {
            return dispatch::after(last.outcome, engine.id.as_str(), why);
        }
        if draining {
            return dispatch::shutting_down();
        }
        let target = self.plan.legs.first().and_then(|at| snapshot.target(*at));
        for pool in self.plan.legs.iter().filter_map(|at| Some(&snapshot.target(*at)?.pool)) {
            pool.ask_for_engine();
        }
        target.map_or_else(dispatch::shutting_down, |target| dispatch::no_engine(&target.pool))
    }
}

/// Takes the lease and pays; `None`: either failed.
fn commit(view: &Engines<'_>, send: &Send) -> Option<Lease> {
    let lease = Lease::try_take(view.engine(send)?)?;
    let paid = send.payer.is_none_or(|leg| view.target(leg).is_some_and(|target| target.pool.budget.spend()));
    paid.then_some(lease)
}

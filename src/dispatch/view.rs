//! How the engines of a plan are seen by who decides.

use std::sync::Arc;

use super::decision::Send;
use super::policy::{Candidate, Candidates};
use crate::config::Balance;
use crate::dialects::gym;
use crate::engines::{Engine, Members};
use crate::routing::{Plan, Snapshot, Target};

/// What is known of the engines of each leg of a plan at the moment.
pub trait View {
    /// How many legs there are.
    fn legs(&self) -> usize;

    /// The engines of a leg, in replica order.
    fn candidates(&self, leg: usize) -> impl Candidates;

    /// How one of them is chosen.
    fn balance(&self, leg: usize) -> Balance;

    /// A number that varies from one attempt to the next: for round robin a counter, otherwise random.
    fn turn(&self, leg: usize) -> usize;

    /// The position of the engine to prefer; `None`: none.
    fn preferred(&self, leg: usize) -> Option<usize>;

    /// The context length that the leg's engines tell, in tokens.
    fn context_length(&self, leg: usize) -> Option<u64>;

    /// Whether engines of the leg's model are being loaded for requests that wait, or will be.
    fn may_be_loaded(&self, leg: usize) -> bool;

    /// Whether the leg's model can pay for a retry.
    fn affords_retry(&self, leg: usize) -> bool;
}

/// Which engine a request is for, of all that could take it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// Any.
    #[default]
    None,
    /// The requests of a session stay on one replica, as long as nothing speaks against it.
    Session(String),
    /// No other engine can answer it.
    Only(u64),
}

/// The real engines.
#[derive(Clone, Copy, Debug)]
pub struct Engines<'a> {
    /// Where the plan's targets are.
    snapshot: &'a Snapshot,
    plan: &'a Plan,
    affinity: &'a Affinity,
    /// Drawn once.
    random: usize,
}

impl<'a> Engines<'a> {
    /// Those of `plan`, for an attempt of a request.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot, plan: &'a Plan, affinity: &'a Affinity) -> Self {
        Self { snapshot, plan, affinity, random: fastrand::usize(..) }
    }

    /// The target of a leg.
    #[must_use]
    pub fn target(&self, leg: usize) -> Option<&'a Target> {
        self.plan.legs.get(leg).and_then(|at| self.snapshot.target(*at))
    }

    /// The engine that was decided for; `None`: it is gone.
    #[must_use]
    pub fn engine(&self, send: &Send) -> Option<Arc<Engine>> {
        let engines = self.target(send.leg)?.pool.engines();
        let is_it = |engine: &&Arc<Engine>| engine.key() == send.key;
        // Where it was a moment ago: to look at all engines for it is a cost that grows with their number.
        engines.get(send.at).filter(is_it).or_else(|| engines.iter().find(is_it)).cloned()
    }
}

impl View for Engines<'_> {
    fn legs(&self) -> usize {
        self.plan.legs.len()
    }

    fn candidates(&self, leg: usize) -> impl Candidates {
        let only = match self.affinity {
            Affinity::Only(key) => Some(*key),
            Affinity::None | Affinity::Session(_) => None,
        };
        LegEngines { engines: self.target(leg).map(|target| target.pool.engines()), only }
    }

    fn balance(&self, leg: usize) -> Balance {
        self.target(leg).map_or(Balance::default(), |target| target.balance)
    }

    fn turn(&self, leg: usize) -> usize {
        match self.target(leg) {
            Some(target) if target.balance == Balance::RoundRobin => target.pool.turn(),
            _ => self.random,
        }
    }

    fn preferred(&self, leg: usize) -> Option<usize> {
        let engines = self.target(leg)?.pool.engines();
        match self.affinity {
            Affinity::None => None,
            Affinity::Session(session) => Some(gym::replica(session, engines.len())),
            Affinity::Only(key) => engines.iter().position(|engine| engine.key() == *key),
        }
    }

    fn context_length(&self, leg: usize) -> Option<u64> {
        self.target(leg)?.context_length()
    }

    fn may_be_loaded(&self, leg: usize) -> bool {
        self.target(leg).is_some_and(|target| target.pool.may_be_loaded())
    }

    fn affords_retry(&self, leg: usize) -> bool {
        self.target(leg).is_some_and(|target| target.pool.budget.affords_one())
    }
}

/// The engines of one leg, each looked at when it is asked for.
#[derive(Debug)]
struct LegEngines {
    engines: Option<Members>,
    /// No other one has room for the request.
    only: Option<u64>,
}

impl Candidates for LegEngines {
    fn count(&self) -> usize {
        self.engines.as_ref().map_or(0, |engines| engines.len())
    }

    fn at(&self, at: usize) -> Option<Candidate> {
        let engine = self.engines.as_ref()?.get(at)?;
        Some(Candidate {
            key: engine.key(),
            ready: engine.is_ready(),
            ejected: engine.is_ejected(),
            in_flight: engine.in_flight(),
            has_room: self.only.is_none_or(|only| only == engine.key()),
        })
    }
}

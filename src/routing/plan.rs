//! Where a request may go, in which order.

use smallvec::SmallVec;

use super::Snapshot;
use crate::dialects::gym::GymRoute;
use crate::ids::Name;

/// Where one request may go. Legs, and the mirror, are positions of targets in the snapshot that the request keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The targets to try, in this order; at least one.
    pub legs: SmallVec<[usize; 4]>,
    /// The target that gets a copy.
    pub mirror: Option<usize>,
    /// How an answer comes about.
    pub protocol: Protocol,
}

/// How an answer comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// One call of an engine is one answer.
    Plain,
    /// NeMo Gym's rules: several calls, one answer.
    Gym(GymRoute),
}

/// One of the places where requests of a name may go, described for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The name of the place: what `split` or `fallback` says, or the name itself.
    pub name: Name,
    /// The target's position.
    pub target: usize,
    /// When requests go there.
    pub when: When,
}

/// When requests go to a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// Whenever it can take them.
    Always,
    /// This percentage of them.
    Share(f64),
    /// When no place before it can take them: first fallback 1, then 2.
    Fallback(usize),
    /// Copies of this percentage of them.
    Mirror(f64),
}

impl Snapshot {
    /// Where copies of requests of the target at `at` go; nobody waits for what becomes of these.
    #[must_use]
    pub fn mirror(&self, at: usize) -> Option<Place> {
        let target = self.target(at)?;
        let (percent, to) = target.mirror?;
        let (_, destination) = target.route.mirror.as_ref()?;
        Some(Place { name: destination.name.clone(), target: to, when: When::Mirror(percent) })
    }

    /// Everywhere that requests of the target at `at` may go: first where they are meant to. Copies aside.
    #[must_use]
    pub fn places(&self, at: usize) -> Vec<Place> {
        let Some(target) = self.target(at) else { return Vec::new() };
        let place = |name: &Name, target, when| Place { name: name.clone(), target, when };
        let mut places: Vec<Place> = match &target.split {
            None => vec![place(&target.route.name, at, When::Always)],
            Some(split) => {
                let named = target.route.split.iter().filter(|(weight, _)| *weight > 0);
                split
                    .shares()
                    .zip(named)
                    .map(|((at, share), (_, to))| place(&to.name, at, When::Share(share)))
                    .collect()
            }
        };
        let fallbacks = target.fallback.iter().zip(&target.route.fallback).enumerate();
        places.extend(fallbacks.map(|(number, (at, to))| place(&to.name, *at, When::Fallback(number + 1))));
        places
    }
}

//! Whose turn it is of the models that are loaded on demand: pure.
//!
//! Who is wanted first is served first. Where there is no room, others make some: engines that failed, then those without
//! requests, the one that was used longest ago first, then those that have had their time. A model that has requests keeps its
//! GPUs for at least as long as its load took, so that at most half of the time goes into loading.

use std::time::Duration;

use tokio::time::Instant;

use crate::api;
use crate::config::Idle;
use crate::ids::Name;

/// The least time that a model with requests keeps its GPUs.
const LEAST_TURN: Duration = Duration::from_secs(1);

/// How soon is looked again while a model waits for its turn: requests come and go unheard.
const SOON: Duration = Duration::from_millis(100);

/// How soon is looked again while nobody waits.
const SELDOM: Duration = Duration::from_secs(10);

/// Where a model is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Turn {
    /// It has no engines, or they are ending.
    #[default]
    Out,
    /// Its engines sleep, or are about to.
    Resting,
    /// It is next: what it needs is being made free.
    Next,
    /// Its engines load, or are loaded.
    In,
}

impl Turn {
    /// As operators see it.
    pub(super) fn shown(self) -> api::Turn {
        match self {
            Self::Out => api::Turn::NotLoaded,
            Self::Resting => api::Turn::Asleep,
            Self::Next => api::Turn::Next,
            Self::In => api::Turn::Loaded,
        }
    }
}

/// A model that is loaded on demand.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    /// Its name.
    pub(super) name: Name,
    /// Where it is.
    pub(super) turn: Turn,
    /// Since when somebody wants it loaded; `None`: nobody does.
    pub(super) wanted_since: Option<Instant>,
    /// Whether requests are under way on it, or wait for it.
    pub(super) is_busy: bool,
    /// When it was last seen busy.
    pub(super) used_at: Instant,
    /// What its engines do.
    pub(super) engines: Engines,
    /// Whether its engines can sleep instead of ending.
    pub(super) can_sleep: bool,
    /// When they sleep or end because nobody uses them.
    pub(super) idle: Idle,
}

/// What the engines of a model do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engines {
    /// There are none, or they sleep.
    None,
    /// They end, or fall asleep.
    Leaving,
    /// They load.
    Loading,
    /// One takes requests.
    Serving {
        /// Since when.
        since: Instant,
        /// How long the load took.
        took: Duration,
    },
    /// They failed.
    Failed,
    /// They failed, and have no GPUs any more.
    Displaced,
}

/// What is under way that changes what is free on the GPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unsettled {
    /// GPUs are being looked for, so that nobody knows what is free.
    pub(super) is_placing: bool,
    /// Engines of any model end, or fall asleep.
    pub(super) is_leaving: bool,
}

/// What follows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// Models that change their place.
    pub(super) turns: Vec<(Name, Turn)>,
    /// Models that are wanted and for which nobody can make room.
    pub(super) stuck: Vec<Name>,
    /// When to look again, if nothing is heard before.
    pub(super) look_at: Option<Instant>,
}

/// What is known of room on the GPUs.
pub(super) trait Room {
    /// Whether all of these models could be loaded at the same time, if no other one were that is loaded on demand.
    fn fits(&self, models: &[&Name]) -> bool;

    /// Whether this one can be loaded now, beside all that runs.
    fn is_free(&self, model: &Name) -> bool;
}

/// Decides who gets GPUs and who gives them back.
pub(super) fn decide(contenders: &[Contender], room: &impl Room, unsettled: Unsettled, now: Instant) -> Decision {
    let mut decision = Decision::default();
    let mut inside = stays(contenders, now, &mut decision);
    makes_room_for_others(&mut inside, (room, now), &mut decision);
    let mut wanted: Vec<&Contender> = contenders.iter().filter(|it| !it.holds_gpus()).collect();
    wanted.retain(|it| it.wanted_since.is_some() && it.engines != Engines::Leaving);
    wanted.sort_by_key(|it| it.wanted_since);
    lets_in(&wanted, &mut inside, (room, now), &mut decision);
    loads(&inside, (room, unsettled, now), &mut decision);
    decision
}

/// Has models end that are in the way of engines that are not loaded on demand: those keep their GPUs, once they have them.
fn makes_room_for_others(inside: &mut Vec<&Contender>, (room, now): (&impl Room, Instant), decision: &mut Decision) {
    let fits = |set: &[&Contender]| room.fits(&set.iter().map(|it| &it.name).collect::<Vec<_>>());
    if inside.is_empty() || fits(inside) {
        return;
    }
    decision.look_before(now + SOON);
    if let (Some(victims), true) = victims(inside, now, &fits) {
        decision.turns.extend(victims.iter().map(|it| (it.name.clone(), it.without_gpus())));
        inside.retain(|it| victims.iter().all(|victim| victim.name != it.name));
    }
}

/// Which models keep their GPUs, or go on to wait for theirs; the others are not used any more.
fn stays<'a>(contenders: &'a [Contender], now: Instant, decision: &mut Decision) -> Vec<&'a Contender> {
    let mut inside: Vec<&Contender> = Vec::new();
    for contender in contenders.iter().filter(|it| it.turn != Turn::Out) {
        let end = contender.end(now);
        match end {
            Some((until, turn)) if until <= now => decision.turns.push((contender.name.clone(), turn)),
            _ => {
                let again = now + contender.pause();
                decision.look_before(end.map_or(again, |(until, _)| until.min(again)));
            }
        }
        if contender.holds_gpus() && end.is_none_or(|(until, _)| until > now) {
            inside.push(contender);
        }
    }
    inside
}

/// Lets those that are `wanted` in, in this order, where there is room or others make some.
fn lets_in<'a>(
    wanted: &[&'a Contender],
    inside: &mut Vec<&'a Contender>,
    (room, now): (&impl Room, Instant),
    decision: &mut Decision,
) {
    // Whoever waits for others to have had their time: what it will need stays free.
    let mut planned: Option<Vec<&Contender>> = None;
    for &contender in wanted {
        let fits = |set: &[&Contender]| room.fits(&names(set, contender));
        if fits(inside) && planned.as_deref().is_none_or(fits) {
            decision.turns.push((contender.name.clone(), Turn::Next));
            planned.iter_mut().for_each(|planned| planned.push(contender));
            inside.push(contender);
            continue;
        }
        decision.look_before(now + SOON);
        if planned.is_some() {
            continue;
        }
        let (victims, all_may_go) = victims(inside, now, &fits);
        let Some(victims) = victims else {
            if fits(&[]) {
                // Those that load now have to be loaded first.
                planned = Some(vec![contender]);
            } else {
                decision.stuck.push(contender.name.clone());
            }
            continue;
        };
        let mut rest = inside.clone();
        rest.retain(|it| victims.iter().all(|victim| victim.name != it.name));
        if all_may_go {
            decision.turns.extend(victims.iter().map(|it| (it.name.clone(), it.without_gpus())));
            decision.turns.push((contender.name.clone(), Turn::Next));
            *inside = rest;
            inside.push(contender);
        } else {
            rest.push(contender);
            planned = Some(rest);
        }
    }
}

/// Loads one of those that are next, for which what it needs is free. Where nobody is about to go and still nothing is free, others
/// have it who are none of ours: then those that are next stand in nobody's way.
fn loads(inside: &[&Contender], (room, unsettled, now): (&impl Room, Unsettled, Instant), decision: &mut Decision) {
    let next: Vec<&&Contender> = inside.iter().filter(|it| it.turn == Turn::Next).collect();
    if next.is_empty() || unsettled.is_placing {
        if !next.is_empty() {
            decision.look_before(now + SOON);
        }
        return;
    }
    decision.look_before(now + SOON);
    if let Some(free) = next.iter().find(|it| room.is_free(&it.name)) {
        decision.turns.push((free.name.clone(), Turn::In));
    } else if !unsettled.is_leaving {
        decision.stuck.extend(next.iter().map(|it| it.name.clone()));
        decision.turns.extend(next.iter().map(|it| (it.name.clone(), Turn::Resting)));
    }
}

/// Whose engines end so that there is room, and whether all of them may end now; `None`: there is no room even without all.
fn victims<'a>(
    inside: &[&'a Contender],
    now: Instant,
    fits: &dyn Fn(&[&Contender]) -> bool,
) -> (Option<Vec<&'a Contender>>, bool) {
    let mut may_go: Vec<(&Contender, Instant)> =
        inside.iter().filter_map(|it| Some((*it, it.may_go_at(now)?))).collect();
    may_go.sort_by_key(|(it, at)| ((*at).max(now), it.is_busy, it.used_at));
    let left = |gone: &[(&'a Contender, Instant)]| -> Vec<&Contender> {
        let is_gone = |it: &Contender| gone.iter().any(|(other, _)| other.name == it.name);
        inside.iter().copied().filter(|it| !is_gone(it)).collect()
    };
    let Some(count) = (1..=may_go.len()).find(|count| fits(&left(&may_go[..*count]))) else { return (None, false) };
    may_go.truncate(count);
    // Whoever went first may have gone for nothing.
    let mut at = 0;
    while at < may_go.len() {
        let kept = may_go.remove(at);
        if !fits(&left(&may_go)) {
            may_go.insert(at, kept);
            at += 1;
        }
    }
    let all_may_go = may_go.iter().all(|(_, at)| *at <= now);
    (Some(may_go.into_iter().map(|(it, _)| it).collect()), all_may_go)
}

fn names<'a>(set: &[&'a Contender], and: &'a Contender) -> Vec<&'a Name> {
    set.iter().map(|it| &it.name).chain([&and.name]).collect()
}

impl Contender {
    /// Whether GPUs are its own, or are being made free for it.
    fn holds_gpus(&self) -> bool {
        matches!(self.turn, Turn::Next | Turn::In)
    }

    /// How soon to look whether it is used: an eighth of the time after which that matters.
    fn pause(&self) -> Duration {
        let least = [self.idle.sleep_after, self.idle.stop_after].into_iter().flatten().min();
        least.map_or(SELDOM, |least| (least / 8).clamp(SOON, SELDOM))
    }

    /// Where it goes when its turn ends.
    fn without_gpus(&self) -> Turn {
        if self.can_sleep && matches!(self.engines, Engines::Serving { .. }) { Turn::Resting } else { Turn::Out }
    }

    /// When it goes elsewhere because nobody uses it, and where to.
    fn end(&self, now: Instant) -> Option<(Instant, Turn)> {
        let idle_since = match self.engines {
            Engines::Displaced if self.turn == Turn::In => return Some((now, Turn::Out)),
            _ if self.is_busy || self.wanted_since.is_some() => return None,
            // Whoever wanted it is gone. Engines of it that sleep go on to sleep.
            _ if self.turn == Turn::Next => return Some((now, Turn::Resting)),
            Engines::Loading => return None,
            Engines::Serving { since, .. } => self.used_at.max(since),
            Engines::None | Engines::Leaving | Engines::Failed | Engines::Displaced => self.used_at,
        };
        let stop = self.idle.stop_after.and_then(|after| Some((idle_since.checked_add(after)?, Turn::Out)));
        let may_sleep = self.turn == Turn::In && self.without_gpus() == Turn::Resting;
        let sleep = self.idle.sleep_after.filter(|_| may_sleep);
        let sleep = sleep.and_then(|after| Some((idle_since.checked_add(after)?, Turn::Resting)));
        [sleep, stop].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// From when on it may make room for another one; `None`: not as things are.
    fn may_go_at(&self, now: Instant) -> Option<Instant> {
        match self.engines {
            _ if self.turn != Turn::In => None,
            Engines::Failed | Engines::Displaced | Engines::None | Engines::Leaving => Some(now),
            Engines::Loading => None,
            Engines::Serving { .. } if !self.is_busy => Some(now),
            Engines::Serving { since, took } => Some(since + took.max(LEAST_TURN)),
        }
    }
}

impl Decision {
    fn look_before(&mut self, at: Instant) {
        self.look_at = Some(self.look_at.map_or(at, |other| other.min(at)));
    }
}

#[cfg(test)]
mod tests;

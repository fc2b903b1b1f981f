//! What to do next with a request: the one decision about attempts, retries, fallbacks and waits.

use std::time::{Duration, Instant};

use super::decision::{Decision, Rules, Send, WaitFor};
use super::history::{Attempt, History};
use super::policy::{Candidate, Candidates, Policy, choose};
use super::view::View;
use crate::dialects::gym::{PAUSE, SERVER_ERROR_TRIES, is_overload};
use crate::outcome::{Outcome, Phase};

/// Engines that one request may break alone. It is not tried on a third one: its own content may be what breaks them.
const KILLS: usize = 2;

/// What to do next with a request that was tried as `history` says.
///
/// It is asked before an attempt, when an attempt has failed, and when the beginning of an answer can be judged. It reads
/// nothing but its arguments.
#[must_use]
pub fn next(rules: &Rules<'_>, history: &History, view: &impl View, now: Instant) -> Decision {
    let decision = match history.last() {
        None => first(rules, history, view, now),
        Some(last) => again(rules, last, history, view, now),
    };
    match (decision, rules.wait_until) {
        (Decision::Deliver | Decision::Refuse, Some(deadline)) => wait(decision, (rules, deadline), history, now),
        (decision, _) => decision,
    }
}

/// The first leg that has an engine. Where none has, a model that is loaded on demand is waited for.
fn first(rules: &Rules<'_>, history: &History, view: &impl View, now: Instant) -> Decision {
    if let Some(send) = (0..view.legs()).find_map(|leg| free_engine(view, leg, history)) {
        return Decision::Send(send);
    }
    match rules.load_until.filter(|until| now < *until) {
        Some(until) if (0..view.legs()).any(|leg| view.may_be_loaded(leg)) => {
            Decision::Wait { what: WaitFor::Engine, until }
        }
        _ => Decision::Refuse,
    }
}

/// What follows from the last attempt.
fn again(rules: &Rules<'_>, last: &Attempt, history: &History, view: &impl View, now: Instant) -> Decision {
    // Without another place, what the engine said is the caller's to read; what it did not say is ours to tell.
    let over = match last.outcome {
        Outcome::Answered { .. }
        | Outcome::Busy { .. }
        | Outcome::TooLong { .. }
        | Outcome::GaveUp { .. }
        | Outcome::Failed { .. }
        | Outcome::EngineBroken { .. } => Decision::Deliver,
        _ => Decision::Refuse,
    };
    if history.delivered || rules.expires.is_some_and(|expires| now >= expires) {
        return over;
    }
    let Some(scope) = Scope::after(last, history, view) else { return over };
    if scope == Scope::SameEngine {
        // It costs nothing: an engine that did die is found dead, and no other one is asked for more work.
        return Decision::Send(Send { leg: last.leg, key: last.key, at: 0, fresh: true, payer: None });
    }
    if history.sent() >= rules.retry.attempts || is_harmful(rules, history) {
        return over;
    }
    // As long as no engine has seen the request, another try costs nothing, and each engine is tried once.
    let payer = Some(last.leg).filter(|_| history.sent() > 0);
    if payer.is_some_and(|leg| !view.affords_retry(leg)) {
        return over;
    }
    let found = scope.legs(last.leg, view).find_map(|leg| free_engine(view, leg, history));
    found.map_or(over, |send| Decision::Send(Send { payer, ..send }))
}

/// Where another attempt makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// The same engine, over a new connection.
    SameEngine,
    /// Another engine of the same model, or a later leg.
    AnotherEngine,
    /// A later leg: the engines of one model are alike.
    LaterLeg,
    /// A later leg whose context is longer.
    LongerContext,
}

impl Scope {
    /// `None`: nowhere.
    fn after(last: &Attempt, history: &History, view: &impl View) -> Option<Self> {
        let still_there = || {
            let engines = view.candidates(last.leg);
            let is_it = |it: Candidate| it.key == last.key && it.ready && it.has_room;
            (0..engines.count()).any(|at| engines.at(at).is_some_and(is_it))
        };
        match last.outcome {
            // A kept connection that the engine had closed says nothing of its health. It may also be the engine's death,
            // so that it counts as an attempt, and a second time, on whatever engine, is believed.
            Outcome::Died { began: false } if last.reused && !history.has_repeated() && still_there() => {
                Some(Self::SameEngine)
            }
            Outcome::Died { .. }
            | Outcome::Unreachable
            | Outcome::GaveUp { .. }
            | Outcome::EngineBroken { .. }
            | Outcome::Malformed
            | Outcome::EngineLeft
            | Outcome::TimedOut { phase: Phase::Connect } => Some(Self::AnotherEngine),
            // Most of them would be the same everywhere.
            Outcome::Failed { .. } if history.failed() < 2 => Some(Self::AnotherEngine),
            Outcome::Busy { status: 429 } => Some(Self::LaterLeg),
            Outcome::Busy { .. } => Some(Self::AnotherEngine),
            Outcome::TooLong { .. } => Some(Self::LongerContext),
            Outcome::Answered { .. }
            | Outcome::Failed { .. }
            | Outcome::TimedOut { .. }
            | Outcome::Expired
            | Outcome::ClientGone
            | Outcome::Aborted => None,
        }
    }

    fn legs(self, from: usize, view: &impl View) -> impl Iterator<Item = usize> {
        let first = if self == Self::AnotherEngine { from } else { from + 1 };
        let own = view.context_length(from).filter(|_| self == Self::LongerContext);
        (first..view.legs()).filter(move |leg| match own {
            Some(own) => view.context_length(*leg).is_none_or(|other| other > own),
            None => true,
        })
    }
}

/// An attempt on an engine of a leg that was not tried and can take the request.
fn free_engine(view: &impl View, leg: usize, history: &History) -> Option<Send> {
    let policy = Policy { balance: view.balance(leg), turn: view.turn(leg), preferred: view.preferred(leg) };
    let (at, key) = choose(&view.candidates(leg), policy, |key| history.tried(key))?;
    Some(Send { leg, key, at, fresh: false, payer: None })
}

/// Whether too many engines broke while they had the request, over all rounds.
fn is_harmful(rules: &Rules<'_>, history: &History) -> bool {
    history.broken() >= rules.retry.attempts || history.killed() >= KILLS
}

/// What becomes of a request that is over for now, when engines are waited for.
fn wait(over: Decision, (rules, deadline): (&Rules<'_>, Instant), history: &History, now: Instant) -> Decision {
    // Waiting is for engines that are down or full. One that the request broke itself counts like any attempt.
    if is_harmful(rules, history) {
        return over;
    }
    let until = |pause: Duration| (now + pause < deadline).then_some(now + pause);
    match history.last().map(|last| last.outcome) {
        None if now < deadline => Decision::Wait { what: WaitFor::Engine, until: deadline },
        None | Some(Outcome::ClientGone | Outcome::Aborted | Outcome::Expired) => over,
        Some(Outcome::Answered { status: 500 }) if history.server_errors() >= SERVER_ERROR_TRIES => over,
        Some(Outcome::Answered { status }) if status != 500 && !is_overload(status) => over,
        Some(Outcome::TooLong { .. }) => over,
        Some(_) => match until(PAUSE) {
            Some(until) => Decision::Wait { what: WaitFor::Pause, until },
            None => over,
        },
    }
}

#[cfg(test)]
mod tests;

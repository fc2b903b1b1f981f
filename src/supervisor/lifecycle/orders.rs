//! What an operator can have an engine do, and when that is done: pure.

use tokio::sync::oneshot;

use super::terms::{Event, Level, Phase};
use crate::api::StopReason;
use crate::engines::health::Vitals;
use crate::supervisor::terms::{Command, ControlError};

/// What an engine is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Run. Forgets earlier crashes.
    Start,
    /// End, and stay so.
    Stop,
    /// End, and start again. Forgets earlier crashes.
    Restart,
    /// Give its GPU memory back.
    Sleep(Level),
    /// The same, once all attempts under way have ended, however long that takes.
    Rest(Level),
    /// Take it again.
    Wake,
    /// End for good, for this reason.
    Dismiss(StopReason),
}

impl Goal {
    /// What one engine is told for `command`.
    ///
    /// # Errors
    /// When there is no such thing to do.
    pub(crate) fn of(command: Command) -> Result<Self, ControlError> {
        match command {
            Command::Start => Ok(Self::Start),
            Command::Stop => Ok(Self::Stop),
            Command::Restart => Ok(Self::Restart),
            Command::Sleep(level @ 1..=2) => Ok(Self::Sleep(level)),
            Command::Sleep(level) => {
                Err(ControlError::Refused(format!("there is no sleep level {level}; take 1 or 2")))
            }
            Command::Wake => Ok(Self::Wake),
        }
    }
}

/// What came of an order.
pub(crate) type Done = Result<(), ControlError>;

/// A goal, and who wants to know.
pub(crate) struct Order {
    /// What to do.
    pub(crate) goal: Goal,
    /// Told once it is done, or why it is not.
    pub(crate) reply: oneshot::Sender<Done>,
}

/// What `goal` makes happen in `phase`, before it is waited for. `may_sleep`: the engine was started so that it can.
///
/// # Errors
/// Why it makes no sense as things are.
pub(super) fn answer(goal: Goal, phase: &Phase, may_sleep: bool) -> Result<Option<Event>, String> {
    let no = |why: &str| Err(why.to_owned());
    match goal {
        Goal::Stop => Ok(Some(Event::Stop)),
        Goal::Dismiss(reason) => Ok(Some(Event::Dismiss(reason))),
        Goal::Start | Goal::Restart if phase.is_stopping() && *phase != Phase::Stopped => {
            no("it is stopping; try again when it has stopped")
        }
        Goal::Start => match phase {
            Phase::Asleep(_) | Phase::FallingAsleep(_) | Phase::DrainingToSleep(_) => no("it sleeps; wake it instead"),
            Phase::Idle | Phase::Failed | Phase::BackingOff | Phase::Stopped => Ok(Some(Event::Start)),
            _ => Ok(None),
        },
        Goal::Restart => Ok(Some(Event::Restart)),
        Goal::Sleep(_) | Goal::Rest(_) if !may_sleep => {
            no("engines of this model cannot sleep; set `sleep_mode: true` and restart it")
        }
        Goal::Sleep(level) | Goal::Rest(level) => match phase {
            Phase::Serving(_) => Ok(Some(Event::Sleep(level))),
            Phase::Asleep(now) | Phase::FallingAsleep(now) | Phase::DrainingToSleep(now) if *now == level => Ok(None),
            Phase::Asleep(now) => Err(format!("it sleeps at level {now} already; wake it first")),
            _ => no("it is not running; only a running engine can sleep"),
        },
        Goal::Wake => match phase {
            Phase::Asleep(_) | Phase::Serving(Vitals::Resting) => Ok(Some(Event::Wake)),
            Phase::DrainingToSleep(_) | Phase::FallingAsleep(_) => {
                no("it is still falling asleep; try again in a moment")
            }
            Phase::Serving(_) | Phase::Waking(_) => Ok(None),
            _ => no("it does not sleep; start it instead"),
        },
    }
}

/// Whether `goal` is reached in `phase`, will never be, or (`None`) may still be.
pub(super) fn outcome(goal: Goal, phase: &Phase) -> Option<Result<(), &'static str>> {
    match (goal, phase) {
        (Goal::Stop | Goal::Dismiss(_), Phase::Stopped) => Some(Ok(())),
        (Goal::Stop | Goal::Dismiss(_), _) => None,
        (Goal::Start | Goal::Restart | Goal::Wake, phase) if phase.is_up() => Some(Ok(())),
        (Goal::Sleep(level) | Goal::Rest(level), Phase::Asleep(now)) if *now == level => Some(Ok(())),
        (Goal::Sleep(_) | Goal::Rest(_), Phase::Serving(_)) => Some(Err("it did not fall asleep")),
        (_, Phase::Failed | Phase::BackingOff) => Some(Err("it failed")),
        (_, phase) if phase.is_stopping() => Some(Err("it was stopped meanwhile")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::health::Vitals;

    const UP: Phase = Phase::Serving(Vitals::Up { failures: 0 });

    fn event(goal: Goal, phase: &Phase) -> Option<Event> {
        answer(goal, phase, true).unwrap_or_else(|why| panic!("{goal:?} in {phase:?}: {why}"))
    }

    #[test]
    fn orders_raise_what_they_mean() {
        assert_eq!(event(Goal::Start, &Phase::Failed), Some(Event::Start));
        assert_eq!(event(Goal::Start, &UP), None, "it runs already");
        assert_eq!(event(Goal::Restart, &UP), Some(Event::Restart));
        assert_eq!(event(Goal::Sleep(1), &UP), Some(Event::Sleep(1)));
        assert_eq!(event(Goal::Wake, &Phase::Asleep(2)), Some(Event::Wake));
        assert_eq!(event(Goal::Stop, &Phase::Loading), Some(Event::Stop));
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_to_do() {
        for (goal, phase, may_sleep, word) in [
            (Goal::Sleep(1), &UP, false, "sleep_mode"),
            (Goal::Sleep(1), &Phase::Loading, true, "only a running engine"),
            (Goal::Sleep(1), &Phase::Asleep(2), true, "level 2"),
            (Goal::Start, &Phase::Asleep(1), true, "wake it"),
            (Goal::Wake, &Phase::Failed, true, "start it"),
        ] {
            let why = answer(goal, phase, may_sleep).expect_err("refused");
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn an_outcome_is_told_once_it_is_certain() {
        assert_eq!(outcome(Goal::Start, &Phase::Loading), None);
        assert_eq!(outcome(Goal::Start, &UP), Some(Ok(())));
        assert!(matches!(outcome(Goal::Restart, &Phase::BackingOff), Some(Err(_))));
        assert_eq!(outcome(Goal::Sleep(1), &Phase::FallingAsleep(1)), None);
        assert_eq!(outcome(Goal::Sleep(1), &Phase::Asleep(1)), Some(Ok(())));
        assert_eq!(outcome(Goal::Stop, &Phase::Loading), None);
    }
}

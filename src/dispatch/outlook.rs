//! When a model that takes no requests will probably take some: what `Retry-After` says. Pure.

use std::time::Duration;

use crate::api::{EngineState, Failure, HealthProblem, NextStep, StopReason};
use crate::engines::{Pool, Times};
use crate::openai::ApiError;

/// Shortest and longest wait that clients are told, in seconds: they wait it out, and an engine that is ready sooner than was
/// expected should not find them asleep.
const BOUNDS: (u64, u64) = (1, 30);

/// When an engine will probably take requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outlook {
    /// After this time.
    In(Duration),
    /// Some time by itself.
    Unknown,
    /// When an operator does something about it.
    Operator,
}

impl Outlook {
    /// Of an engine in `state`; `start`: how long starts of its model take.
    fn of(state: &EngineState, Times { in_state, .. }: Times, start: Option<Duration>) -> Self {
        let until_started = || start.map_or(Self::Unknown, |start| Self::In(start.saturating_sub(in_state)));
        match state {
            EngineState::Ready => Self::In(Duration::ZERO),
            EngineState::Starting(_) => until_started(),
            EngineState::Unhealthy { problem } => match problem {
                HealthProblem::Unresolved { .. }
                | HealthProblem::NoAnswer { .. }
                | HealthProblem::Refused { .. }
                | HealthProblem::BadStatus { .. }
                | HealthProblem::Stalled(_) => Self::Unknown,
                HealthProblem::KeyRefused { .. }
                | HealthProblem::WrongModel { .. }
                | HealthProblem::NameUnknown { .. }
                | HealthProblem::BadHealthPath { .. }
                | HealthProblem::Paused => Self::Operator,
            },
            EngineState::Failed(Failure { next: NextStep::Restart { seconds }, .. }) => {
                let pause = Duration::try_from_secs_f64(*seconds).unwrap_or(Duration::MAX);
                Self::In(pause.saturating_sub(in_state).saturating_add(start.unwrap_or_default()))
            }
            EngineState::Failed(_) | EngineState::Asleep(_) | EngineState::Stopped => Self::Operator,
            EngineState::Stopping { reason: StopReason::Restart } => start.map_or(Self::Unknown, Self::In),
            EngineState::Stopping { reason: StopReason::GatewayExit } => Self::Unknown,
            EngineState::Stopping {
                reason: StopReason::Stop | StopReason::Sleep | StopReason::Unload | StopReason::Removed,
            } => Self::Operator,
        }
    }

    /// Of the first engine of `pools` that will take requests.
    pub(super) fn of_pools<'p>(pools: impl IntoIterator<Item = &'p Pool>) -> Self {
        let of_pool = |pool: &Pool| {
            let engines = pool.engines();
            // The replicas of a model start alike.
            let start = engines.iter().filter_map(|engine| engine.times().start).max();
            let each = engines.iter().map(|engine| {
                if engine.is_withheld() {
                    return Self::Operator;
                }
                let times = engine.times();
                Self::of(&engine.state(), times, times.start.or(start))
            });
            // One that is loaded on demand needs nobody to do something about it.
            let best = each.min().unwrap_or(Self::Operator);
            Some(if pool.may_be_loaded() { best.min(Self::Unknown) } else { best })
        };
        pools.into_iter().filter_map(of_pool).min().unwrap_or(Self::Operator)
    }

    /// `error` with that word about another try.
    pub(super) fn told(self, error: ApiError) -> ApiError {
        match self {
            Self::In(wait) => {
                let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
                error.after(seconds.clamp(BOUNDS.0, BOUNDS.1))
            }
            Self::Unknown => error,
            Self::Operator => error.without_retry(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{FailureCause, Sleep, StartPhase};
    use crate::openai::Code;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn failed(next: NextStep) -> EngineState {
        EngineState::Failed(Failure { cause: FailureCause::Unhealthy, log: vec![], next })
    }

    fn unhealthy(problem: HealthProblem) -> EngineState {
        EngineState::Unhealthy { problem }
    }

    #[test]
    fn every_state_has_an_outlook_and_what_is_known_is_told() {
        let restart = failed(NextStep::Restart { seconds: 4.0 });
        let silent = HealthProblem::NoAnswer { request: "GET /health".into(), why: "refused".into() };
        for (state, in_state, start, expected) in [
            (EngineState::starting(StartPhase::Launched), 2, Some(20), Outlook::In(seconds(18))),
            (EngineState::starting(StartPhase::Launched), 25, Some(20), Outlook::In(seconds(0))),
            (EngineState::starting(StartPhase::Launched), 2, None, Outlook::Unknown),
            (restart.clone(), 1, Some(20), Outlook::In(seconds(23))),
            (restart.clone(), 1, None, Outlook::In(seconds(3))),
            (restart, 9, None, Outlook::In(seconds(0))),
            (failed(NextStep::Restart { seconds: f64::NAN }), 0, None, Outlook::In(Duration::MAX)),
            (failed(NextStep::CrashLoop { crashes: 5, seconds: 9.0 }), 1, Some(20), Outlook::Operator),
            (failed(NextStep::NoRestart), 1, None, Outlook::Operator),
            (unhealthy(silent), 1, Some(20), Outlook::Unknown),
            (unhealthy(HealthProblem::Paused), 1, None, Outlook::Operator),
            (unhealthy(HealthProblem::KeyRefused { status: 401 }), 1, None, Outlook::Operator),
            (EngineState::Asleep(Sleep::of(1)), 1, Some(20), Outlook::Operator),
            (EngineState::Stopped, 1, Some(20), Outlook::Operator),
            (EngineState::Stopping { reason: StopReason::Restart }, 1, Some(20), Outlook::In(seconds(20))),
            (EngineState::Stopping { reason: StopReason::Sleep }, 1, Some(20), Outlook::Operator),
            (EngineState::Ready, 1, None, Outlook::In(seconds(0))),
        ] {
            let times = Times { in_state: seconds(in_state), start: None };
            assert_eq!(Outlook::of(&state, times, start.map(seconds)), expected, "{state:?}");
        }
        assert!(Outlook::In(seconds(99)) < Outlook::Unknown && Outlook::Unknown < Outlook::Operator);
    }

    #[test]
    fn what_clients_are_told_to_wait_makes_sense() {
        for (outlook, wait, should_retry) in [
            (Outlook::In(Duration::ZERO), Some(1), None),
            (Outlook::In(Duration::from_millis(2100)), Some(3), None),
            (Outlook::In(Duration::MAX), Some(30), None),
            (Outlook::Unknown, Some(5), None),
            (Outlook::Operator, None, Some(false)),
        ] {
            let error = outlook.told(ApiError::new(Code::ModelLoading, ""));
            assert_eq!((error.retry_after, error.should_retry), (wait, should_retry), "{outlook:?}");
        }
    }
}

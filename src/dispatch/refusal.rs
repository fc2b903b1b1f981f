//! The error that callers get when there is no answer: by the outcome of the last attempt, or by the state of the model.

use super::outlook::Outlook;
use crate::api::EngineState;
use crate::engines::Pool;
use crate::openai::{ApiError, Code};
use crate::outcome::{Outcome, Phase};

/// 503: the gateway ends.
#[must_use]
pub fn shutting_down() -> ApiError {
    ApiError::new(Code::ShuttingDown, "The gateway is shutting down. Try again on another one.")
}

/// 503 with the state of the model and, when it failed, the reason, with its last log lines where `sees_logs`; and when another
/// try makes sense, here or at the pools `elsewhere` where the request may go too.
#[must_use]
pub fn no_engine<'p>(pool: &'p Pool, elsewhere: impl IntoIterator<Item = &'p Pool>, sees_logs: bool) -> ApiError {
    let model = &pool.model;
    let state = pool.best_state();
    let detail = state.detail().unwrap_or_default();
    let (code, message) = match &*state {
        EngineState::Starting(_) => (Code::ModelLoading, format!("The model `{model}` is loading ({detail}).")),
        EngineState::Ready if pool.is_withheld() => {
            (Code::ModelStopped, format!("The model `{model}` is drained: an operator keeps requests away from it."))
        }
        EngineState::Ready => (Code::ModelBusy, format!("The model `{model}` has no engine left to try.")),
        EngineState::Unhealthy { .. } => {
            (Code::ModelUnhealthy, format!("No engine of the model `{model}` passes its health checks: {detail}"))
        }
        EngineState::Failed(failure) if sees_logs => {
            (Code::ModelFailed, format!("The model `{model}` failed: {failure}"))
        }
        EngineState::Failed(failure) => {
            let message = format!("The model `{model}` failed: {}", failure.brief());
            (Code::ModelFailed, format!("{message} An operator finds more in its log."))
        }
        EngineState::Asleep(_) | EngineState::Stopping { .. } | EngineState::Stopped if pool.may_be_loaded() => {
            let why = pool.obstacle().filter(|_| sees_logs).map(|why| format!(" What is in the way: {why}"));
            let why = why.unwrap_or_default();
            (Code::ModelLoading, format!("The model `{model}` is loaded on demand and waits for GPU memory.{why}"))
        }
        EngineState::Asleep(_) => {
            (Code::ModelAsleep, format!("The model `{model}` is asleep until an operator wakes it."))
        }
        EngineState::Stopping { .. } => {
            (Code::ModelStopping, format!("The model `{model}` takes no requests now: {detail}."))
        }
        EngineState::Stopped => (Code::ModelStopped, format!("The model `{model}` is stopped.")),
    };
    Outlook::of_pools(std::iter::once(pool).chain(elsewhere)).told(ApiError::new(code, message))
}

/// What is said of a last attempt on `engine` that ended with `outcome`; `why`: what happened to the connection; `killed`:
/// engines that broke while they had nothing but this request.
#[must_use]
pub fn after(outcome: Outcome, engine: &str, why: &str, killed: usize) -> ApiError {
    if killed > 1 {
        let message = format!(
            "{killed} engines died while they had nothing but this request; {engine} was the last ({why}). No other engine gets \
             it, because it may be what ends them."
        );
        return ApiError::new(Code::EngineDied, message).without_retry();
    }
    match outcome {
        Outcome::Unreachable | Outcome::TimedOut { phase: Phase::Connect } => {
            ApiError::new(Code::EngineUnreachable, format!("Engine {engine} cannot be reached ({why})."))
        }
        Outcome::Malformed => ApiError::new(
            Code::EngineAnswer,
            format!("Engine {engine} does not answer in HTTP/1.1. Check its URL, and what listens there."),
        ),
        Outcome::TimedOut { phase: Phase::Write } => ApiError::new(
            Code::EngineTimeout,
            format!("Engine {engine} did not take the request within timeouts.write; the request was given up."),
        ),
        Outcome::TimedOut { .. } => ApiError::new(
            Code::EngineTimeout,
            format!("Engine {engine} sent nothing for longer than timeouts.read; the request was given up."),
        ),
        Outcome::Aborted => ApiError::new(
            Code::ShuttingDown,
            "The gateway is shutting down and gave up this answer (timeouts.drain). Try again on another one.",
        ),
        Outcome::EngineLeft => ApiError::new(
            Code::ModelUnhealthy,
            format!(
                "Engine {engine} stopped working before its answer began, and no other engine can take the request."
            ),
        ),
        Outcome::Expired => ApiError::new(
            Code::EngineTimeout,
            format!("Engine {engine} did not answer within timeouts.request; the request was given up."),
        ),
        Outcome::Died { .. }
        | Outcome::Answered { .. }
        | Outcome::Busy { .. }
        | Outcome::TooLong { .. }
        | Outcome::GaveUp { .. }
        | Outcome::Failed { .. }
        | Outcome::EngineBroken { .. }
        | Outcome::ClientGone => ApiError::new(
            Code::EngineDied,
            format!("The connection to engine {engine} broke before its answer was complete ({why})."),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::StartPhase;
    use crate::engines::EngineRegistry;

    #[test]
    fn every_end_of_an_attempt_has_a_status_and_names_the_engine() {
        for (outcome, status) in [
            (Outcome::Unreachable, 502),
            (Outcome::TimedOut { phase: Phase::Connect }, 502),
            (Outcome::TimedOut { phase: Phase::FirstByte }, 504),
            (Outcome::Died { began: true }, 502),
        ] {
            let error = after(outcome, "m/0", "ReadError", 0);
            assert_eq!(error.status, status, "{outcome:?}");
            assert!(error.message.contains("m/0"), "{}", error.message);
        }
        assert_eq!(after(Outcome::Aborted, "m/0", "", 0).code, "shutting_down");
    }

    #[test]
    fn a_model_without_engines_is_stopped() {
        let (registry, _demand) = EngineRegistry::new(["m".into()]);
        let error = no_engine(&registry.pool("m").expect("m"), [], false);
        assert_eq!((error.code, error.retry_after, error.should_retry), ("model_stopped", None, Some(false)));
        assert!(EngineState::starting(StartPhase::Launched).detail().is_some());
    }
}

//! What ends the wait for an engine that is silent, besides that engine.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use pingora::ErrorType;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::answer::Silence;
use crate::config::Timeouts;
use crate::proxy::attempts::Alternatives;
use crate::proxy::state::AbortSignal;

/// Of an answer that is given up because the gateway ends.
pub(in crate::proxy) const ABORTED: ErrorType = ErrorType::Custom("ShuttingDown");

/// Of an attempt that is given up because its engine is unhealthy or asleep, and another one could answer.
pub(in crate::proxy) const LEFT: ErrorType = ErrorType::Custom("EngineLeft");

/// Of a request that is given up after `timeouts.request`.
pub(in crate::proxy) const EXPIRED: ErrorType = ErrorType::Custom("RequestTimeout");

/// Time between two looks for another engine.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How long an engine is waited for.
pub(in crate::proxy) struct Wait {
    pub(super) silence: Silence,
    /// Rings when the caller is to be told something. Made when it is first needed.
    pub(super) alarm: Option<Pin<Box<Sleep>>>,
    pub(super) end: End,
}

/// What ends the request as a whole.
pub(super) struct End {
    abort: AbortSignal,
    /// When the time for the answer is over.
    expires: Option<Pin<Box<Sleep>>>,
}

impl Wait {
    /// As `timeouts` has it, for a request that is to be answered until `expires`.
    pub(in crate::proxy) fn new(abort: AbortSignal, timeouts: &Timeouts, expires: Option<std::time::Instant>) -> Self {
        let silence = Silence { head: timeouts.head_hold, comment: timeouts.keepalive_comment };
        let expires = expires.map(|at| Box::pin(sleep_until(at.into())));
        Self { silence, alarm: None, end: End { abort, expires } }
    }
}

impl End {
    /// Returns the kind of error to give up with: when the gateway ends, or when the time is over and counts (`timed`).
    pub(super) async fn comes(&mut self, timed: bool) -> ErrorType {
        let Self { abort, expires } = self;
        let Some(expires) = expires.as_mut().filter(|_| timed) else {
            abort.aborted().await;
            return ABORTED;
        };
        tokio::select! {
            () = abort.aborted() => ABORTED,
            () = expires.as_mut() => EXPIRED,
        }
    }
}

/// Returns at `due`, if ever. A time that moves on with every piece of a stream costs nothing: `alarm` is set anew only when
/// it rings.
pub(super) async fn ring(alarm: &mut Option<Pin<Box<Sleep>>>, due: Option<Instant>) {
    let Some(due) = due else { return pending().await };
    let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
    if alarm.deadline() > due {
        alarm.as_mut().reset(due);
    }
    loop {
        alarm.as_mut().await;
        if Instant::now() >= due {
            return;
        }
        alarm.as_mut().reset(due);
    }
}

/// Returns when the engine of an attempt will not answer and another one could.
pub(in crate::proxy) async fn leaves(alternatives: Option<Alternatives<'_>>) {
    let Some(alternatives) = alternatives else { return pending().await };
    loop {
        alternatives.engine().left().await;
        if alternatives.any() {
            return;
        }
        sleep(LOOK_AGAIN).await;
    }
}

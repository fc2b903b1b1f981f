//! How far the replacement of a model's engines has come, and who waits for its end.

use tokio::sync::oneshot;

use super::desired::RollPhase;
use crate::api::{RollFailure, RollState, RollStatus};
use crate::ids::Name;
use crate::supervisor::lifecycle::orders::Done;
use crate::supervisor::terms::ControlError;

/// The replacement of a model's engines, one after the other.
#[derive(Default)]
pub(super) struct Roll {
    /// Engines of an earlier one are to be replaced although they were started as the configuration says.
    pub(super) generation: u64,
    /// The last one, and what is told of it.
    pub(super) status: Option<RollStatus>,
    /// Who waits for its end.
    pub(super) waiting: Vec<oneshot::Sender<Done>>,
}

impl Roll {
    /// Where it is.
    pub(super) fn phase(&self) -> RollPhase {
        match self.status.as_ref().map(|status| status.state) {
            Some(RollState::Rolling) => RollPhase::Rolling,
            Some(RollState::Failed | RollState::Cancelled) => RollPhase::Failed,
            Some(RollState::Done) | None => RollPhase::None,
        }
    }

    /// Lets a roll that failed or was cancelled go on.
    pub(super) fn resume(&mut self) {
        if self.phase() == RollPhase::Failed {
            self.status = None;
        }
    }

    /// Notes that `count` engines are to be replaced.
    pub(super) fn begin(&mut self, model: &Name, count: usize) {
        tracing::info!(%model, count, "the engines of a model are being replaced");
        self.status = Some(RollStatus { state: RollState::Rolling, done: 0, total: count, cause: None });
    }

    /// Notes how many are still to be replaced.
    pub(super) fn progress(&mut self, outdated: usize) {
        if let Some(status) = self.status.as_mut().filter(|status| status.state == RollState::Rolling) {
            status.total = status.total.max(outdated);
            status.done = status.total - outdated;
        }
    }

    /// Ends it where it is, because an operator wants that.
    pub(super) fn cancel(&mut self, model: &Name) {
        let Some(status) = &mut self.status else { return };
        status.state = RollState::Cancelled;
        let RollStatus { done, total, .. } = status;
        tracing::warn!(%model, done, total, "the replacement of a model's engines was cancelled; the others are left as they are");
        let told =
            format!("the roll was cancelled: {done} of {total} engines are replaced, the others are left as they are");
        self.waiting.drain(..).for_each(|waiting| _ = waiting.send(Err(ControlError::Failed(told.clone()))));
    }

    /// Notes its end, and tells those who waited for it.
    pub(super) fn end(&mut self, model: &Name, failure: Option<RollFailure>) {
        let done = match &failure {
            None => {
                tracing::info!(%model, "the engines of a model are replaced");
                Ok(())
            }
            Some(why) => {
                tracing::error!(%model, %why, "the replacement of a model's engines has stopped; the others are left as they were");
                Err(ControlError::Failed(format!("{why}. The others were left as they were.")))
            }
        };
        if let Some(status) = &mut self.status {
            status.state = if failure.is_some() { RollState::Failed } else { RollState::Done };
            status.cause = failure;
        }
        self.waiting.drain(..).for_each(|waiting| _ = waiting.send(done.clone()));
    }
}

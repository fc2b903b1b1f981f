//! What runs: plain data that [`super::reconcile`] compares with what should.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::Name;
use crate::supervisor::lifecycle::terms::Stage;

/// What runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Actual {
    /// The engines of each model, also of models that are not wanted any more.
    pub(super) models: BTreeMap<Name, Vec<ActualReplica>>,
    /// Models that others run from now on, while only the engines that run here can serve them: those are left alone.
    pub(super) serving_on: BTreeSet<Name>,
    /// Whether engines of an earlier gateway are still being ended: what they hold is not free yet.
    pub(super) is_clearing: bool,
}

/// One engine.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ActualReplica {
    /// Which of its model.
    pub(super) number: usize,
    /// Where it is in its life.
    pub(super) stage: Stage,
    /// Whether it was ready, failed or was stopped since it was made: whoever waited for it need not wait any more.
    pub(super) is_settled: bool,
    /// Whether it was started with what the configuration does not say any more, or is to be replaced for another reason;
    /// not where it sleeps: it is replaced once it is awake.
    pub(super) is_outdated: bool,
    /// Whether it knows its model by another name than requests will say: then it cannot serve beside new ones.
    pub(super) is_misnamed: bool,
    /// Whether it goes on by settings that have changed.
    pub(super) is_untuned: bool,
    /// Whether it was told to end for good.
    pub(super) is_leaving: bool,
    /// Whether it did not sleep when it was told to.
    pub(super) cannot_sleep: bool,
    /// Its GPUs.
    pub(super) placement: Placement,
    /// The start order of the engines that it was told it waits for.
    pub(super) waits_for: Option<u32>,
}

/// Whether GPUs were found for an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// They are to be looked for.
    Wanted,
    /// They are being looked for.
    Pending,
    /// They were looked for, with whatever result, or none are needed.
    Settled,
}

impl ActualReplica {
    /// Whether it takes requests.
    pub(super) fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// Whether nothing runs of it that could serve, now or soon.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.stage, Stage::Idle | Stage::Failed | Stage::Stopped)
    }
}

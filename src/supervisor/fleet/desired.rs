//! What should run: plain data that [`super::reconcile`] compares with what does.

use std::collections::BTreeSet;

use crate::ids::Name;

/// What should run, in the order of the configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Desired {
    /// Every model whose engines are to run here.
    pub(super) models: Vec<DesiredModel>,
}

/// What should run of one model.
#[derive(Clone, Debug)]
pub(super) struct DesiredModel {
    /// Its name.
    pub(super) name: Name,
    /// How many engines it is to have.
    pub(super) replicas: usize,
    /// Engines with a lower one start first; `None`: last.
    pub(super) start_order: Option<u32>,
    /// Replicas that an operator stopped.
    pub(super) stopped: BTreeSet<usize>,
    /// Whether these were all that there were: then none of its engines is to run.
    pub(super) is_stopped: bool,
    /// Where the replacement of its engines is.
    pub(super) roll: RollPhase,
    /// Something else changes several of its engines: their number stays as it is meanwhile.
    pub(super) is_held: bool,
    /// What is to become of its engines as a whole.
    pub(super) residency: Residency,
}

/// What is to become of a model's engines, which may be loaded on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Residency {
    /// There are as many as wanted, and those that sleep sleep on: the model is not loaded on demand.
    Kept,
    /// There are as many as wanted, and those that sleep are woken.
    Loaded,
    /// Those that serve sleep; the others end.
    Asleep,
    /// There are none.
    None,
}

/// Where the replacement of a model's engines is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RollPhase {
    /// None goes on.
    None,
    /// Engines are being replaced.
    Rolling,
    /// A new engine failed: the others stay as they are until something changes.
    Failed,
}

impl DesiredModel {
    /// When its engines start: lower ones first.
    pub(super) fn rank(&self) -> (bool, u32) {
        (self.start_order.is_none(), self.start_order.unwrap_or_default())
    }
}

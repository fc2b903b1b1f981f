//! What the wizard knows of this machine.

use crate::config::ModelAnswers;
use crate::gpu::Inventory;
use crate::local_models::{Found, LocalAdapter, LocalModel};
use crate::tui::machine::Profile;

/// What was found so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The user's shortcuts.
    pub(super) shortcuts: Vec<ModelAnswers>,
    /// How many more there are that are not valid.
    pub(super) bad_shortcuts: usize,
    /// Profiles that models may have.
    pub(super) profiles: Vec<Profile>,
    /// Models and adapters; `None`: it is still being looked for.
    pub(super) local: Option<Found>,
    /// The GPUs; `None`: the driver is still being asked.
    pub(super) inventory: Option<Inventory>,
}

impl Known {
    /// The models on this machine.
    pub(super) fn models(&self) -> &[LocalModel] {
        self.local.as_ref().map(|found| found.models.as_slice()).unwrap_or_default()
    }

    /// The model with this source, where it is on this machine.
    pub(super) fn model(&self, source: &str) -> Option<&LocalModel> {
        self.models().iter().find(|model| model.source == source)
    }

    /// The adapters that were made for the model with this source.
    pub(super) fn adapters(&self, source: &str) -> Vec<&LocalAdapter> {
        let all = self.local.as_ref().map(|found| found.adapters.as_slice()).unwrap_or_default();
        all.iter().filter(|adapter| adapter.base_source.as_deref() == Some(source)).collect()
    }

    /// The GPUs, where a driver tells of some.
    pub(super) fn gpus(&self) -> Option<&Inventory> {
        self.inventory.as_ref().filter(|inventory| inventory.known && !inventory.gpus.is_empty())
    }
}

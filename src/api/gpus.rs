//! What `GET /api/v1/gpus` tells.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gpu::Inventory;

/// The GPUs of the machine, as the driver told last, with the engines on each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpusView {
    /// What the driver told.
    #[serde(flatten)]
    pub inventory: Inventory,
    /// How old this is, in seconds; `null` while the driver has told nothing.
    pub age_seconds: Option<f64>,
}

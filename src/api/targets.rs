//! What `GET /api/v1/sd` tells.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One engine that Prometheus can scrape (Prometheus documentation, "HTTP SD").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TargetView {
    /// Host and port: of the operators' API, as it was asked.
    pub targets: Vec<String>,
    /// `__metrics_path__`, and labels for all series: `model`, `engine`, and `gpus`, as `CUDA_VISIBLE_DEVICES` names them, where
    /// the engine was given some.
    pub labels: BTreeMap<String, String>,
}

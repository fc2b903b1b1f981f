//! What `GET /api/v1/status` tells, and how listeners to events are told how everything is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AliasView, CallerView, EngineView, GpusView, ModelView, OperationView, RatesView};

/// The gateway itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusView {
    /// Its version.
    pub version: String,
    /// `name` of the configuration, which tells several gateways of a machine apart.
    pub name: String,
    /// Its process id on its machine.
    pub pid: u32,
    /// When its process started (RFC 3339).
    pub started: String,
    /// For how long it has been running.
    pub uptime_seconds: f64,
    /// The file that it was started with.
    pub configuration_file: String,
    /// SHA-256 of the configuration that it runs by, as hexadecimal digits: equal where nothing differs that matters.
    pub configuration_hash: String,
    /// Where callers connect; `null`: nowhere any more.
    pub listen: Option<String>,
    /// Whether it shuts down.
    pub shutting_down: bool,
    /// How much there is.
    pub totals: Totals,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Models.
    pub models: usize,
    /// Models of which an engine takes requests.
    pub ready_models: usize,
    /// Engines.
    pub engines: usize,
    /// Engines that take requests.
    pub ready_engines: usize,
    /// Aliases.
    pub aliases: usize,
    /// Requests under way on engines.
    pub in_flight: usize,
}

/// How everything is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotView {
    /// The gateway itself.
    pub status: StatusView,
    /// In the order of the configuration.
    pub aliases: Vec<AliasView>,
    /// In the order of the configuration.
    pub callers: Vec<CallerView>,
    /// In the order of the configuration.
    pub models: Vec<ModelView>,
    /// By model.
    pub engines: Vec<EngineView>,
    /// What operators had done lately, the newest first.
    pub operations: Vec<OperationView>,
    /// The GPUs of the machine.
    pub gpus: GpusView,
    /// How fast and how well requests are answered.
    pub rates: RatesView,
}

/// What has changed since the last one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PulseView {
    /// Models that differ from what was told of them.
    pub models: Vec<ModelView>,
    /// Engines that differ from what was told of them.
    pub engines: Vec<EngineView>,
    /// Names of models that are there no more.
    pub gone_models: Vec<String>,
    /// Ids of engines that are there no more.
    pub gone_engines: Vec<String>,
    /// The GPUs, where their figures were read again.
    pub gpus: Option<GpusView>,
    /// Rates of the last minute; their history holds only the last interval that is over.
    pub rates: RatesView,
}

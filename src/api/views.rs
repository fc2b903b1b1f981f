//! What `GET /api/v1/engines` and `GET /api/v1/models` tell.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigError, EngineState, Origin, Rates, RollStatus};

/// One engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EngineView {
    /// Its id: `model/0` for one that is run here, `model/host:port` for an external one.
    pub engine: String,
    /// Its model.
    pub model: String,
    /// Which engine of the model it is, from 0; `null` for an external one.
    pub replica: Option<usize>,
    /// Whether this gateway runs it.
    pub ours: bool,
    /// Where it is reached.
    pub url: String,
    /// The port of that.
    pub port: u16,
    /// The GPUs it was given, as `CUDA_VISIBLE_DEVICES` names them; `null`: it sees all, or the engine is external.
    pub gpus: Option<Vec<String>>,
    /// Its process id while it is a running process of ours.
    pub pid: Option<u32>,
    /// What it is doing.
    #[serde(flatten)]
    pub state: EngineState,
    /// The same in a sentence, where there is more to say than the word.
    pub detail: Option<String>,
    /// What it writes its log to.
    pub log_file: Option<String>,
    /// Starts of its process after the first that this gateway saw.
    pub restarts: u64,
    /// Times it was ended because it made no progress or its health checks kept failing.
    pub stalls: u64,
    /// Seconds from the last start of its process to ready.
    pub start_seconds: Option<f64>,
    /// Whether requests avoid it for a moment, because one just failed on it.
    pub ejected: bool,
    /// Whether no new requests are sent to it, because an operator drained it.
    pub drained: bool,
    /// Attempts under way.
    pub in_flight: usize,
    /// What it lists at `/v1/models`.
    pub serves: Vec<String>,
    /// Seconds that it has been in a state of this kind.
    pub state_seconds: f64,
    /// What it reported of its work on its `/metrics`, some seconds ago; `null`: nothing.
    pub report: Option<ReportView>,
    /// What happened to it since this gateway started, also over reloads that replaced it.
    pub history: EngineHistory,
    /// Requests that ended on it in the last minute, as the gateway saw them; `null`: there were none in the last minutes.
    pub rates: Option<Rates>,
}

impl EngineHistory {
    /// The cause of a restart that no failure caused: an operator's order, a roll or a reload.
    pub const ORDERED: &'static str = "ordered";
}

/// What happened to an engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EngineHistory {
    /// Starts of its process after the first, by what ended the process before: the cause of a failure, or `ordered`.
    pub restarts: BTreeMap<String, u64>,
    /// Failures, by cause.
    pub failures: BTreeMap<String, u64>,
    /// Times that requests avoided it for a moment, because one had failed on it.
    pub ejections: u64,
    /// Times that it fell asleep.
    pub sleeps: u64,
    /// Seconds that it took to fall asleep the last time.
    pub sleep_seconds: Option<f64>,
    /// Times that it woke up.
    pub wakes: u64,
    /// Seconds from the last order to wake to ready.
    pub wake_seconds: Option<f64>,
}

/// What an engine reported of its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportView {
    /// Requests that it works on.
    pub running: f64,
    /// Requests that wait in it.
    pub waiting: f64,
    /// The share of its KV cache that is in use, 0 to 1.
    pub kv_cache_usage: f64,
    /// Tokens that were looked for in its prefix cache, since its process started.
    pub prefix_cache_queries: f64,
    /// Those of them that were there.
    pub prefix_cache_hits: f64,
    /// Tokens read, since its process started.
    pub prompt_tokens: f64,
    /// Tokens written, since its process started.
    pub generation_tokens: f64,
    /// Requests that it had to put off for lack of KV cache, since its process started.
    pub preemptions: f64,
    /// Tokens read in a second, over the last seconds.
    pub prompt_tokens_per_second: f64,
    /// Tokens written in a second, over the last seconds.
    pub generation_tokens_per_second: f64,
}

/// One model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelView {
    /// Its name.
    pub model: String,
    /// Where it is configured.
    pub origin: Origin,
    /// Whether its engines are run here.
    pub ours: bool,
    /// Whether an engine takes requests.
    pub ready: bool,
    /// Engines.
    pub replicas: usize,
    /// Engines that it is to have; `null` where they are external.
    pub wanted_replicas: Option<usize>,
    /// Engines that take requests.
    pub ready_replicas: usize,
    /// Attempts under way on all of them.
    pub in_flight: usize,
    /// Requests that wait for one of its engines.
    pub waiting: usize,
    /// Requests that found no engine.
    pub unserved: u64,
    /// Seconds since a request last found no engine; `null`: none ever did, or its engines are external.
    pub last_unserved_seconds: Option<f64>,
    /// The last replacement of its engines, one by one; `null`: there was none.
    pub roll: Option<RollStatus>,
    /// Where it is, if it is loaded on demand; `null`: its engines are always to run.
    pub on_demand: Option<OnDemandView>,
    /// Ids of its engines.
    pub engines: Vec<String>,
    /// Its LoRA adapters.
    pub adapters: Vec<AdapterView>,
}

/// A model that is loaded when a request needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OnDemandView {
    /// Whether its engines have GPUs.
    pub turn: Turn,
    /// How often it was loaded or woken since the gateway started.
    pub loads: u64,
    /// Why it is wanted and cannot be loaded; `null`: nothing is known to be in the way.
    pub obstacle: Option<String>,
}

/// Whether the engines of a model that is loaded on demand have GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// An operator stopped it: requests do not load it.
    Stopped,
    /// It has no engines, or they are ending.
    NotLoaded,
    /// Its engines sleep, or are about to.
    Asleep,
    /// It is the next one: what it needs is being made free.
    Next,
    /// They have: its engines load, or are loaded.
    Loaded,
}

impl ModelView {
    /// The state of a model in a word or two.
    #[must_use]
    pub fn state_words(&self) -> &'static str {
        match &self.on_demand {
            _ if self.ready => "ready",
            None => "not ready",
            Some(OnDemandView { turn: Turn::Stopped, .. }) => "stopped",
            Some(OnDemandView { obstacle: Some(_), .. }) => "cannot be loaded",
            Some(OnDemandView { turn: Turn::Next, .. }) => "waits for GPUs",
            Some(OnDemandView { turn: Turn::NotLoaded | Turn::Asleep, .. }) if self.waiting > 0 => "waits for GPUs",
            Some(OnDemandView { turn: Turn::NotLoaded, .. }) => "not loaded",
            Some(OnDemandView { turn: Turn::Asleep, .. }) => "asleep",
            Some(OnDemandView { turn: Turn::Loaded, .. }) => "not ready",
        }
    }
}

/// One LoRA adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdapterView {
    /// What callers say.
    pub name: String,
    /// Where it is loaded from.
    pub path: String,
}

/// A list of engines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EnginesView {
    /// By model, in the order of the configuration.
    pub engines: Vec<EngineView>,
}

/// A list of models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelsView {
    /// In the order of the configuration.
    pub models: Vec<ModelView>,
}

/// A list of LoRA adapters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdaptersView {
    /// In the order of their names.
    pub adapters: Vec<AdapterView>,
}

/// Why `/readyz` answers 503.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotReadyView {
    /// Models without an engine that takes requests.
    pub not_ready: Vec<String>,
    /// The gateway is shutting down, whatever the models are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shutting_down: bool,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorView {
    /// What happened.
    pub error: ErrorMessage,
    /// What is wrong with a configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ConfigError>,
}

/// What happened, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorMessage {
    /// What happened and what to do.
    pub message: String,
}

//! What a user writes about models and the profiles of their engines.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::named::{Named, OrOff};
use super::settings::RawSettings;
use crate::config::types::{Balance, Health, Idle, LateSystem, ResponseModel, Restart, UsageMode, Via};
use crate::config::units::{AsWritten, Time};

/// One model. Either `source` (engines that Enginehouse starts) or `urls` (engines that others run).
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Model")]
pub(crate) struct RawModel {
    /// What the engine loads: a hub id or a path. Engines of this model are started by Enginehouse.
    #[schemars(example = "Qwen/Qwen3-32B")]
    pub(crate) source: Option<String>,
    /// The program and its first arguments; `source` and the flags are appended. `enginehouse` means this program itself.
    /// For a program that does not take vLLM's flags, placeholders say where everything goes: `{source}`, `{name}` (the
    /// served name), `{host}`, `{port}`, `{gpus}` (as in `CUDA_VISIBLE_DEVICES`), `{gpu_memory}`; then only `args` are
    /// appended.
    #[schemars(length(min = 1), extend("default" = ["vllm", "serve"]))]
    pub(crate) command: Option<Vec<String>>,
    /// The GPUs: how many each engine needs (the best ones with enough free memory are chosen), or which, as indices or UUIDs,
    /// split evenly among replicas. They become `CUDA_VISIBLE_DEVICES`. An engine with more than one uses tensor parallelism
    /// over them, unless `args` says otherwise. Default: the environment is not changed.
    #[schemars(example = [0, 1])]
    pub(crate) gpus: Option<RawGpus>,
    /// Share of each GPU's memory that one engine may take (`--gpu-memory-utilization`), up to 0.95. Default: the engine's own.
    #[schemars(example = 0.9)]
    pub(crate) gpu_memory: Option<f64>,
    /// Number of engines to start.
    #[schemars(range(min = 1, max = 1024), extend("default" = 1))]
    pub(crate) replicas: Option<usize>,
    /// The port that the engine listens on at 127.0.0.1; with several replicas, that of the first, and the following ones for
    /// the others. Not one of `ports`. An engine that is replaced ends before the new one starts. Default: a free one of `ports`.
    #[schemars(range(min = 1, max = 65535), example = 9001)]
    pub(crate) port: Option<u16>,
    /// A set of flags and environment variables: one of `profiles`, or a built-in one (`enginehouse profiles` lists them). The
    /// model's own values win.
    pub(crate) profile: Option<String>,
    /// Models start in groups, lowest number first: a group waits until the one before is ready or has failed. Models
    /// without a number start last.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) start_order: Option<u32>,
    /// Further flags of the engine without their dashes: `true` is `--flag`, `false` is `--no-flag`, a list is several
    /// values after one flag, a mapping is JSON; nothing (`null`) removes a flag of the profile.
    pub(crate) args: Option<Map<String, Value>>,
    /// Further environment variables of the engine.
    pub(crate) env: Option<Named<AsWritten>>,
    /// LoRA adapters: path or hub id by name. Requests can use each name. An empty mapping prepares engines for adapters that
    /// are added later; `off` instead of a path names one of those, so that aliases may point at it.
    pub(crate) lora: Option<Named<String>>,
    /// How long an engine may take from its start until it is ready.
    #[schemars(extend("default" = "10m"))]
    pub(crate) start_timeout: Option<Time>,
    /// How long an engine may take to end after SIGTERM; then it is killed.
    #[schemars(extend("default" = "30s"))]
    pub(crate) stop_timeout: Option<Time>,
    /// What to do when an engine ends by itself; `off`: leave it.
    pub(crate) restart: Option<OrOff<Restart>>,
    /// An engine that has requests but makes no progress for this long is restarted; `off`: never.
    #[schemars(extend("default" = "10m"))]
    pub(crate) stall_timeout: Option<OrOff<Time>>,
    /// Whether engines can be put to sleep (`--enable-sleep-mode`): their GPU memory is freed, and they wake up faster than they start.
    #[schemars(extend("default" = false))]
    pub(crate) sleep_mode: Option<bool>,
    /// When engines are loaded: when the gateway starts (`eager`), or when a request needs them (`on_demand`). Models that are
    /// loaded on demand share GPUs in turns: those without requests end, or sleep, for one that is needed.
    #[schemars(extend("default" = "eager"))]
    pub(crate) load: Option<RawLoad>,
    /// When engines that are loaded on demand give their GPU memory back although no other model needs it.
    pub(crate) idle: Option<Idle>,
    /// Engines that others run: `http://host:port` or `https://host:port`, and the path before `/v1` where there is one.
    #[schemars(length(min = 1), example = ["http://10.0.0.7:8000"])]
    pub(crate) urls: Option<Vec<String>>,
    /// Key that is sent to the engines as `Authorization: Bearer`; engines that Enginehouse starts require it. Empty means none.
    pub(crate) api_key: Option<String>,
    /// The name that the engines have for the model. Default: the model's name; engines behind `urls` are asked.
    pub(crate) served_name: Option<String>,
    /// Active health checks, or `off`: always considered up.
    pub(crate) health: Option<OrOff<Health>>,
    /// How one of several ready engines is picked.
    #[schemars(extend("default" = "least_outstanding"))]
    pub(crate) balance: Option<Balance>,
    /// How tokens of streams are counted whose clients do not ask for the counts: `asked` asks the engine and hides what it
    /// adds, `passive` reads what is there.
    #[schemars(extend("default" = "asked"))]
    pub(crate) usage: Option<UsageMode>,
    /// Which APIs are translated to Chat Completions instead of being left to the engine.
    pub(crate) dialect: RawDialects,
    /// The name in `model` of answers, also for this model's adapters and, unless they say otherwise, aliases.
    #[schemars(extend("default" = "requested"))]
    pub(crate) response_model: Option<ResponseModel>,
    /// Changes to requests, by whatever name the model is used.
    #[serde(flatten)]
    pub(crate) settings: RawSettings,
}

impl RawModel {
    /// The GPUs that are listed; empty where there is no list.
    pub(crate) fn listed_gpus(&self) -> &[RawGpu] {
        match &self.gpus {
            Some(RawGpus::List(gpus)) => gpus,
            Some(RawGpus::Count(_)) | None => &[],
        }
    }

    /// The name and the path of each LoRA adapter.
    pub(crate) fn adapters(&self) -> impl Iterator<Item = (&str, &String)> {
        self.lora.iter().flat_map(Named::iter)
    }
}

/// When the engines of a model are loaded.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Load")]
pub(crate) enum RawLoad {
    /// When the gateway starts.
    Eager,
    /// When a request needs them.
    OnDemand,
}

/// GPUs of a model: how many for each engine, or which.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Gpus")]
pub(crate) enum RawGpus {
    /// How many for each engine.
    Count(#[schemars(range(min = 1, max = 1024))] usize),
    /// Which.
    List(#[schemars(length(min = 1))] Vec<RawGpu>),
}

/// A GPU: its index, or its UUID (`GPU-…`, `MIG-…`).
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Gpu")]
pub(crate) enum RawGpu {
    /// Index, as `nvidia-smi` counts.
    Index(#[schemars(range(max = 1023))] u32),
    /// An index, as `nvidia-smi` counts (0, 1, …), or a UUID, as `nvidia-smi -L` prints (GPU-…, MIG-…).
    Uuid(#[schemars(regex(pattern = r"^(GPU-[0-9A-Za-z-]+|MIG-[0-9A-Za-z/-]+|0|[1-9][0-9]{0,2})$"))] String),
}

impl RawGpu {
    /// The spelling that `CUDA_VISIBLE_DEVICES` gets.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Index(index) => index.to_string(),
            Self::Uuid(text) => text.clone(),
        }
    }
}

/// A set of flags and environment variables for engines.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Profile")]
pub(crate) struct RawProfile {
    /// What it is good for.
    pub(crate) description: Option<String>,
    /// Share of each GPU's memory that one engine may take, up to 0.95.
    pub(crate) gpu_memory: Option<f64>,
    /// Flags of the engine, as under a model.
    pub(crate) args: Map<String, Value>,
    /// Environment variables of the engine.
    pub(crate) env: Named<AsWritten>,
}

/// Which APIs are translated to Chat Completions (`chat`) instead of being left to the engine (`engine`).
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Dialects")]
pub(crate) struct RawDialects {
    /// `/v1/responses`
    #[schemars(extend("default" = "engine"))]
    pub(crate) responses: Option<Via>,
    /// `/v1/messages`
    #[schemars(extend("default" = "engine"))]
    pub(crate) messages: Option<Via>,
    /// What becomes of system and developer messages in the middle of a translated conversation, which the templates of many
    /// models refuse: text of the user's turn (`user`), text of the system message in front (`first`), or nothing (`keep`).
    #[schemars(extend("default" = "user"))]
    pub(crate) late_system: Option<LateSystem>,
}

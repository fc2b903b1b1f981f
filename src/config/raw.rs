//! What a user writes, key by key: the one source of the JSON Schema, the defaults and the reference.
//!
//! Nothing here is required and nothing is checked beyond types: that is for the rules. No `Debug`: it holds secrets.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize as Derive, Serialize};
use serde_json::{Map, Value};

use super::gym::RawGym;
use super::raw_settings::{RawDialects, RawSettings, RawVariants};
use super::types::{Balance, LogFormat, OnExit, ResponseModel};
use super::units::{AsWritten, Size, Time};

/// The configuration of Enginehouse: one OpenAI-compatible endpoint in front of many vLLM engines.
///
/// In every text, `${NAME}` is replaced by that environment variable, `${NAME:-default}` by it or the default;
/// `$${` is a literal `${`.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Enginehouse configuration", rename = "Configuration")]
pub(super) struct Raw {
    /// Address and port where callers connect.
    #[schemars(example = "127.0.0.1:8000")]
    pub(super) listen: String,
    /// The operator's side: metrics and states.
    pub(super) admin: RawAdmin,
    /// What this house is called: names its state directory. Default: the file's name without its extension.
    #[schemars(regex(pattern = r"^[0-9A-Za-z][0-9A-Za-z_.-]{0,63}$"))]
    pub(super) name: Option<String>,
    /// Where records and engine logs are kept. Default: `$XDG_STATE_HOME/enginehouse/<name>`, or
    /// `~/.local/state/enginehouse/<name>`.
    pub(super) state_dir: Option<PathBuf>,
    /// What happens to the engines when Enginehouse is told to end: `stop` them, or `keep` them running for the next one,
    /// which takes them over.
    pub(super) on_exit: OnExit,
    /// Reload this file when it changes (also when an editor or a Kubernetes ConfigMap replaces the file or its link).
    pub(super) watch: bool,
    /// Ports of 127.0.0.1 that engines are given, first and last.
    #[schemars(regex(pattern = r"^ *[0-9]{1,5} *- *[0-9]{1,5} *$"))]
    pub(super) ports: String,
    /// Bundles of flags and environment for `profile:` of a model; one of the name of a built-in profile replaces it.
    pub(super) profiles: Named<RawProfile>,
    /// Log files of engines, in the state directory.
    pub(super) engine_logs: RawEngineLogs,
    /// Worker threads of the data path. Default: one per core.
    #[schemars(range(min = 1, max = 1024))]
    pub(super) threads: Option<usize>,
    /// What is served, by the name callers say. At least one.
    pub(super) models: Named<RawModel>,
    /// Further names that point at a model and carry request settings.
    pub(super) aliases: Named<RawAlias>,
    /// Who may send requests, by name. Without any, everybody may, and keys that are sent go to the engines.
    pub(super) callers: Named<RawCaller>,
    /// Whether requests without a key are taken where there are `callers`. One with a key that is nobody's never is.
    #[schemars(extend("default" = false))]
    pub(super) anonymous: Option<bool>,
    /// Sizes and counts beyond which requests are refused.
    pub(super) limits: RawLimits,
    /// How long to wait for what.
    pub(super) timeouts: RawTimeouts,
    /// Second tries on another engine, before the first byte of an answer.
    pub(super) retry: RawRetry,
    /// Logs.
    pub(super) log: RawLog,
}

/// The operator's HTTP server.
#[derive(Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Admin")]
pub(super) struct RawAdmin {
    /// Address and port where it listens.
    pub(super) listen: String,
    /// Bearer token that operators must send. Required when `listen` is not a loopback address; empty means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
}

/// One model. Either `source` (engines that Enginehouse starts) or `urls` (engines that somebody else runs).
#[derive(Derive, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Model")]
pub(super) struct RawModel {
    /// What the engine loads: a hub id or a path. Engines of this model are started by Enginehouse.
    #[schemars(example = "Qwen/Qwen3-32B")]
    pub(super) source: Option<String>,
    /// The program and its first arguments; `source` and the flags are appended. `enginehouse` means this very program.
    /// For a program that does not take vLLM's flags, placeholders say where everything goes: `{source}`, `{name}` (the
    /// served name), `{host}`, `{port}`, `{gpus}` (as in `CUDA_VISIBLE_DEVICES`), `{gpu_memory}`; then only `args` are
    /// appended.
    #[schemars(length(min = 1), extend("default" = ["vllm", "serve"]))]
    pub(super) command: Option<Vec<String>>,
    /// The GPUs: how many each engine needs (the best with room are chosen), or which, as indices or UUIDs, split evenly
    /// among replicas. They become `CUDA_VISIBLE_DEVICES`. An engine with more than one is tensor-parallel over them, unless
    /// `args` says otherwise. Default: the environment is left alone.
    #[schemars(example = [0, 1])]
    pub(super) gpus: Option<RawGpus>,
    /// Share of each GPU's memory that one engine may take (`--gpu-memory-utilization`), up to 0.95. Default: the engine's own.
    #[schemars(example = 0.9)]
    pub(super) gpu_memory: Option<f64>,
    /// Number of engines to start.
    #[schemars(range(min = 1, max = 1024), extend("default" = 1))]
    pub(super) replicas: Option<usize>,
    /// A bundle of flags and environment: one of `profiles`, or built in (`enginehouse profiles` lists them). What the model
    /// says itself wins.
    pub(super) profile: Option<String>,
    /// Models start in groups, lowest number first: a group waits until the one before is ready or has failed. Models
    /// without a number start last.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) start_order: Option<u32>,
    /// Further flags of the engine without their dashes: `true` is `--flag`, `false` is `--no-flag`, a list is several
    /// values after one flag, a mapping is JSON; nothing (`null`) takes a flag of the profile out.
    pub(super) args: Option<Map<String, Value>>,
    /// Further environment variables of the engine.
    pub(super) env: Option<Named<AsWritten>>,
    /// LoRA adapters: path or hub id by name. Each name is servable. An empty mapping prepares engines for adapters that are
    /// added later; `off` instead of a path names one of those, so that aliases may point at it.
    pub(super) lora: Option<Named<String>>,
    /// How long an engine may take from its start until it is ready.
    #[schemars(extend("default" = "10m"))]
    pub(super) start_timeout: Option<Time>,
    /// How long an engine may take to end after SIGTERM; then it is killed.
    #[schemars(extend("default" = "30s"))]
    pub(super) stop_timeout: Option<Time>,
    /// What to do when an engine ends by itself; `off`: leave it.
    pub(super) restart: Option<RawRestart>,
    /// An engine that has requests but makes no progress for this long is restarted; `off`: never.
    #[schemars(extend("default" = "10m"))]
    pub(super) stall_timeout: Option<RawPatience>,
    /// Whether engines can be put to sleep (`--enable-sleep-mode`): their GPU memory is freed and they wake faster than they start.
    #[schemars(extend("default" = false))]
    pub(super) sleep_mode: Option<bool>,
    /// Engines that somebody else runs: `http://host:port` or `https://host:port`, without a path.
    #[schemars(length(min = 1), example = ["http://10.0.0.7:8000"])]
    pub(super) urls: Option<Vec<String>>,
    /// Key sent to the engines as `Authorization: Bearer`; engines started here are told it. Empty means none.
    pub(super) api_key: Option<String>,
    /// The name the engines know the model by. Default: the model's name; engines behind `urls` are asked.
    pub(super) served_name: Option<String>,
    /// Active health checks, or `off`: always considered up.
    pub(super) health: Option<RawHealth>,
    /// How one of several ready engines is picked.
    #[schemars(extend("default" = "least_outstanding"))]
    pub(super) balance: Option<Balance>,
    /// Which APIs are translated to Chat Completions instead of being left to the engine.
    pub(super) dialect: RawDialects,
    /// The name in `model` of answers, also for this model's adapters and, unless they say otherwise, aliases.
    #[schemars(extend("default" = "requested"))]
    pub(super) response_model: Option<ResponseModel>,
    /// What is changed in requests, by whatever name they come.
    #[serde(flatten)]
    pub(super) settings: RawSettings,
}

/// GPUs of a model: how many for each engine, or which.
#[derive(Derive, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Gpus")]
pub(super) enum RawGpus {
    /// How many for each engine.
    Count(#[schemars(range(min = 1, max = 1024))] usize),
    /// Which.
    List(#[schemars(length(min = 1))] Vec<RawGpu>),
}

impl RawGpus {
    /// The listed ones.
    pub(super) fn list(&self) -> Option<&[RawGpu]> {
        match self {
            Self::Count(_) => None,
            Self::List(gpus) => Some(gpus),
        }
    }
}

/// A bundle of flags and environment for engines.
#[derive(Derive, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Profile")]
pub(super) struct RawProfile {
    /// What it is good for.
    pub(super) description: Option<String>,
    /// Share of each GPU's memory that one engine may take, up to 0.95.
    pub(super) gpu_memory: Option<f64>,
    /// Flags of the engine, as under a model.
    pub(super) args: Map<String, Value>,
    /// Environment variables of the engine.
    pub(super) env: Named<AsWritten>,
}

/// Restarts of an engine that ended by itself, or `off`.
#[derive(Derive, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Restart")]
pub(super) enum RawRestart {
    /// When.
    Policy(RawPolicy),
    /// Never.
    Off(Off),
}

/// When an engine that ended by itself is started again: after a pause that doubles each time.
#[derive(Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "RestartPolicy")]
pub(super) struct RawPolicy {
    /// First pause.
    pub(super) initial_backoff: Time,
    /// Longest pause.
    pub(super) max_backoff: Time,
    /// This many ends within `within` are a crash loop: it stays down until somebody acts.
    #[schemars(range(min = 1, max = 1000))]
    pub(super) crashes: usize,
    /// See `crashes`. An engine that was ready for this long starts anew with the first pause.
    pub(super) within: Time,
}

/// A time to wait, or `off`.
#[derive(Derive, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Patience")]
pub(super) enum RawPatience {
    /// This long.
    For(Time),
    /// For ever.
    Off(Off),
}

/// Log files of engines.
#[derive(Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "EngineLogs")]
pub(super) struct RawEngineLogs {
    /// A log is put aside when it is larger.
    pub(super) size: Size,
    /// A log is put aside when it is older.
    pub(super) age: Time,
    /// This many are kept for each engine beside the current one.
    #[schemars(range(max = 1000))]
    pub(super) keep: usize,
}

/// A GPU: its index, or its UUID (`GPU-…`, `MIG-…`).
#[derive(Derive, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Gpu")]
pub(super) enum RawGpu {
    /// Index, as `nvidia-smi` counts.
    Index(#[schemars(range(max = 1023))] u32),
    /// An index, as `nvidia-smi` counts (0, 1, …), or a UUID, as `nvidia-smi -L` prints (GPU-…, MIG-…).
    Uuid(#[schemars(regex(pattern = r"^(GPU-[0-9A-Za-z-]+|MIG-[0-9A-Za-z/-]+|0|[1-9][0-9]{0,2})$"))] String),
}

/// Active health checks of a model's engines, or `off`.
#[derive(Derive, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Health")]
pub(super) enum RawHealth {
    /// How to check.
    Checks(RawChecks),
    /// No checks: always considered up.
    Off(Off),
}

/// `off` or `false`.
pub(super) struct Off;

impl<'de> Deserialize<'de> for Off {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value == "off" || value == false { Ok(Self) } else { Err(D::Error::custom("neither `off` nor false")) }
    }
}

impl JsonSchema for Off {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Off".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "boolean"], "enum": ["off", false] })
    }
}

/// How engines are checked.
#[derive(Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Checks")]
pub(super) struct RawChecks {
    /// Path that answers 200 when all is well.
    pub(super) path: String,
    /// Time between two checks.
    pub(super) interval: Time,
    /// Time one check may take.
    pub(super) timeout: Time,
    /// Consecutive failures until an engine is down.
    #[schemars(range(min = 1, max = 1000))]
    pub(super) failures: usize,
    /// Consecutive successes until it is up again.
    #[schemars(range(min = 1, max = 1000))]
    pub(super) successes: usize,
}

/// A name that points at a model, at a LoRA adapter or at another alias, and changes requests: those of what it points at
/// first, then its own.
#[derive(Derive, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Alias")]
pub(super) struct RawAlias {
    /// The model, LoRA adapter or alias it points at. This or `split` must be written.
    pub(super) model: Option<String>,
    /// What it points at, in parts: a weight for each name. Instead of `model`.
    #[schemars(example = serde_json::json!({ "qwen3": 90, "qwen3-next": 10 }))]
    pub(super) split: Named<Weight>,
    /// The request header by which callers stay with one part of `split`. Without it: the caller or its key; without either any part is taken.
    #[schemars(extend("default" = "x-session-id"))]
    pub(super) sticky: Option<String>,
    /// Names to try in this order when what it points at is down, full, or too small for the request.
    #[schemars(example = ["qwen3-small"])]
    pub(super) fallback: Vec<String>,
    /// Copies of some requests, whose answers are dropped.
    pub(super) mirror: Option<RawMirror>,
    /// Makes the alias behave as NeMo Gym's model server does.
    pub(super) gym: Option<RawGym>,
    /// An address and port of its own, where requests need not name a model.
    #[schemars(example = "127.0.0.1:8010")]
    pub(super) listen: Option<String>,
    /// The name in `model` of answers. Default: as what it points at.
    pub(super) response_model: Option<ResponseModel>,
    /// Which APIs are translated to Chat Completions instead of being left to the engine. Default: as what it points at.
    pub(super) dialect: RawDialects,
    /// For a name that ends in `:*`: settings by what stands in the place of `*`, applied after those above; or a list of
    /// such mappings, of each of which a name has one, as in `qwen3:think:precise`.
    pub(super) variants: Option<RawVariants>,
    /// Whether `/v1/models` leaves it out; it can be used all the same.
    pub(super) hidden: bool,
    /// What is changed in requests.
    #[serde(flatten)]
    pub(super) settings: RawSettings,
}

/// Copies of some requests, whose answers are dropped.
#[derive(Derive, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Mirror")]
pub(super) struct RawMirror {
    /// The model, LoRA adapter or alias that gets them. Must be written.
    pub(super) to: Option<String>,
    /// How many of a hundred requests, more than 0. Must be written.
    #[schemars(range(min = 0, max = 100), example = 5)]
    pub(super) percent: Option<f64>,
}

/// Someone who may send requests.
#[derive(Derive, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Caller")]
pub(super) struct RawCaller {
    /// Its keys, sent as `Authorization: Bearer` or `x-api-key`: each as it is, or as `sha256:` and the hash of it. More
    /// than one while a key is changed. At least one.
    #[schemars(length(min = 1), example = ["${CHATBOT_KEY}", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"])]
    pub(super) keys: Vec<String>,
}

/// A share of requests, relative to the other parts.
#[derive(Derive, JsonSchema, Clone, Copy)]
#[serde(transparent)]
#[schemars(inline)]
pub(super) struct Weight(#[schemars(range(max = 1_000_000))] pub(super) u32);

/// Sizes and counts beyond which requests are refused.
#[derive(Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Limits")]
pub(super) struct RawLimits {
    /// Largest request body, before and after decompression; beyond: 413.
    pub(super) body: Size,
    /// Request bodies held at once, over all requests; beyond: 503.
    pub(super) body_memory: Size,
    /// Largest request head (target and headers); beyond: 431.
    pub(super) head: Size,
    /// Open client connections.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(super) connections: usize,
}

/// How long to wait for what.
#[derive(Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Timeouts")]
pub(super) struct RawTimeouts {
    /// Connecting to an engine.
    pub(super) connect: Time,
    /// Silence of an engine, before the first byte and between two.
    pub(super) read: Time,
    /// Writing a whole request to an engine.
    pub(super) write: Time,
    /// A client sending its whole body.
    pub(super) body: Time,
    /// A client taking one piece of the answer.
    pub(super) client_write: Time,
    /// An idle client connection.
    pub(super) keepalive: Time,
    /// Requests in flight when told to stop.
    pub(super) drain: Time,
}

/// Second tries on another engine, before the first byte of an answer.
#[derive(Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Retry")]
pub(super) struct RawRetry {
    /// Attempts of one request, the first included.
    #[schemars(range(min = 1, max = 100))]
    pub(super) attempts: usize,
    /// Retries allowed in the long run, as a share of requests: 0.2 is one in five.
    #[schemars(range(min = 0, max = 10))]
    pub(super) budget: f64,
}

/// Logs.
#[derive(Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Log")]
pub(super) struct RawLog {
    /// `error`, `warn`, `info`, `debug`, `trace`, `off`, or a filter in the syntax of `RUST_LOG` (which wins when set).
    pub(super) level: String,
    /// How lines look.
    pub(super) format: LogFormat,
    /// Whether one line per request is written to standard output.
    pub(super) access: bool,
}

const fn seconds(n: u64) -> Time {
    Time(Duration::from_secs(n))
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8000".into(),
            admin: RawAdmin::default(),
            name: None,
            state_dir: None,
            on_exit: OnExit::default(),
            watch: false,
            ports: "21000-21999".into(),
            profiles: Named::default(),
            engine_logs: RawEngineLogs::default(),
            threads: None,
            models: Named::default(),
            aliases: Named::default(),
            callers: Named::default(),
            anonymous: None,
            limits: RawLimits::default(),
            timeouts: RawTimeouts::default(),
            retry: RawRetry::default(),
            log: RawLog::default(),
        }
    }
}

impl Default for RawAdmin {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8001".into(), token: None }
    }
}

impl Default for RawChecks {
    fn default() -> Self {
        Self { path: "/health".into(), interval: seconds(2), timeout: seconds(2), failures: 3, successes: 1 }
    }
}

impl Default for RawPolicy {
    fn default() -> Self {
        Self { initial_backoff: seconds(1), max_backoff: seconds(60), crashes: 5, within: seconds(600) }
    }
}

impl Default for RawEngineLogs {
    fn default() -> Self {
        Self { size: Size(64 << 20), age: seconds(7 * 24 * 3600), keep: 3 }
    }
}

impl Default for RawLimits {
    fn default() -> Self {
        Self { body: Size(64 << 20), body_memory: Size(1 << 30), head: Size(64 << 10), connections: 10_000 }
    }
}

impl Default for RawTimeouts {
    fn default() -> Self {
        Self {
            connect: seconds(2),
            // A long prompt on a busy engine is silent for minutes before its first token.
            read: seconds(600),
            write: seconds(60),
            body: seconds(60),
            client_write: seconds(60),
            keepalive: seconds(75),
            drain: seconds(30),
        }
    }
}

impl Default for RawRetry {
    fn default() -> Self {
        Self { attempts: 3, budget: 0.2 }
    }
}

impl Default for RawLog {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::default(), access: true }
    }
}

/// A mapping by name, in file order.
#[derive(Clone)]
pub(super) struct Named<T>(pub(super) Vec<(String, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Named<T> {
    /// The entries, in file order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Named<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = members.next_entry()? {
                    entries.push(entry);
                }
                Ok(Named(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Map_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        std::collections::BTreeMap::<String, T>::json_schema(generator)
    }
}

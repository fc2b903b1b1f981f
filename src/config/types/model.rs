//! A validated model: where its engines come from, and how one of them is picked.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::alias::{Dialects, ResponseModel};
use crate::config::units::{Time, TimeOrOff};
use crate::ids::Name;
use crate::secret::Secret;
use crate::settings::Settings;

/// One model: a name, how its engines come to be, and how one of them is picked.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The name that callers use.
    pub name: Name,
    /// Processes that the gateway starts, or URLs of engines that others run.
    pub engines: Engines,
    /// The name the engines know it by; `None`: spawned engines get `name`, URLs are asked.
    pub served_name: Option<Name>,
    /// Sent to the engines as `Authorization: Bearer`; spawned engines are started with it.
    pub api_key: Option<Secret>,
    /// Active health checks; `None`: always considered up.
    pub health: Option<Health>,
    /// How an engine is picked.
    pub balance: Balance,
    /// How tokens of streams are counted.
    pub usage: UsageMode,
    /// Which APIs are translated to Chat Completions.
    pub dialect: Dialects,
    /// The name in `model` of answers, where no alias says otherwise.
    pub response_model: ResponseModel,
    /// What is changed in requests, before what an alias changes.
    pub settings: Settings,
}

/// Where the engines of a model come from.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a handful for each process, off the data path")]
pub enum Engines {
    /// We run them.
    Spawn(Spawn),
    /// Somebody else runs them; at least one.
    Urls(Vec<EngineUrl>),
}

/// How to start engines of ours. `Debug` shows the names of environment variables, not their values.
#[derive(Clone, PartialEq)]
pub struct Spawn {
    /// Hub id or path, the first argument after `command`.
    pub source: String,
    /// The program and its first arguments, `["vllm", "serve"]` unless set. `enginehouse` as program means this binary.
    pub command: Vec<String>,
    /// What `CUDA_VISIBLE_DEVICES` is set to.
    pub gpus: Gpus,
    /// The profile that `args`, `env` and `gpu_memory` were filled up from.
    pub profile: Option<String>,
    /// Lower ones start first; `None`: last.
    pub start_order: Option<u32>,
    /// `--gpu-memory-utilization`, 0 < share <= 0.95.
    pub gpu_memory: Option<f64>,
    /// Number of engines, at least 1.
    pub replicas: usize,
    /// The port of the first engine on 127.0.0.1, of the second the next, and so on; `None`: any of `ports`.
    pub port: Option<u16>,
    /// Further flags without their dashes: `true` is `--flag`, `false` is `--no-flag`, a list repeats values after one flag, an object is JSON.
    pub args: Map<String, Value>,
    /// Parallel sizes of the profile that are not used, because they do not fit `gpus`.
    pub overruled: Map<String, Value>,
    /// Further environment.
    pub env: BTreeMap<String, String>,
    /// LoRA adapters by servable name.
    pub lora: BTreeMap<Name, String>,
    /// Names of adapters that may be added while engines run, for aliases that point at them.
    pub lora_later: BTreeSet<Name>,
    /// Whether engines take adapters, now or later.
    pub takes_lora: bool,
    /// When an engine that ended by itself is started again; `None`: never.
    pub restart: Option<Restart>,
    /// How long an engine may have requests and make no progress; `None`: for ever.
    pub stall_timeout: Option<Duration>,
    /// Whether engines can be put to sleep.
    pub sleep_mode: bool,
    /// When engines are loaded, and when they give their GPU memory back.
    pub load: Load,
    /// From spawn to ready.
    pub start_timeout: Duration,
    /// From SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
}

impl fmt::Debug for Spawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawn")
            .field("source", &self.source)
            .field("command", &self.command)
            .field("gpus", &self.gpus)
            .field("gpu_memory", &self.gpu_memory)
            .field("replicas", &self.replicas)
            .field("port", &self.port)
            .field("args", &self.args)
            .field("overruled", &self.overruled)
            .field("env", &self.env.keys())
            .field("lora", &self.lora)
            .field("lora_later", &self.lora_later)
            .field("takes_lora", &self.takes_lora)
            .field("profile", &self.profile)
            .field("start_order", &self.start_order)
            .field("restart", &self.restart)
            .field("stall_timeout", &self.stall_timeout)
            .field("sleep_mode", &self.sleep_mode)
            .field("load", &self.load)
            .field("start_timeout", &self.start_timeout)
            .field("stop_timeout", &self.stop_timeout)
            .finish()
    }
}

/// Which GPUs an engine gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Gpus {
    /// Those that our own environment shows.
    #[default]
    AsVisible,
    /// So many for each engine, the best that have room.
    Any(usize),
    /// These, by index or UUID, split evenly among replicas.
    Listed(Vec<String>),
}

/// When the engines of a model are loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Load {
    /// When the gateway starts; they keep their GPU memory.
    #[default]
    Eager,
    /// When a request needs them; they give their GPU memory to another model that is loaded on demand.
    OnDemand(Idle),
}

impl Load {
    /// Whether engines are loaded when a request needs them.
    #[must_use]
    pub fn is_on_demand(self) -> bool {
        self != Self::Eager
    }
}

/// When engines that are loaded on demand give their GPU memory back although no other model needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Idle {
    /// Without a request for this long, they are put to sleep; `off`: never.
    #[serde(with = "TimeOrOff")]
    pub sleep_after: Option<Duration>,
    /// Without a request for this long, they are ended; `off`: never.
    #[serde(with = "TimeOrOff")]
    pub stop_after: Option<Duration>,
}

/// When an engine that ended by itself is started again: after a pause that doubles each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Restart {
    /// Pause before the first restart.
    #[serde(with = "Time")]
    pub initial_backoff: Duration,
    /// Longest pause.
    #[serde(with = "Time")]
    pub max_backoff: Duration,
    /// An engine that ends this many times within `within` is in a crash loop: it stays down until an operator restarts it.
    #[schemars(range(min = 1, max = 1000))]
    pub crashes: usize,
    /// See `crashes`. After an engine was ready for this long, the pauses begin anew.
    #[serde(with = "Time")]
    pub within: Duration,
}

impl Default for Restart {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { initial_backoff: seconds(1), max_backoff: seconds(60), crashes: 5, within: seconds(600) }
    }
}

/// `http://host:port` or `https://host:port`, and below which path the engine is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineUrl {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port, 80 or 443 unless written.
    pub port: u16,
    /// What the paths of all requests begin with, such as `/qwen`; empty where the engine itself answers.
    pub base: String,
}

impl EngineUrl {
    /// The path that asks the engine for its `path`.
    #[must_use]
    pub fn path<'p>(&self, path: &'p str) -> Cow<'p, str> {
        if self.base.is_empty() { Cow::Borrowed(path) } else { Cow::Owned(format!("{}{path}", self.base)) }
    }
}

impl fmt::Display for EngineUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, base, .. } = self;
        let scheme = if self.tls { "https" } else { "http" };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}{base}")
        } else {
            write!(f, "{scheme}://{host}:{port}{base}")
        }
    }
}

/// Active health checks of one model's engines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// Path that a healthy engine answers with 200.
    pub path: String,
    /// Time between two checks.
    #[serde(with = "Time")]
    pub interval: Duration,
    /// Time one check may take.
    #[serde(with = "Time")]
    pub timeout: Duration,
    /// Failures in a row until an engine is down.
    #[schemars(range(min = 1, max = 1000))]
    pub failures: usize,
    /// Successes in a row until it is up again.
    #[schemars(range(min = 1, max = 1000))]
    pub successes: usize,
}

impl Default for Health {
    fn default() -> Self {
        let two_seconds = Duration::from_secs(2);
        Self { path: "/health".into(), interval: two_seconds, timeout: two_seconds, failures: 3, successes: 1 }
    }
}

/// How tokens of streams are counted whose clients do not ask for the counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageMode {
    /// The engine is asked for them, and what the client did not ask for is taken out of the answer.
    #[default]
    Asked,
    /// From what the answer has anyway.
    Passive,
}

/// How one of several ready engines is picked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// The one with the fewest requests in flight from us; ties at random.
    #[default]
    LeastOutstanding,
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
}

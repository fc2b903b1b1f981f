//! The validated configuration: what the rest of the program trusts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

pub use super::alias::{Alias, Dialects, Mirror, ResponseModel, Via};
pub use super::callers::{ANONYMOUS, Caller};
pub use super::settings::{Condition, MemberPath, Place, Prompt, Settings, Test, Topic, When};

use crate::ids::Name;
use crate::secret::Secret;

/// A whole house, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where callers connect.
    pub listen: SocketAddr,
    /// The operator's side.
    pub admin: Admin,
    /// What the house is called; letters, digits and `_.-`.
    pub name: String,
    /// Where records and engine logs are kept; `None`: `enginehouse/<name>` under `$XDG_STATE_HOME` or `~/.local/state`.
    pub state_dir: Option<PathBuf>,
    /// What happens to the engines when we are told to end.
    pub on_exit: OnExit,
    /// Whether the file is reloaded when it changes.
    pub watch: bool,
    /// Ports of 127.0.0.1 that engines are given.
    pub ports: RangeInclusive<u16>,
    /// Log files of engines.
    pub engine_logs: EngineLogs,
    /// Worker threads of the data path; `None`: one per core.
    pub threads: Option<usize>,
    /// Models in file order; at least one.
    pub models: Vec<Model>,
    /// Aliases in file order.
    pub aliases: Vec<Alias>,
    /// Who may send requests, in file order; none: everybody.
    pub callers: Vec<Caller>,
    /// Whether requests without a key are taken; always, where there are no callers.
    pub anonymous: bool,
    /// Sizes and counts we refuse to exceed.
    pub limits: Limits,
    /// How long we wait for what.
    pub timeouts: Timeouts,
    /// Second tries.
    pub retry: Retry,
    /// Logs.
    pub log: Log,
}

/// The operator's HTTP server.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Bearer token; always present when `listen` is not a loopback address.
    pub token: Option<Secret>,
}

/// One model: a name, how its engines come to be, and how one of them is picked.
#[derive(Clone, Debug)]
pub struct Model {
    /// What callers say.
    pub name: Name,
    /// Processes of ours or URLs of somebody else.
    pub engines: Engines,
    /// The name the engines know it by; `None`: spawned engines get `name`, URLs are asked.
    pub served_name: Option<Name>,
    /// Sent to the engines as `Authorization: Bearer`; spawned engines are started with it.
    pub api_key: Option<Secret>,
    /// Active health checks; `None`: always considered up.
    pub health: Option<Health>,
    /// How an engine is picked.
    pub balance: Balance,
    /// Which APIs are translated to Chat Completions.
    pub dialect: Dialects,
    /// The name in `model` of answers, where no alias says otherwise.
    pub response_model: ResponseModel,
    /// What is changed in requests, before what an alias changes.
    pub settings: Settings,
}

/// Where the engines of a model come from.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a handful for each process, off the data path")]
pub enum Engines {
    /// We run them.
    Spawn(Spawn),
    /// Somebody else runs them; at least one.
    Urls(Vec<EngineUrl>),
}

/// How to start engines of ours. `Debug` shows the names of environment variables, not their values.
#[derive(Clone)]
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
    /// Further flags without their dashes: `true` is `--flag`, `false` is `--no-flag`, a list repeats values after one flag, an object is JSON.
    pub args: Map<String, Value>,
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
    /// From spawn to ready.
    pub start_timeout: Duration,
    /// From SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
}

impl std::fmt::Debug for Spawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spawn")
            .field("source", &self.source)
            .field("command", &self.command)
            .field("gpus", &self.gpus)
            .field("gpu_memory", &self.gpu_memory)
            .field("replicas", &self.replicas)
            .field("args", &self.args)
            .field("env", &self.env.keys())
            .field("lora", &self.lora)
            .field("lora_later", &self.lora_later)
            .field("takes_lora", &self.takes_lora)
            .field("profile", &self.profile)
            .field("start_order", &self.start_order)
            .field("restart", &self.restart)
            .field("stall_timeout", &self.stall_timeout)
            .field("sleep_mode", &self.sleep_mode)
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

/// When an engine that ended by itself is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// First pause; doubles each time.
    pub initial_backoff: Duration,
    /// Longest pause.
    pub max_backoff: Duration,
    /// This many ends within `within` are a crash loop; at least 1.
    pub crashes: usize,
    /// See `crashes`.
    pub within: Duration,
}

/// What happens to the engines when we are told to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExit {
    /// They end too.
    #[default]
    Stop,
    /// They run on; the next Enginehouse takes them over.
    Keep,
}

/// When log files of engines are put aside, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineLogs {
    /// Largest size, in bytes.
    pub size: u64,
    /// Greatest age.
    pub age: Duration,
    /// Files kept beside the current one.
    pub keep: usize,
}

/// `http://host:port` or `https://host:port`, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineUrl {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port, 80 or 443 unless written.
    pub port: u16,
}

impl std::fmt::Display for EngineUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// Active health checks of one model's engines.
#[derive(Clone, Debug)]
pub struct Health {
    /// Path that answers 200 when all is well, `/health` unless set.
    pub path: String,
    /// Time between two checks.
    pub interval: Duration,
    /// Time one check may take.
    pub timeout: Duration,
    /// Consecutive failures until an engine is down.
    pub failures: usize,
    /// Consecutive successes until it is up again.
    pub successes: usize,
}

/// How one of several ready engines is picked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
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

/// Sizes and counts we refuse to exceed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest request body, in bytes, before and after decoding.
    pub body: usize,
    /// Bytes of request bodies held at once over all requests; beyond, 503.
    pub body_memory: usize,
    /// Largest request head (names and values of all headers plus the target), in bytes.
    pub head: usize,
    /// Open client connections.
    pub connections: usize,
}

/// How long we wait for what.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// Connecting to an engine.
    pub connect: Duration,
    /// Silence of an engine: before the first byte and between two.
    pub read: Duration,
    /// Writing a whole request to an engine.
    pub write: Duration,
    /// A client sending its whole body.
    pub body: Duration,
    /// A client taking one piece of the answer.
    pub client_write: Duration,
    /// An idle client connection.
    pub keepalive: Duration,
    /// Requests in flight when we are told to stop.
    pub drain: Duration,
}

/// Second tries, on another engine, before the first byte of an answer.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Attempts of one request, the first included; at least 1.
    pub attempts: usize,
    /// Retries allowed in the long run, as a share of requests (0.2: one in five).
    pub budget: f64,
}

/// Logs.
#[derive(Clone, Debug)]
pub struct Log {
    /// Filter in the syntax of `RUST_LOG`, which wins when set.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
    /// Whether one line per request is written to standard output.
    pub access: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

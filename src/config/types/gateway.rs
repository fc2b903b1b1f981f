//! The validated configuration as a whole, and what is the gateway's own.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alias::Alias;
use super::model::Model;
use crate::config::document::SourceMap;
use crate::config::units::{Size, Time, TimeOrOff};
use crate::ids::Name;
use crate::secret::{KeyHash, Secret};

/// What callers without a key are called in conditions.
pub const ANONYMOUS: &str = "anonymous";

/// In `cors.origins`: every origin.
pub const ANY_ORIGIN: &str = "*";

/// A whole configuration, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where callers connect.
    pub listen: SocketAddr,
    /// The operator's side.
    pub admin: Admin,
    /// The name of this gateway; letters, digits and `_.-`.
    pub name: String,
    /// Where records and engine logs are kept; `None`: `enginehouse/<name>` under `$XDG_STATE_HOME` or `~/.local/state`.
    pub state_dir: Option<PathBuf>,
    /// What happens to the engines when Enginehouse stops.
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
    /// Who may send requests, in file order; empty: every client may.
    pub callers: Vec<Caller>,
    /// Requests without a key: `None`: they are refused; they are always taken where there are no callers.
    pub anonymous: Option<Anonymous>,
    /// Which web pages may use the gateway.
    pub cors: Cors,
    /// Names and addresses that clients may call the gateway by, in lower case, without port; empty: any.
    pub hosts: Vec<String>,
    /// What must be served before the gateway says that it is ready.
    pub readiness: Readiness,
    /// Sizes and counts we refuse to exceed.
    pub limits: Limits,
    /// How long we wait for what.
    pub timeouts: Timeouts,
    /// Second tries.
    pub retry: Retry,
    /// Logs.
    pub log: Log,
    /// Where in the file all of this is written.
    pub source_map: Arc<SourceMap>,
}

/// The operator's HTTP server.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Bearer token; always present when `listen` is not a loopback address.
    pub token: Option<Secret>,
    /// Whether it serves metrics.
    pub metrics: bool,
}

/// Someone who may send requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What it is called in conditions, logs and metrics.
    pub name: Name,
    /// Its keys; at least one.
    pub keys: Vec<KeyHash>,
}

/// Requests without a key, where there are callers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Anonymous {
    /// Keys that count as none, in upper or lower case: what clients send that insist on a key. The key of a caller stays one.
    pub keys: Vec<String>,
}

impl Default for Anonymous {
    fn default() -> Self {
        let keys = ["none", "EMPTY", "null", "undefined", "no-key", "not-needed", "sk-no-key-required", "dummy", "-"];
        Self { keys: keys.map(str::to_owned).into() }
    }
}

/// Which web pages may use the gateway from a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// Origins of pages: scheme, host and, where it is not the scheme's own, port; or `*` for every page. Empty: none.
    #[schemars(example = ["http://localhost:3000", "app://obsidian.md"])]
    pub origins: Vec<String>,
}

/// What must be served before `/readyz` answers 200.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Readiness {
    /// Models of which each must have an engine that is ready. Empty: any model, if one is due.
    pub required: Vec<String>,
}

/// What happens to the engines when Enginehouse stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExit {
    /// They end too.
    #[default]
    Stop,
    /// They keep running; the next Enginehouse takes them over.
    Keep,
}

/// Log files of engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EngineLogs {
    /// A log file that is larger is closed and a new one is begun.
    #[serde(with = "Size")]
    pub size: u64,
    /// A log file that is older is closed and a new one is begun.
    #[serde(with = "Time")]
    pub age: Duration,
    /// Closed log files kept for each engine.
    #[schemars(range(max = 1000))]
    pub keep: usize,
    /// Who is told the last lines of a failed engine's log in an error. Paths and parts of programs stand in them.
    pub shown_to: LogReaders,
}

/// Who is told what engines log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogReaders {
    /// Operators alone.
    Operators,
    /// Callers with a key, too.
    #[default]
    Callers,
    /// Whoever asks.
    Everybody,
}

impl Default for EngineLogs {
    fn default() -> Self {
        Self { size: 64 << 20, age: Duration::from_secs(7 * 24 * 3600), keep: 3, shown_to: LogReaders::default() }
    }
}

/// Sizes and counts beyond which requests are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest request body, before and after decompression; beyond: 413.
    #[serde(with = "Size")]
    pub body: usize,
    /// Memory for request bodies, over all requests at the same time; beyond: 503.
    #[serde(with = "Size")]
    pub body_memory: usize,
    /// Largest request head (target and headers); beyond: 431.
    #[serde(with = "Size")]
    pub head: usize,
    /// Open client connections.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body: 64 << 20, body_memory: 1 << 30, head: 64 << 10, connections: 10_000 }
    }
}

/// How long to wait for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Connecting to an engine.
    #[serde(with = "Time")]
    pub connect: Duration,
    /// No byte from an engine, before the first one or between two.
    #[serde(with = "Time")]
    pub read: Duration,
    /// Writing a whole request to an engine.
    #[serde(with = "Time")]
    pub write: Duration,
    /// A client sending the whole head of a request, from its first byte.
    #[serde(with = "Time")]
    pub head: Duration,
    /// A client sending its whole body.
    #[serde(with = "Time")]
    pub body: Duration,
    /// A client taking one piece of the answer.
    #[serde(with = "Time")]
    pub client_write: Duration,
    /// An idle client connection.
    #[serde(with = "Time")]
    pub keepalive: Duration,
    /// Requests in flight when Enginehouse stops.
    #[serde(with = "Time")]
    pub drain: Duration,
    /// A request for a model that is loaded on demand, until that takes requests.
    #[serde(with = "Time")]
    pub load: Duration,
    /// A whole request that is answered at once, and the first event of one that is answered as a stream.
    #[serde(with = "TimeOrOff")]
    pub request: Option<Duration>,
    /// The first event of a stream after its engine has promised one: then the caller gets the head of the answer, and
    /// another engine may still give the rest.
    #[serde(with = "TimeOrOff")]
    pub head_hold: Option<Duration>,
    /// Silence in a stream, before a comment tells the caller that the connection lives.
    #[serde(with = "TimeOrOff")]
    pub keepalive_comment: Option<Duration>,
    /// How long the gateway knows which engine keeps a response of `/v1/responses`.
    #[serde(with = "Time")]
    pub stored_response: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(2),
            // An engine that is busy with a long prompt sends nothing for minutes before its first token.
            read: seconds(600),
            write: seconds(60),
            head: seconds(30),
            body: seconds(60),
            client_write: seconds(60),
            keepalive: seconds(75),
            drain: seconds(30),
            // As long as OpenAI's clients wait unless told otherwise.
            load: seconds(600),
            request: None,
            head_hold: Some(seconds(10)),
            keepalive_comment: Some(seconds(15)),
            stored_response: seconds(3600),
        }
    }
}

/// Second tries on another engine, before the first byte of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Attempts of one request, the first included.
    #[schemars(range(min = 1, max = 100))]
    pub attempts: usize,
    /// Retries allowed in the long run, as a share of requests: 0.2 is one in five.
    #[schemars(range(min = 0, max = 10))]
    pub budget: f64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, budget: 0.2 }
    }
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, `off`, or a filter in the syntax of `RUST_LOG` (which wins when set).
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
    /// Whether one line per request is written to standard output.
    pub access: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::default(), access: true }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

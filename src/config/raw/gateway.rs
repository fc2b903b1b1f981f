//! What a user writes at the top of a configuration. With the types below it: the one source of the JSON Schema.
//!
//! Nothing here is required and nothing is checked beyond types: that is for the rules. No `Debug`: it holds secrets.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alias::RawAlias;
use super::model::{RawModel, RawProfile};
use super::named::Named;
use crate::config::types::{Anonymous, Cors, EngineLogs, Limits, Log, OnExit, Readiness, Retry, Timeouts};

/// The configuration of Enginehouse: one OpenAI-compatible endpoint in front of many vLLM engines.
///
/// In every text, `${NAME}` is replaced by that environment variable, `${NAME:-default}` by it or the default;
/// `$${` is a literal `${`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Enginehouse configuration", rename = "Configuration")]
pub(crate) struct Raw {
    /// Address and port of the API that clients use.
    #[schemars(example = "127.0.0.1:8000")]
    pub(crate) listen: String,
    /// The operators' API: metrics, states of engines, actions on engines.
    pub(crate) admin: RawAdmin,
    /// The name of this gateway, and of its state directory. Default: the file's name without its extension,
    /// and a hash of where the file is.
    #[schemars(regex(pattern = r"^[0-9A-Za-z][0-9A-Za-z_.-]{0,63}$"))]
    pub(crate) name: Option<String>,
    /// Where records and engine logs are kept. Default: `$XDG_STATE_HOME/enginehouse/<name>`, or
    /// `~/.local/state/enginehouse/<name>`.
    pub(crate) state_dir: Option<PathBuf>,
    /// What happens to the engines when Enginehouse stops: `stop` them, or `keep` them running for the next
    /// Enginehouse, which takes them over.
    pub(crate) on_exit: OnExit,
    /// Reload this file when it changes (also when an editor or a Kubernetes ConfigMap replaces the file or its link).
    pub(crate) watch: bool,
    /// Ports of 127.0.0.1 for engines, first and last.
    #[schemars(regex(pattern = r"^ *[0-9]{1,5} *- *[0-9]{1,5} *$"))]
    pub(crate) ports: String,
    /// Sets of flags and environment variables for `profile:` of a model; one with the name of a built-in profile replaces
    /// it.
    pub(crate) profiles: Named<RawProfile>,
    /// Log files of engines, in the state directory.
    pub(crate) engine_logs: EngineLogs,
    /// Worker threads for requests. Default: one per core.
    #[schemars(range(min = 1, max = 1024))]
    pub(crate) threads: Option<usize>,
    /// The models that are served, by the name that clients use. At least one.
    pub(crate) models: Named<RawModel>,
    /// Further names that point at a model and carry request settings.
    pub(crate) aliases: Named<RawAlias>,
    /// Who may send requests, by name. Without callers every client may, and the keys of requests are passed on to the engines.
    pub(crate) callers: Named<RawCaller>,
    /// Whether requests without a key are accepted where there are `callers`; or `{keys: […]}`: they are, and these keys count
    /// as none. A request with another unknown key is refused, unless it comes in the header `api-key`, which others set, too.
    #[schemars(extend("default" = false))]
    pub(crate) anonymous: Option<RawAnonymous>,
    /// Which web pages may use the gateway from a browser.
    pub(crate) cors: Cors,
    /// Names and addresses that clients may call the gateway by, without port: others are refused (403), except by probes. It
    /// keeps web pages out whose name is made to lead here (DNS rebinding). Empty: any.
    #[schemars(example = ["localhost", "127.0.0.1", "llm.example.com"])]
    pub(crate) hosts: Vec<String>,
    /// What must be served before `/readyz` answers 200.
    pub(crate) readiness: Readiness,
    /// Sizes and counts beyond which requests are refused.
    pub(crate) limits: Limits,
    /// How long the gateway waits.
    pub(crate) timeouts: Timeouts,
    /// Second tries on another engine, before the first byte of an answer.
    pub(crate) retry: Retry,
    /// Logs.
    pub(crate) log: Log,
}

/// The operators' API.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Admin")]
pub(crate) struct RawAdmin {
    /// Address and port where it listens.
    pub(crate) listen: String,
    /// Bearer token that operators must send. Required when `listen` is not a loopback address; empty means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// Whether it serves metrics for Prometheus: `/metrics`, those of engines, and the list of these.
    pub(crate) metrics: bool,
}

/// Whether requests without a key are accepted, and which keys count as none.
#[derive(Deserialize, JsonSchema, Clone)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum RawAnonymous {
    Accepted(bool),
    With(Anonymous),
}

impl RawAnonymous {
    /// `None`: such requests are refused.
    pub(crate) fn accepted(&self) -> Option<Anonymous> {
        match self {
            Self::Accepted(accepted) => accepted.then(Anonymous::default),
            Self::With(anonymous) => Some(anonymous.clone()),
        }
    }
}

/// Someone who may send requests.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Caller")]
pub(crate) struct RawCaller {
    /// Its keys, sent as `Authorization: Bearer`, `x-api-key` or `api-key`: each as it is, or as `sha256:` and the hash of
    /// it. More than one while a key is changed. At least one.
    #[schemars(length(min = 1), example = ["${CHATBOT_KEY}", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"])]
    pub(crate) keys: Vec<String>,
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
            engine_logs: EngineLogs::default(),
            threads: None,
            models: Named::default(),
            aliases: Named::default(),
            callers: Named::default(),
            anonymous: None,
            cors: Cors::default(),
            hosts: Vec::new(),
            readiness: Readiness::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            retry: Retry::default(),
            log: Log::default(),
        }
    }
}

impl Default for RawAdmin {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8001".into(), token: None, metrics: true }
    }
}

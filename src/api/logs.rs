//! What `GET /api/v1/logs` and `GET /api/v1/log-level` tell.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Whose: the id of an engine, or `gateway`.
    pub from: String,
    /// When it was written (RFC 3339), as far as that is known: engines write their own times, or none.
    pub time: Option<String>,
    /// `error`, `warn`, `info`, `debug` or `trace`; `null` where the line does not tell.
    pub level: Option<String>,
    /// The line, without its end. Colours of a terminal are left in.
    pub text: String,
}

/// Lines of logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogsView {
    /// The newest last.
    pub lines: Vec<LogLine>,
}

/// Which lines of the gateway's own log are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLevelView {
    /// At present: a level, or a filter in the syntax of `RUST_LOG`.
    pub level: String,
    /// What the environment variable `RUST_LOG` says, or `log.level` of the configuration: so it is again after a restart.
    pub configured: String,
}

/// The body of `PUT /api/v1/log-level`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetLogLevel {
    /// `error`, `warn`, `info`, `debug`, `trace`, `off`, or a filter in the syntax of `RUST_LOG`.
    pub level: String,
}

//! What `GET /api/v1/logs` tells.

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

//! What operators have the gateway do: `GET /api/v1/operations`, and who did what: `GET /api/v1/audit`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EngineView;

/// An action on engines: begun, and done or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationView {
    /// What it is asked for by.
    pub id: String,
    /// What is done: `start`, `stop`, `restart`, `sleep`, `wake`, `drain`, `undrain`, `roll`, `scale`, `load_adapter`, `unload_adapter`.
    pub action: String,
    /// The engine or the model.
    pub target: String,
    /// The same in a sentence.
    pub detail: String,
    /// How it goes.
    pub state: OperationState,
    /// When it was begun (RFC 3339).
    pub began: String,
    /// When it was over; `null`: it is not.
    pub ended: Option<String>,
    /// For how long it has been, or was, under way.
    pub seconds: f64,
    /// Why it failed.
    pub error: Option<String>,
    /// Who asked for it.
    pub operator: OperatorView,
    /// Whether it can be cancelled (`DELETE /api/v1/operations/{id}`).
    pub can_be_cancelled: bool,
}

/// How an operation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// It is under way.
    Running,
    /// It is done.
    Done,
    /// It was not done, or not in whole.
    Failed,
    /// An operator did not want it any more before it was done.
    Cancelled,
}

/// Who asks for something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperatorView {
    /// The address that the request came from.
    pub address: Option<String>,
    /// How it was shown that the operator may do it.
    pub login: Login,
    /// The program (`User-Agent`); its beginning, if it is long.
    pub agent: Option<String>,
}

/// How an operator shows that it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// The configuration has no `admin.token`: everybody who reaches the server is one.
    None,
    /// By the token itself.
    Token,
    /// By the token that the gateway put into its state directory: a command on the same machine, of the same user.
    Local,
    /// By the cookie of a login in a browser.
    Cookie,
}

/// A list of operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationsView {
    /// The newest first.
    pub operations: Vec<OperationView>,
}

/// The answer to an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActionView {
    /// What was begun, or is done.
    pub operation: OperationView,
    /// The engines that it concerns, as they are now.
    pub engines: Vec<EngineView>,
}

/// One thing that an operator asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// When it was answered (RFC 3339).
    pub at: String,
    /// Who asked.
    pub operator: OperatorView,
    /// Method and path, with the query.
    pub request: String,
    /// What was to be done, secrets masked.
    pub detail: String,
    /// The status of the answer.
    pub status: u16,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What operators asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditView {
    /// The newest first.
    pub entries: Vec<AuditEntry>,
}

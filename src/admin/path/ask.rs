//! What a request may ask for.

use crate::admin::action::Action;
use crate::admin::events::Kinds;
use crate::admin::{EntryChange, logs};
use crate::api::RequestFilter;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::admin) enum Ask {
    /// How something is.
    Read(Read),
    /// Lines of logs.
    Logs(logs::Ask),
    /// Events of these kinds, as they happen.
    Events(Kinds),
    /// What an engine measures.
    EngineMetrics(String),
    /// Where the metrics of engines are.
    Targets,
    /// What this configuration would change.
    Plan(String),
    /// The configuration file is to be reloaded.
    Reload,
    /// Other lines of the gateway's log are to be written.
    SetLogLevel(String),
    /// A model, an alias or a caller is to be another.
    Change(EntryChange),
    /// Something is to be done with engines; and whether to answer only when it is.
    Do(Action, bool),
    /// An operation is not wanted any more.
    Cancel(String),
    /// Who did what: so many entries.
    Audit(usize),
    /// A conversation of an operator.
    Chat(Vec<u8>),
    /// The gateway is to end.
    ShutDown,
}

impl Ask {
    /// What is to be done, for the audit log; `None`: nothing is changed.
    pub(in crate::admin) fn change(&self) -> Option<String> {
        match self {
            Self::Read(_) | Self::Logs(_) | Self::Events(_) | Self::EngineMetrics(_) | Self::Targets => None,
            Self::Plan(_) | Self::Chat(_) | Self::Audit(_) => None,
            Self::SetLogLevel(level) => Some(format!("set the log level to {level}")),
            Self::Reload => Some("reload the configuration file".into()),
            Self::ShutDown => Some("shut the gateway down".into()),
            Self::Change(change) => Some(change.to_string()),
            Self::Do(action, _) => Some(action.to_string()),
            Self::Cancel(id) => Some(format!("cancel operation {id}")),
        }
    }
}

/// What operators can look at.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::admin) enum Read {
    /// The gateway itself.
    Status,
    /// All engines.
    Engines,
    /// One engine.
    Engine(String),
    /// All models.
    Models,
    /// One model.
    Model(String),
    /// The adapters of a model.
    Adapters(String),
    /// All aliases.
    Aliases,
    /// One alias.
    Alias(String),
    /// All callers.
    Callers,
    /// One caller.
    Caller(String),
    /// All GPUs.
    Gpus,
    /// The newest requests that fit, so many.
    Requests(RequestFilter, usize),
    /// One request.
    Request(String),
    /// Which lines of the gateway's log are written.
    LogLevel,
    /// Rates of the last minutes, of one engine or of all requests.
    Rates(Option<String>),
    /// The configuration as it is written.
    Configuration,
    /// What was changed while gateways ran.
    Overlay,
    /// What became of the last reload.
    LastReload,
    /// The description of this API.
    OpenApi,
    /// What operators have done with engines.
    Operations,
    /// One operation.
    Operation(String),
}

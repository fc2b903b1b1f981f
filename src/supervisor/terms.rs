//! What operators can have the supervisor do, and why it does not.

use std::fmt;

use crate::api::AdapterView;

/// What an operator orders. It is done when every engine that it concerns has done its part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The engine of this id (`model/0`) is to do this.
    Engine(String, Command),
    /// All engines of a model are to do this.
    Model(String, Command),
    /// The engines of a model are replaced one by one while the others serve. When a new one fails, the rest is left as it
    /// is then.
    Roll(String),
    /// The replacement of the engines of a model ends where it is: what was replaced stays, the others are left as they are.
    CancelRoll(String),
    /// A model is to have so many engines. Lasts, also over restarts, until the configuration says another number than now.
    Scale(String, usize),
    /// All engines of a model are to serve a LoRA adapter, now and whenever they start; if one cannot load it, none serves
    /// it.
    AddAdapter(String, AdapterView),
    /// All engines of a model are to forget the LoRA adapter of this name; if one does not, all serve it as before.
    RemoveAdapter(String, String),
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(name, command) | Self::Model(name, command) => {
                write!(f, "{name}: {}", format!("{command:?}").to_lowercase())
            }
            Self::Roll(model) => write!(f, "{model}: roll"),
            Self::CancelRoll(model) => write!(f, "{model}: cancel the roll"),
            Self::Scale(model, count) => write!(f, "{model}: {count} replicas"),
            Self::AddAdapter(model, adapter) => {
                write!(f, "{model}: add adapter {} from {}", adapter.name, adapter.path)
            }
            Self::RemoveAdapter(model, name) => write!(f, "{model}: remove adapter {name}"),
        }
    }
}

/// What an engine is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run; earlier crashes are forgotten.
    Start,
    /// Finish what it has and end; it stays so.
    Stop,
    /// Finish what it has, end, and start again; earlier crashes are forgotten.
    Restart,
    /// Finish what it has and give its GPU memory back, at level 1 (weights stay in host memory) or 2 (they are dropped).
    Sleep(u8),
    /// Take its GPU memory again.
    Wake,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There is no such thing.
    #[error("{0}")]
    Unknown(String),
    /// It makes no sense as things are, or something else is under way; says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// It was tried, and an engine did not do as it should; says which and why.
    #[error("{0}")]
    Failed(String),
}

impl ControlError {
    /// The gateway ends, and nobody is left to do anything.
    pub(super) fn shutting_down() -> Self {
        Self::Refused("the gateway is shutting down".into())
    }

    /// One error for all that went wrong with several engines, each with its words; `None`: nothing did.
    pub(super) fn of_all(wrong: Vec<(String, Self)>) -> Option<Self> {
        let tried = wrong.iter().any(|(_, why)| matches!(why, Self::Failed(_)));
        let words: Vec<String> = wrong.iter().map(|(engine, why)| format!("{engine}: {why}")).collect();
        match (words.is_empty(), tried) {
            (true, _) => None,
            (false, true) => Some(Self::Failed(words.join("; "))),
            (false, false) => Some(Self::Refused(words.join("; "))),
        }
    }
}

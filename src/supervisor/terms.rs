//! What operators can have the supervisor do, and why it does not.

use super::lifecycle::orders::{Goal, NotDone};

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

impl Command {
    /// The same, as one engine is told it.
    ///
    /// # Errors
    /// When there is no such thing to do.
    pub(super) fn goal(self) -> Result<Goal, ControlError> {
        match self {
            Self::Start => Ok(Goal::Start),
            Self::Stop => Ok(Goal::Stop),
            Self::Restart => Ok(Goal::Restart),
            Self::Sleep(level @ 1..=2) => Ok(Goal::Sleep(level)),
            Self::Sleep(level) => Err(ControlError::Refused(format!("there is no sleep level {level}; take 1 or 2"))),
            Self::Wake => Ok(Goal::Wake),
        }
    }
}

impl ControlError {
    /// The gateway ends, and nobody is left to do anything.
    pub(super) fn shutting_down() -> Self {
        Self::Refused("the gateway is shutting down".into())
    }

    /// One error for all that went wrong with several engines, each with its words; `None`: nothing did.
    pub(super) fn of_all(wrong: Vec<(String, NotDone)>) -> Option<Self> {
        let tried = wrong.iter().any(|(_, why)| matches!(why, NotDone::Failed(_)));
        let words: Vec<String> = wrong.iter().map(|(engine, why)| format!("{engine}: {why}")).collect();
        match (words.is_empty(), tried) {
            (true, _) => None,
            (false, true) => Some(Self::Failed(words.join("; "))),
            (false, false) => Some(Self::Refused(words.join("; "))),
        }
    }
}

//! The states an engine is in, as the proxy and the operator see them.

/// What an engine is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Started or discovered, not ready yet; says what it is waiting for.
    Starting(String),
    /// Takes requests.
    Ready,
    /// Was ready or should be; its health checks fail, with the reason.
    Unhealthy(String),
    /// Ended or never became ready; stays so until somebody acts.
    Failed(Failure),
    /// Told to stop: finishes what it has, gets nothing new.
    Stopping,
    /// Not running.
    Stopped,
}

/// Why an engine failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One sentence.
    pub reason: String,
    /// The last lines of its log, oldest first.
    pub log: Vec<String>,
}

impl State {
    /// One word, for labels and tables.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting(_) => "starting",
            Self::Ready => "ready",
            Self::Unhealthy(_) => "unhealthy",
            Self::Failed(_) => "failed",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// What there is to say beyond the word.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Starting(text) | Self::Unhealthy(text) => Some(text),
            Self::Failed(failure) => Some(&failure.reason),
            Self::Ready | Self::Stopping | Self::Stopped => None,
        }
    }
}

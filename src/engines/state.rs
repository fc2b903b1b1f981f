//! The states an engine is in, as the proxy and the operator see them.

use std::time::Duration;

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
    /// Told to stop, to restart or to sleep; says which. Finishes what it has, gets nothing new.
    Stopping(String),
    /// Sleeps: its process runs, its GPU memory is free.
    Asleep(Nap),
    /// Not running.
    Stopped,
}

/// A sleep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nap {
    /// How deep, as vLLM counts: at 1 its weights are kept in host memory, at 2 they are dropped and loaded again.
    pub level: u8,
    /// How long it took to fall asleep; `None` where that is not known.
    pub took: Option<Duration>,
    /// Bytes of GPU memory given back, as the engine said.
    pub freed: Option<u64>,
    /// Bytes of GPU memory still in use, as the engine said.
    pub in_use: Option<u64>,
}

impl Nap {
    /// A sleep of which nothing else is known.
    #[must_use]
    pub fn of(level: u8) -> Self {
        Self { level, ..Self::default() }
    }
}

/// Why an engine failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One sentence.
    pub reason: String,
    /// The last lines of its log, oldest first.
    pub log: Vec<String>,
    /// What happens next, one sentence; empty when nothing does.
    pub next: String,
}

impl State {
    /// All that [`State::word`] can be.
    pub const WORDS: [&str; 7] = ["starting", "ready", "unhealthy", "failed", "stopping", "asleep", "stopped"];

    /// One word, for labels and tables.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting(_) => "starting",
            Self::Ready => "ready",
            Self::Unhealthy(_) => "unhealthy",
            Self::Failed(_) => "failed",
            Self::Stopping(_) => "stopping",
            Self::Asleep(_) => "asleep",
            Self::Stopped => "stopped",
        }
    }

    /// What there is to say beyond the word.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Starting(text) | Self::Unhealthy(text) | Self::Stopping(text) => Some(text),
            Self::Failed(failure) => Some(&failure.reason),
            Self::Ready | Self::Asleep(_) | Self::Stopped => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_known() {
        let (text, failure) = (String::new(), Failure { reason: String::new(), log: vec![], next: String::new() });
        let all = [
            State::Starting(text.clone()),
            State::Ready,
            State::Unhealthy(text.clone()),
            State::Failed(failure),
            State::Stopping(text),
            State::Asleep(Nap::of(1)),
            State::Stopped,
        ];
        assert_eq!(all.map(|state| state.word()), State::WORDS);
    }
}

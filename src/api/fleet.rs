//! What a new configuration changes about the engines that run here, and how far such a change is.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FailureCause;

/// What changes about the engines of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EngineChange {
    /// Its name.
    pub model: String,
    /// What is done to its engines; the most that any of the changes has done.
    pub action: EngineAction,
    /// Engines that it has then; 0 for one that is removed.
    pub replicas: usize,
    /// That the model cannot be served for a while; `null`: requests go on being served.
    pub away: Option<Away>,
    /// Engines that sleep and go on to: each is replaced when it is woken.
    #[serde(default, skip_serializing_if = "is_none")]
    pub asleep: usize,
    /// What is different, a line each, such as `args.max-model-len: 4096 -> 8192`. Secrets are not shown.
    pub reasons: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// What is done to the engines of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineAction {
    /// They go on, by other settings.
    Updated,
    /// There are more or fewer of them.
    Scaled,
    /// They are replaced, one after the other where that is possible.
    Rolled,
    /// They are started: the model is new.
    Added,
    /// They are drained and ended: the configuration has the model no more.
    Removed,
}

/// A time in which a model cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Away {
    /// About how many seconds; `null`: not known.
    pub seconds: Option<f64>,
}

/// How far the replacement of a model's engines is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RollStatus {
    /// Whether it goes on.
    pub state: RollState,
    /// Engines that are replaced.
    pub done: usize,
    /// Engines that are to be replaced, or were.
    pub total: usize,
    /// Why it stopped, where it failed.
    pub cause: Option<RollFailure>,
}

/// Whether a roll goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RollState {
    /// Engines are being replaced.
    Rolling,
    /// All are.
    Done,
    /// A new engine failed; the others were left as they were.
    Failed,
    /// An operator ended it; the others were left as they were.
    Cancelled,
}

/// Why a roll stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RollFailure {
    /// The new engine that failed.
    pub engine: String,
    /// Why it did.
    pub cause: Option<FailureCause>,
}

impl EngineAction {
    /// One word, as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Updated => "updated",
            Self::Scaled => "scaled",
            Self::Rolled => "rolled",
            Self::Added => "added",
            Self::Removed => "removed",
        }
    }
}

impl EngineChange {
    /// One line: `qwen: rolled (2 replicas); it cannot be served for about 40s`.
    #[must_use]
    pub fn summary(&self) -> String {
        let plural = if self.replicas == 1 { "replica" } else { "replicas" };
        let mut text = format!("{}: {}", self.model, self.action.word());
        if self.action != EngineAction::Removed {
            text += &format!(" ({} {plural})", self.replicas);
        }
        match self.away {
            Some(Away { seconds: Some(seconds) }) => {
                let time = Duration::try_from_secs_f64(seconds.ceil()).unwrap_or_default();
                text += &format!("; it cannot be served for about {}", humantime::format_duration(time));
            }
            Some(Away { seconds: None }) => text += "; it cannot be served while its engine is replaced",
            None => {}
        }
        match self.asleep {
            0 => {}
            1 => text += "; 1 sleeps and is replaced when it is woken",
            count => text += &format!("; {count} sleep and are replaced when they are woken"),
        }
        text
    }
}

impl Display for EngineChange {
    /// The summary, and the reasons below it, indented.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())?;
        self.reasons.iter().try_for_each(|reason| write!(f, "\n  {reason}"))
    }
}

impl Display for RollFailure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, "{} failed: {cause}", self.engine),
            None => write!(f, "{} failed", self.engine),
        }
    }
}

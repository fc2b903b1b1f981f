//! The life of engines: starts those of ours, watches all, stops what it started, and finds again what an earlier
//! supervisor left.
//!
//! Read in this order: `opening` (what was left, what is wanted, who starts when), `yard` and `crew` (where engines are
//! made, those of one model), `launch` (what is run), `process` (the processes of an engine), `life` (what is decided about
//! it, and who does it), `look` (how it is seen), `state` (what is kept for those who come after us), `control` (what
//! operators have it do), `closing` (ends what runs on a state directory from outside).

mod closing;
mod control;
mod crew;
mod launch;
mod life;
mod look;
mod opening;
mod process;
mod state;
mod yard;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use self::closing::{CloseError, Closed, close, processes};
pub use self::control::{Command, Control, ControlError};
use self::crew::Crew;
pub use self::crew::CrewError;
use self::life::stopping::{Farewell, Stopper};
pub use self::opening::StartError;
use self::process::reaper;
use self::state::folder;
use self::state::lock::Lock;
use crate::config::{Config, Engines};
use crate::engines::EngineRegistry;
use crate::ids::EngineId;
use crate::inventory::Monitor;

/// What the supervisor is given by whoever starts it.
#[derive(Clone, Debug)]
pub struct Home {
    /// Where engine logs and records are kept. One supervisor at a time.
    pub state_dir: PathBuf,
    /// This binary, which `command: [enginehouse, …]` means.
    pub own_exe: PathBuf,
}

impl Home {
    /// Makes sure that the state directory can be written and that no other supervisor uses it. It is given back on drop.
    /// Without engines of ours, now or of an earlier configuration, nothing is claimed.
    ///
    /// # Errors
    /// What is wrong, with the remedy; when another gateway has it, its pid.
    pub fn claim(self, config: &Config) -> Result<Claim, StartError> {
        let owns = config.models.iter().any(|model| matches!(model.engines, Engines::Spawn(_)));
        let used = owns || self.state_dir.join("engines").is_dir();
        let lock = if used {
            folder::writable(&self.state_dir.join("logs"))?;
            Some(Lock::take(&self.state_dir)?)
        } else {
            None
        };
        Ok(Claim { home: self, lock })
    }
}

/// A state directory that is ours alone.
#[derive(Debug)]
pub struct Claim {
    home: Home,
    /// `None`: nothing is kept there.
    lock: Option<Lock>,
}

/// How long what engines left behind may take to end after SIGKILL, when all is over.
const STRAYS_WITHIN: Duration = Duration::from_secs(5);

/// Everybody who looks after an engine. Dropped without [`Supervisor::stop`] or [`Supervisor::leave`], engines run on
/// until the runtime ends, and are killed then.
pub struct Supervisor {
    own: Option<Own>,
    guests: Vec<(EngineId, JoinHandle<()>)>,
    stopper: Stopper,
}

/// Everything about engines of ours.
struct Own {
    control: Control,
    crews: Vec<Arc<Crew>>,
    /// Ends what is not wanted any more, then starts engines in their order.
    opening: JoinHandle<()>,
    /// Reaps what engines left behind.
    strays: JoinHandle<()>,
    /// Given back when all is over.
    lock: Lock,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").field("guests", &self.guests.len()).finish_non_exhaustive()
    }
}

impl Supervisor {
    /// Puts the engines of every model into its pool in `registry`, takes over those that an earlier supervisor left, starts
    /// the others of ours on GPUs that `monitor` tells of, and watches all. Returns at once: how each does is told by its state. Call it on a
    /// multi-threaded tokio runtime.
    ///
    /// # Errors
    /// When nothing could be started at all; then nothing was.
    pub async fn start(
        config: &Config,
        registry: &EngineRegistry,
        claim: Claim,
        monitor: Monitor,
    ) -> Result<Self, StartError> {
        opening::open(config, registry, claim, monitor).await
    }

    /// The operators' side; `None` when no engine is ours.
    #[must_use]
    pub fn control(&self) -> Option<Control> {
        self.own.as_ref().map(|own| own.control.clone())
    }

    /// Stops all engines at once: they get no more requests, attempts under way may go on for `drain`, then SIGTERM to
    /// the process group, after `stop_timeout` SIGKILL. Returns when nothing of ours is left.
    pub async fn stop(self, drain: Duration) {
        self.end(Farewell::Stop(Instant::now() + drain)).await;
    }

    /// Leaves all engines running. The next supervisor on the same state directory takes them over.
    pub async fn leave(self) {
        self.end(Farewell::Leave).await;
    }

    async fn end(self, farewell: Farewell) {
        self.stopper.say(farewell);
        let members: Vec<_> = self.own.iter().flat_map(|own| &own.crews).flat_map(|crew| crew.disband()).collect();
        let ours = members.into_iter().map(|member| (member.engine.id.clone(), member.task));
        for (engine, task) in ours.chain(self.guests).collect::<Vec<_>>() {
            if let Err(error) = task.await {
                tracing::error!(%engine, %error, "whoever looked after an engine came to a bad end; the engine was killed");
            }
        }
        let Some(own) = self.own else { return };
        if let Farewell::Stop(_) = farewell {
            // It may still be ending what nobody wanted.
            let _ = own.opening.await;
            for left in reaper::sweep_all(STRAYS_WITHIN).await {
                tracing::error!(process = %left, "it came from an engine and survives SIGKILL");
            }
        } else {
            own.opening.abort();
        }
        own.strays.abort();
        drop(own.lock);
    }
}

//! The life of engines: starts those of ours, watches all, stops what it started, and finds again what an earlier
//! supervisor left.
//!
//! Read in this order: `startup` (what was left, what is wanted, what starts when), `yard` and `crew` (where engines are
//! made, those of one model), `launch` (what is run), `process` (the processes of an engine), `lifecycle` (what is decided
//! about it), `engine` (what does it), `diagnose` (what its log tells), `store` (what is kept for the next gateway),
//! `control` (what operators have it do), `shutdown` (ends what runs on a state directory from outside).

mod control;
mod crew;
mod diagnose;
mod engine;
mod launch;
mod lifecycle;
mod process;
mod shutdown;
mod startup;
mod store;
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

pub use self::control::{Command, Control, ControlError};
use self::crew::Crew;
pub use self::crew::CrewError;
use self::engine::shutdown_signal::{ShutdownMode, ShutdownSender};
use self::process::reaper;
pub use self::shutdown::{ShutdownError, ShutdownReport, processes, shut_down};
pub use self::startup::StartError;
use self::store::folder;
use self::store::lock::Lock;
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
    stopper: ShutdownSender,
}

/// Everything about engines of ours.
struct Own {
    control: Control,
    crews: Vec<Arc<Crew>>,
    /// Ends what is not wanted any more, then starts engines in their order.
    opening: JoinHandle<()>,
    /// Reaps what engines left behind.
    orphans: JoinHandle<()>,
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
        startup::open(config, registry, claim, monitor).await
    }

    /// The operators' side; `None` when no engine is ours.
    #[must_use]
    pub fn control(&self) -> Option<Control> {
        self.own.as_ref().map(|own| own.control.clone())
    }

    /// Stops all engines at once: they get no more requests, attempts under way may go on for `drain`, then SIGTERM to
    /// the process group, after `stop_timeout` SIGKILL. Returns when nothing of ours is left.
    pub async fn stop(self, drain: Duration) {
        self.end(ShutdownMode::Stop(Instant::now() + drain)).await;
    }

    /// Leaves all engines running. The next supervisor on the same state directory takes them over.
    pub async fn leave(self) {
        self.end(ShutdownMode::Leave).await;
    }

    async fn end(self, farewell: ShutdownMode) {
        self.stopper.say(farewell);
        let members: Vec<_> = self.own.iter().flat_map(|own| &own.crews).flat_map(|crew| crew.disband()).collect();
        let ours = members.into_iter().map(|member| (member.engine.id.clone(), member.task));
        for (engine, task) in ours.chain(self.guests).collect::<Vec<_>>() {
            if let Err(error) = task.await {
                tracing::error!(%engine, %error, "whoever looked after an engine came to a bad end; the engine was killed");
            }
        }
        let Some(own) = self.own else { return };
        if let ShutdownMode::Stop(_) = farewell {
            // It may still be ending what nobody wanted.
            let _ = own.opening.await;
            for left in reaper::sweep_all(STRAYS_WITHIN).await {
                tracing::error!(process = %left, "it came from an engine and survives SIGKILL");
            }
        } else {
            own.opening.abort();
        }
        own.orphans.abort();
        drop(own.lock);
    }
}

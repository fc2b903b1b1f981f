//! What the lifecycle of an engine speaks of: phases, events and effects, and what the fleet hears of them.

use std::time::Duration;

use tokio::time::Instant;

use crate::api::{FailureCause, NextStep, Sleep, Starting, StopReason};
use crate::config::Restart;
use crate::engines::EngineState;
use crate::engines::health::{Probe, Thresholds, Vitals};
use crate::supervisor::process::group::Exit;

/// Where in its life an engine is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    /// Nothing runs, and nothing ever did.
    Idle,
    /// GPUs are looked for.
    Placing,
    /// Its process is being made.
    Spawning,
    /// The process runs and was not ready since.
    Loading,
    /// The process runs and was ready.
    Serving(Vitals),
    /// Told to sleep; attempts are still under way.
    DrainingToSleep(Level),
    /// It gives its GPU memory back.
    FallingAsleep(Level),
    /// It sleeps.
    Asleep(Level),
    /// It takes its GPU memory again.
    Waking(Level),
    /// Told to end; attempts are still under way.
    Draining {
        /// What it is in the end.
        end: End,
    },
    /// SIGTERM was sent.
    Terminating {
        /// It was sent a second time: vLLM swallows the first while it loads.
        reminded: bool,
        /// What it is in the end.
        end: End,
    },
    /// SIGKILL was sent.
    Killing {
        /// What it is in the end.
        end: End,
    },
    /// Its process is gone; what that left is ended, and its GPU memory waited for.
    CleaningUp {
        /// What it is in the end.
        end: End,
    },
    /// Nothing runs after a failure; it is started again after a pause.
    BackingOff,
    /// Nothing runs after a failure; it is started again when somebody says so.
    Failed,
    /// Nothing runs, because it was asked to stop.
    Stopped,
}

/// How deep an engine sleeps, as vLLM counts: at 1 its weights are kept in host memory, at 2 they are dropped.
pub(crate) type Level = u8;

/// What an engine is once its process is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was ended because it failed.
    Failed,
    /// It was asked to stop.
    Stopped,
    /// It is started again at once.
    Restart,
}

/// What happens to an engine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// Its process exists already: an earlier gateway left it.
    Adopted {
        /// It was put to sleep.
        asleep: Option<Level>,
    },
    /// It waits for engines of this start order.
    WaitsFor(u32),
    /// It is wanted.
    Start,
    /// It has GPUs, or needs none; or there are none for it: every reason.
    Placed(Result<(), String>),
    /// Its process exists.
    Spawned,
    /// The system refused to make its process; says why.
    SpawnFailed(String),
    /// Its log tells that it has come further.
    Progressed(Starting),
    /// It was probed.
    Probed(Probe),
    /// Its process ended.
    Exited(Exit),
    /// What its process left is gone.
    CleanedUp,
    /// Why it failed is known in full.
    Diagnosed(FailureCause),
    /// [`super::machine::Lifecycle::deadline`] is over.
    Deadline,
    /// It is wanted anew: what runs is ended first.
    Restart,
    /// It is to sleep.
    Sleep(Level),
    /// It sleeps, or does not; says why.
    Slept(Result<Sleep, String>),
    /// It is to wake.
    Wake,
    /// It is awake, or is not; says why.
    Woke(Result<(), String>),
    /// It is wanted no more.
    Stop,
    /// It is to end for good, for this reason.
    Dismiss(StopReason),
    /// The gateway ends; attempts under way may go on until then.
    Shutdown(Instant),
    /// No attempt is under way on it.
    Drained,
    /// Nobody waits any more for what was asked to end.
    Hurry,
}

/// What to do about it, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Say what the engine is doing.
    Publish(EngineState),
    /// Find GPUs; answer with [`Event::Placed`].
    Place,
    /// Make the process; answer with [`Event::Spawned`] or [`Event::SpawnFailed`].
    Spawn,
    /// Say that it failed, with what its log tells of that; answer with [`Event::Diagnosed`].
    Fail {
        /// Why, without a diagnosis.
        cause: FailureCause,
        /// What follows.
        next: NextStep,
    },
    /// Its process is ready for the first time; how long that took, where its start was seen.
    FirstReady(Option<Duration>),
    /// Have it written down that it serves, awake.
    RecordServing,
    /// Have it written down that it sleeps.
    RecordAsleep(Level),
    /// Have it sleep; [`Event::Slept`] follows.
    Sleep(Level),
    /// Have it wake; [`Event::Woke`] follows.
    Wake(Level),
    /// SIGTERM to the process group.
    Term,
    /// SIGKILL to all that came from the process.
    Kill,
    /// End what is left of the process, and wait for its GPU memory; answer with [`Event::CleanedUp`].
    CleanUp,
    /// Give up on a process that SIGKILL does not end; answer with [`Event::CleanedUp`].
    Abandon,
    /// Give its GPUs to whoever wants them.
    ReleaseGpus,
}

/// What is configured of an engine's life. All of it may change while the engine runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// How many probes in a row change our mind.
    pub(crate) thresholds: Thresholds,
    /// When it is started again after a failure; `None`: never.
    pub(crate) restart: Option<Restart>,
    /// From spawn to ready.
    pub(crate) start_timeout: Duration,
    /// From SIGTERM to SIGKILL.
    pub(crate) stop_timeout: Duration,
    /// How long attempts under way may go on when it is told to end.
    pub(crate) drain: Duration,
    /// How long its health checks may fail once it was ready; `None`: for ever.
    pub(crate) stall_timeout: Option<Duration>,
    /// Whether it was started so that it can sleep.
    pub(crate) may_sleep: bool,
}

/// The time of an event, and a random number from 0 up to 1 for what is left to chance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Now.
    pub(crate) now: Instant,
    /// See [`super::backoff::Crashes::crashed`].
    pub(crate) chance: f64,
}

impl Moment {
    /// This one.
    pub(crate) fn now() -> Self {
        Self { now: Instant::now(), chance: fastrand::f64() }
    }
}

/// What the fleet knows of an engine's phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Made, and not started yet.
    Idle,
    /// On its way to be ready, also anew.
    Starting,
    /// Takes requests.
    Ready,
    /// Its health checks fail.
    Unhealthy,
    /// About to sleep.
    FallingAsleep,
    /// Asleep.
    Asleep,
    /// It failed; it may be started again by itself.
    Failed,
    /// Told to stop.
    Stopping,
    /// Stopped.
    Stopped,
}

impl Stage {
    /// Whether it sleeps, or is about to.
    pub(crate) fn sleeps(self) -> bool {
        matches!(self, Self::FallingAsleep | Self::Asleep)
    }
}

impl Phase {
    /// Whether to probe the engine now and then.
    pub(crate) fn is_probed(&self) -> bool {
        matches!(self, Self::Loading | Self::Serving(_))
    }

    /// Whether it takes requests.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self, Self::Serving(Vitals::Up { .. }))
    }

    /// Whether attempts under way are waited for.
    pub(crate) fn is_draining(&self) -> bool {
        matches!(self, Self::Draining { .. } | Self::DrainingToSleep(_))
    }

    /// Whether it has a process that was asked to end, or is about to be.
    pub(crate) fn can_be_hurried(&self) -> bool {
        matches!(self, Self::Draining { .. } | Self::Terminating { .. })
    }

    /// Whether it is stopping or stopped because it was asked to.
    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self, Self::Stopped) || self.end() == Some(End::Stopped)
    }

    /// What it is in the end, where it is about to end.
    pub(crate) fn end(&self) -> Option<End> {
        match self {
            Self::Draining { end }
            | Self::Terminating { end, .. }
            | Self::Killing { end }
            | Self::CleaningUp { end } => Some(*end),
            _ => None,
        }
    }

    /// The same for the fleet.
    pub(crate) fn stage(&self) -> Stage {
        match (self, self.end()) {
            (_, Some(End::Stopped)) => Stage::Stopping,
            (_, Some(End::Failed)) => Stage::Failed,
            (_, Some(End::Restart)) => Stage::Starting,
            (Self::Idle, _) => Stage::Idle,
            (Self::Serving(Vitals::Up { .. }), _) => Stage::Ready,
            (Self::Serving(Vitals::Down { .. }), _) => Stage::Unhealthy,
            (Self::DrainingToSleep(_) | Self::FallingAsleep(_), _) => Stage::FallingAsleep,
            (Self::Serving(Vitals::Resting) | Self::Asleep(_), _) => Stage::Asleep,
            (Self::BackingOff | Self::Failed, _) => Stage::Failed,
            (Self::Stopped, _) => Stage::Stopped,
            _ => Stage::Starting,
        }
    }
}

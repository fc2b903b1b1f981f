//! What the machine of an engine's life speaks of: phases, events and effects.

use crate::api::{Sleep, Stall};
use crate::engines::EngineState;
use crate::engines::health::{Probe, Vitals};
use crate::supervisor::process::group::Exit;

/// Where in its life an engine is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    /// Nothing runs, and nothing ever did.
    Idle,
    /// Its process is being made.
    Spawning,
    /// The process runs and was not ready since.
    Loading,
    /// The process runs and was ready.
    Serving(Vitals),
    /// Told to sleep; attempts are still under way.
    Drowsy(Level),
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
    /// Nothing runs after a failure; it is started again in a moment.
    Resting,
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
    /// It is wanted.
    Start,
    /// Its process exists already: an earlier supervisor left it.
    Adopted {
        /// It was put to sleep.
        asleep: Option<Level>,
    },
    /// Its process exists.
    Spawned,
    /// Its process could not be made; says why.
    SpawnFailed(SpawnError),
    /// Somebody looked at it.
    Probed(Probe),
    /// Its process ended.
    Exited(Exit),
    /// The time last asked for with [`Effect::Wait`] is over.
    Deadline,
    /// It failed, and may be started again after a rest.
    Rest,
    /// It failed too often.
    GiveUp,
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
    /// No attempt is under way on it.
    Drained,
}

/// What to do about it, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Make the process; answer with [`Event::Spawned`] or [`Event::SpawnFailed`].
    Spawn,
    /// Say what the engine is doing.
    Publish(EngineState),
    /// Keep what went wrong for whoever gave the order.
    Note(String),
    /// Say that it failed, with the last lines of its log.
    Fail(Cause),
    /// Answer with [`Event::Rest`] or [`Event::GiveUp`].
    Judge,
    /// Raise [`Event::Deadline`] after this time, instead of any asked for before.
    Wait(Wait),
    /// Raise no deadline.
    NoWait,
    /// Have it sleep; [`Event::Slept`] follows.
    Sleep(Level),
    /// Have it wake; [`Event::Woke`] follows.
    Wake(Level),
    /// SIGTERM to the process group.
    Term,
    /// SIGKILL to the process group.
    Kill,
    /// End what is left of the process group and reap the process.
    Sweep,
    /// Give up on a process that SIGKILL does not end.
    Abandon,
}

/// Why a process could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SpawnError {
    /// The system refused.
    System(String),
    /// There are no GPUs for it; every reason.
    NoGpus(String),
}

/// Why an engine failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its process could not be made.
    Spawn(SpawnError),
    /// Its process ended.
    Exited {
        /// How.
        exit: Exit,
        /// Whether it had never been ready.
        loading: bool,
    },
    /// It was not ready in time.
    NeverReady,
    /// Its health checks failed for too long.
    Unhealthy,
    /// It made no progress for too long.
    Stalled(Stall),
    /// It could not be woken; says why.
    NotWoken(String),
}

/// Times to wait; how long each is, is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// From spawn to ready.
    Ready,
    /// For health checks that fail.
    Recover,
    /// For the attempts under way.
    Drain,
    /// After the first SIGTERM.
    Term,
    /// After the second SIGTERM, to the end of the time a stop may take.
    TermAgain,
    /// After SIGKILL.
    Kill,
    /// Before a failed engine is started again.
    Rest,
}

impl Phase {
    /// Whether to look at the engine now and then.
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self, Self::Loading | Self::Serving(_))
    }

    /// Whether it takes requests and must make progress with them.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self, Self::Serving(Vitals::Up { .. }))
    }

    /// Whether attempts under way are waited for.
    pub(crate) fn is_draining(&self) -> bool {
        matches!(self, Self::Draining { .. } | Self::Drowsy(_))
    }

    /// Whether it is stopping or stopped because it was asked to.
    pub(crate) fn is_stopping(&self) -> bool {
        matches!(
            self,
            Self::Draining { end: End::Stopped }
                | Self::Terminating { end: End::Stopped, .. }
                | Self::Killing { end: End::Stopped }
                | Self::Stopped
        )
    }
}

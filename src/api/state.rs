//! The states of an engine, structured: what it does, how far it is, what is wrong. Sentences are made by `text`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an engine is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum EngineState {
    /// Started or discovered, and not ready since.
    Starting(Starting),
    /// Takes requests.
    Ready,
    /// Was ready, or should be: its health checks fail.
    Unhealthy {
        /// What is wrong.
        problem: HealthProblem,
    },
    /// Ended, or never became ready.
    Failed(Failure),
    /// Finishes what it has and gets nothing new.
    Stopping {
        /// What for.
        reason: StopReason,
    },
    /// Sleeps: its process runs, its GPU memory is free.
    Asleep(Sleep),
    /// Not running.
    Stopped,
}

/// How far a start is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Starting {
    /// What the engine does at the moment.
    pub phase: StartPhase,
    /// How much of that is done.
    #[serde(flatten)]
    pub progress: Progress,
    /// The `start_order` of the engines that a waiting one waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<u32>,
    /// What its last health check said, where nothing better is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<HealthProblem>,
    /// Why it failed before this start, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_failure: Option<FailureCause>,
    /// How often it failed since it was last ready.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
}

/// How much of a phase is done, as far as the engine's log tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Parts (shards, files, graphs) that are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// Parts in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// What the phase came to: seconds for weights, tokens for the KV cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<f64>,
}

/// What a starting engine does. From `Initializing` on in the order in which vLLM does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartPhase {
    /// It was just configured or discovered; nobody has looked at it yet.
    Unknown,
    /// It waits for engines with a lower `start_order`.
    Waiting,
    /// Its process is being started.
    Spawning,
    /// Its process was found running and taken over; it has not answered yet.
    Adopted,
    /// Its process runs; it has not answered yet.
    Launched,
    /// It takes its GPU memory again.
    Waking,
    /// It was told to sleep and did not.
    SleepRefused,
    /// Its program is imported and its flags are read.
    Initializing,
    /// The model's configuration was read.
    Configured,
    /// The engine core's own process comes up.
    EngineCore,
    /// The model is built, without weights.
    BuildingModel,
    /// Weights come from a hub.
    DownloadingWeights,
    /// Weights come from the disk.
    LoadingWeights,
    /// Weights are there.
    WeightsLoaded,
    /// The model is compiled.
    Compiling,
    /// Its memory is measured.
    MeasuringMemory,
    /// The KV cache is made.
    KvCache,
    /// Kernels are made and tried.
    WarmingUp,
    /// CUDA graphs are recorded.
    CapturingGraphs,
    /// The engine core is done.
    EngineCoreReady,
    /// The HTTP server comes up.
    StartingHttpServer,
}

/// Why an engine takes no requests although it should.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HealthProblem {
    /// Its host name has no address.
    Unresolved {
        /// The host name.
        host: String,
        /// What the look-up said.
        why: String,
    },
    /// It gave no whole answer.
    NoAnswer {
        /// What was asked: `GET /health`.
        request: String,
        /// What happened to the connection.
        why: String,
    },
    /// Nothing listens at its port: it has closed it, or has not opened it.
    Refused {
        /// What was asked.
        request: String,
    },
    /// It answered with an error.
    BadStatus {
        /// What was asked.
        request: String,
        /// HTTP status.
        status: u16,
    },
    /// It refuses the configured key.
    KeyRefused {
        /// HTTP status: 401 or 403.
        status: u16,
    },
    /// It serves other models than the configured one.
    WrongModel {
        /// The name that is wanted.
        wanted: String,
        /// What it lists at `/v1/models`.
        serves: Vec<String>,
    },
    /// Nothing tells under which name it serves the model.
    NameUnknown {
        /// Whether it has a list of models at all.
        lists_models: bool,
    },
    /// The configured health check cannot be sent.
    BadHealthPath {
        /// `health.path`.
        path: String,
    },
    /// It answers, but its requests make no progress.
    Stalled(Stall),
    /// It was paused by somebody else (vLLM's `POST /pause`), and goes on when that one resumes it.
    Paused,
}

/// Requests that make no progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stall {
    /// How many.
    pub requests: u64,
    /// For how long.
    pub seconds: u64,
}

/// A failure, its traces and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Why.
    pub cause: FailureCause,
    /// The last lines of the engine's log, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// What happens next.
    pub next: NextStep,
}

/// Why an engine failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FailureCause {
    /// Its process could not be started.
    NotStarted {
        /// What the system said.
        why: String,
    },
    /// There are no GPUs for it.
    NoGpus {
        /// Every reason.
        why: String,
    },
    /// Its process ended by itself.
    Exited {
        /// Exit code.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
        /// Whether it had never been ready.
        loading: bool,
        /// What its log says of the reason.
        diagnosis: Option<Diagnosis>,
    },
    /// It was not ready in time.
    StartTimeout {
        /// `start_timeout`.
        seconds: f64,
        /// How far it had come.
        reached: Option<Box<Starting>>,
        /// What its log says of the reason.
        diagnosis: Option<Diagnosis>,
    },
    /// Its health checks kept failing.
    Unhealthy,
    /// It answered, but its requests made no progress.
    Stalled(Stall),
    /// It could not be woken.
    NotWoken {
        /// What it said.
        why: String,
    },
}

/// What a log says of a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// What it means and what to do; `None`: it is not a known one.
    pub advice: Option<String>,
    /// The engine's own words.
    pub said: Option<String>,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NextStep {
    /// It is started again.
    Restart {
        /// After so many seconds.
        seconds: f64,
    },
    /// It failed too often and stays down until somebody acts.
    CrashLoop {
        /// Failures that speak for it.
        crashes: usize,
        /// Seconds from the first to the last of them.
        seconds: f64,
    },
    /// It is never started again by itself (`restart: off`).
    NoRestart,
}

/// What an engine is stopping for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// It was told to stop.
    Stop,
    /// It is about to be restarted.
    Restart,
    /// It is about to sleep.
    Sleep,
    /// It gives its GPUs back: another model needs them, or nobody uses it.
    Unload,
    /// The gateway ends.
    GatewayExit,
    /// The configuration does not have it any more.
    Removed,
}

/// A sleep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sleep {
    /// How deep, as vLLM counts: at 1 its weights are kept in host memory, at 2 they are dropped and loaded again. `None` where
    /// somebody else put it to sleep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// How long it took to fall asleep; `None` where that is not known.
    pub took_seconds: Option<f64>,
    /// Bytes of GPU memory given back, as the engine said.
    pub freed_bytes: Option<u64>,
    /// Bytes of GPU memory still in use, as the engine said.
    pub in_use_bytes: Option<u64>,
}

impl Sleep {
    /// A sleep of which nothing else is known.
    #[must_use]
    pub fn of(level: u8) -> Self {
        Self { level: Some(level), ..Self::default() }
    }
}

impl Starting {
    /// A start that is in `phase`, of which nothing else is known.
    #[must_use]
    pub fn at(phase: StartPhase) -> Self {
        Self {
            phase,
            progress: Progress::default(),
            waits_for: None,
            problem: None,
            previous_failure: None,
            failures: 0,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl EngineState {
    /// All that [`EngineState::word`] can be.
    pub const WORDS: [&'static str; 7] = ["starting", "ready", "unhealthy", "failed", "stopping", "asleep", "stopped"];

    /// A start that is in `phase`.
    #[must_use]
    pub fn starting(phase: StartPhase) -> Self {
        Self::Starting(Starting::at(phase))
    }

    /// One word, for labels and tables.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting(_) => "starting",
            Self::Ready => "ready",
            Self::Unhealthy { .. } => "unhealthy",
            Self::Failed(_) => "failed",
            Self::Stopping { .. } => "stopping",
            Self::Asleep(_) => "asleep",
            Self::Stopped => "stopped",
        }
    }
}

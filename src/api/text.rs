//! The sentences of states, for people: logs, error messages, tables.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::state::{
    Diagnosis, EngineState, Failure, FailureCause, HealthProblem, NextStep, Progress, Stall, StartPhase, Starting,
    StopReason,
};

impl EngineState {
    /// What there is to say beyond the word.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Starting(starting) => Some(starting.to_string()),
            Self::Unhealthy { problem } => Some(problem.to_string()),
            Self::Failed(failure) => Some(failure.cause.to_string()),
            Self::Stopping { reason } => Some(reason.to_string()),
            Self::Ready | Self::Asleep(_) | Self::Stopped => None,
        }
    }
}

impl Display for Starting {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.phase, &self.problem) {
            (StartPhase::Launched | StartPhase::Adopted, Some(problem)) => {
                write!(f, "the process runs; not ready yet: {problem}")?;
            }
            (StartPhase::Unknown | StartPhase::SleepRefused, Some(problem)) => problem.fmt(f)?,
            (phase, _) => phase_text(phase, self.progress, f)?,
        }
        if let Some(order) = self.waits_for {
            write!(f, " of start_order {order}")?;
        }
        match (&self.previous_failure, self.failures) {
            (Some(cause), 0 | 1) => write!(f, "; before: {cause}"),
            (Some(cause), failures) => write!(f, "; it failed {failures} times before, last: {cause}"),
            (None, _) => Ok(()),
        }
    }
}

fn phase_text(phase: StartPhase, progress: Progress, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_str(match (phase, progress.result) {
        (StartPhase::Unknown, _) => "not asked yet",
        (StartPhase::Waiting, _) => "it waits for other engines",
        (StartPhase::Spawning, _) => "the process is being started",
        (StartPhase::Adopted, _) => "the process was found running; it has not answered yet",
        (StartPhase::Launched, _) => "the process runs; it has not answered yet",
        (StartPhase::Waking, _) => "it wakes up",
        (StartPhase::SleepRefused, _) => "it did not fall asleep",
        (StartPhase::Initializing, _) => "starting",
        (StartPhase::Configured, _) => "model configuration read",
        (StartPhase::EngineCore, _) => "starting the engine core",
        (StartPhase::BuildingModel, _) => "building the model",
        (StartPhase::DownloadingWeights, Some(seconds)) => return write!(f, "weights downloaded in {seconds:.0} s"),
        (StartPhase::DownloadingWeights, None) => "downloading weights",
        (StartPhase::LoadingWeights, _) => "loading weights",
        (StartPhase::WeightsLoaded, Some(seconds)) if seconds >= 10.0 => {
            return write!(f, "weights loaded in {seconds:.0} s");
        }
        (StartPhase::WeightsLoaded, Some(seconds)) => return write!(f, "weights loaded in {seconds:.1} s"),
        (StartPhase::WeightsLoaded, None) => "weights loaded",
        (StartPhase::Compiling, _) => "compiling",
        (StartPhase::MeasuringMemory, _) => "measuring memory",
        (StartPhase::KvCache, Some(tokens)) => return write!(f, "KV cache of {tokens:.0} tokens made"),
        (StartPhase::KvCache, None) => "making the KV cache",
        (StartPhase::WarmingUp, _) => "warming up",
        (StartPhase::CapturingGraphs, _) => "capturing CUDA graphs",
        (StartPhase::EngineCoreReady, _) => "engine core ready",
        (StartPhase::StartingHttpServer, _) => "starting its HTTP server",
    })?;
    let parts = match phase {
        StartPhase::LoadingWeights => " shards",
        StartPhase::DownloadingWeights => " files",
        _ => "",
    };
    match (progress.percent, progress.done, progress.total) {
        (None, ..) => Ok(()),
        (Some(percent), Some(done), Some(total)) => write!(f, ": {percent} % ({done} of {total}{parts})"),
        (Some(percent), ..) => write!(f, ": {percent} %"),
    }
}

impl Display for HealthProblem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved { host, why } => write!(f, "its host name `{host}` cannot be looked up: {why}"),
            Self::NoAnswer { request, why } => write!(f, "{request}: {why}"),
            Self::Refused { request } => write!(f, "{request}: connection refused"),
            Self::BadStatus { request, status } => write!(f, "{request}: it answered {status}"),
            Self::KeyRefused { status } => {
                write!(f, "it refuses our key (GET /v1/models: {status}); set `api_key` of this model")
            }
            Self::WrongModel { wanted, serves } => wrong_model(wanted, serves, f),
            Self::NameUnknown { lists_models: true } => {
                f.write_str("it lists no model at /v1/models; set `served_name` if it serves one")
            }
            Self::NameUnknown { lists_models: false } => {
                f.write_str("it has no /v1/models to ask for the model's name; set `served_name`")
            }
            Self::BadHealthPath { path } => write!(f, "`{path}` is no path that can be asked; correct `health.path`"),
            Self::Stalled(stall) => stall.fmt(f),
            Self::Paused => f.write_str("somebody else paused it (POST /pause); it serves again after POST /resume"),
        }
    }
}

fn wrong_model(wanted: &str, serves: &[String], f: &mut Formatter<'_>) -> fmt::Result {
    let Some(first) = serves.first() else {
        return write!(f, "it serves no model, and `{wanted}` is wanted; set `served_name` or another address");
    };
    let shown: Vec<_> = serves.iter().take(4).map(|id| format!("`{id}`")).collect();
    write!(f, "it serves {}, not `{wanted}`; set `served_name: {first}`", shown.join(", "))
}

impl Display for Stall {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (requests, verb) = if self.requests == 1 { ("request", "makes") } else { ("requests", "make") };
        let lasted = humantime::format_duration(Duration::from_secs(self.seconds));
        write!(f, "it answers, but its {} {requests} {verb} no progress for {lasted}", self.requests)
    }
}

impl Display for FailureCause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { why } => write!(f, "the process could not be started: {why}"),
            Self::NoGpus { why } => write!(f, "there are no GPUs for it: {why}"),
            Self::Exited { code, signal, loading, diagnosis } => {
                let when = if *loading { "ended while loading" } else { "died while serving" };
                write!(f, "the process {when} ({})", ending(*code, *signal))?;
                match (diagnosis, signal.and_then(signal_meaning)) {
                    (Some(diagnosis), _) => write!(f, ": {diagnosis}"),
                    (None, Some(meaning)) => write!(f, ": {meaning}"),
                    (None, None) => Ok(()),
                }
            }
            Self::StartTimeout { seconds, reached, diagnosis } => {
                write!(f, "not ready within {}", humantime::format_duration(duration(*seconds)))?;
                if let Some(reached) = reached {
                    write!(f, " ({reached})")?;
                }
                match diagnosis {
                    Some(diagnosis) => write!(f, ": {diagnosis}"),
                    None => f.write_str(": raise `start_timeout` if it was still loading"),
                }
            }
            Self::Unhealthy => f.write_str("its health checks kept failing; it was ended"),
            Self::Stalled(stall) => write!(f, "{stall}; it was ended"),
            Self::NotWoken { why } => write!(f, "it could not be woken ({why}); it was ended"),
        }
    }
}

impl Display for Diagnosis {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (&self.advice, &self.said) {
            (Some(advice), Some(said)) => write!(f, "{advice} (it said: {said})"),
            (Some(text), None) | (None, Some(text)) => f.write_str(text),
            (None, None) => f.write_str("its log does not say why"),
        }
    }
}

impl Display for NextStep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restart { seconds } => {
                let pause = Duration::from_millis(u64::try_from(duration(*seconds).as_millis()).unwrap_or(u64::MAX));
                write!(f, "It is started again in {}.", humantime::format_duration(pause))
            }
            Self::CrashLoop { crashes, seconds } => {
                let within = humantime::format_duration(Duration::from_secs(duration(*seconds).as_secs().max(1)));
                write!(
                    f,
                    "It failed {crashes} times within {within} and stays down: correct the cause, then restart it."
                )
            }
            Self::NoRestart => f.write_str("It stays down until it is restarted (`restart: off`)."),
        }
    }
}

impl Failure {
    /// The cause and what happens next.
    #[must_use]
    pub fn brief(&self) -> String {
        format!("{}. {}", self.cause.to_string().trim_end_matches('.'), self.next)
    }
}

impl Display for Failure {
    /// The cause, what happens next and the last log lines.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.brief())?;
        if !self.log.is_empty() {
            write!(f, "\nLast log lines:\n{}", self.log.join("\n"))?;
        }
        Ok(())
    }
}

impl Display for StopReason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stop => "it was asked to stop",
            Self::Restart => "it is about to be restarted",
            Self::Sleep => "it is about to sleep and finishes what it has",
            Self::Unload => "it gives its GPUs back and finishes what it has",
            Self::GatewayExit => "the gateway is shutting down",
            Self::Removed => "the configuration does not have it any more",
        })
    }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn ending(code: Option<i32>, signal: Option<i32>) -> String {
    match (code, signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => match signal_name(signal) {
            Some(name) => format!("signal {signal}, {name}"),
            None => format!("signal {signal}"),
        },
        (None, None) => "how is not known".to_owned(),
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        _ => return None,
    })
}

/// What the signals that need an explanation usually mean, where the gateway did not send them itself.
fn signal_meaning(signal: i32) -> Option<&'static str> {
    Some(match signal {
        4 => "its build uses instructions that this CPU does not have",
        7 => "shared memory may be full; make /dev/shm larger",
        9 => "somebody killed it, perhaps the kernel because the host's memory was full (see `dmesg`)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Sleep;

    #[test]
    fn every_word_is_known_and_round_trips_through_json() {
        let failure = Failure {
            cause: FailureCause::Exited { code: None, signal: Some(9), loading: false, diagnosis: None },
            log: vec!["line".into()],
            next: NextStep::Restart { seconds: 1.5 },
        };
        let all = [
            EngineState::starting(StartPhase::Launched),
            EngineState::Ready,
            EngineState::Unhealthy { problem: HealthProblem::KeyRefused { status: 401 } },
            EngineState::Failed(failure),
            EngineState::Stopping { reason: StopReason::Sleep },
            EngineState::Asleep(Sleep::of(1)),
            EngineState::Stopped,
        ];
        for state in &all {
            let json = serde_json::to_value(state).expect("JSON");
            assert_eq!(json["state"], state.word());
            assert_eq!(&serde_json::from_value::<EngineState>(json).expect("a state"), state);
        }
        assert_eq!(all.map(|state| state.word()), EngineState::WORDS);
    }

    #[test]
    fn progress_is_told_with_its_parts() {
        let at = |phase, percent, done, total, result| {
            let progress = Progress { percent, done, total, result };
            Starting { progress, ..Starting::at(phase) }.to_string()
        };
        assert_eq!(
            at(StartPhase::LoadingWeights, Some(50), Some(2), Some(4), None),
            "loading weights: 50 % (2 of 4 shards)"
        );
        assert_eq!(
            at(StartPhase::CapturingGraphs, Some(34), Some(12), Some(35), None),
            "capturing CUDA graphs: 34 % (12 of 35)"
        );
        assert_eq!(at(StartPhase::DownloadingWeights, Some(1), None, None, None), "downloading weights: 1 %");
        assert_eq!(at(StartPhase::WeightsLoaded, None, None, None, Some(2.31)), "weights loaded in 2.3 s");
        assert_eq!(at(StartPhase::KvCache, None, None, None, Some(8192.0)), "KV cache of 8192 tokens made");
    }

    #[test]
    fn failures_say_what_happened_and_what_follows() {
        let exited =
            |signal| FailureCause::Exited { code: None, signal: Some(signal), loading: false, diagnosis: None };
        assert!(
            exited(9).to_string().starts_with("the process died while serving (signal 9, SIGKILL): somebody killed it")
        );
        assert_eq!(exited(15).to_string(), "the process died while serving (signal 15, SIGTERM)");
        let failure = Failure { cause: exited(15), log: vec![], next: NextStep::Restart { seconds: 1.0 } };
        assert_eq!(
            failure.to_string(),
            "the process died while serving (signal 15, SIGTERM). It is started again in 1s."
        );
        let looping = NextStep::CrashLoop { crashes: 5, seconds: 0.2 };
        assert!(looping.to_string().starts_with("It failed 5 times within 1s and stays down"));
        let stall = Stall { requests: 2, seconds: 90 };
        assert_eq!(stall.to_string(), "it answers, but its 2 requests make no progress for 1m 30s");
    }
}

//! One word for each cause of a failure, each phase of a start, and where a model that is loaded on demand is: labels of metrics, and keys of counts.

use super::{FailureCause, StartPhase, Turn};

impl FailureCause {
    /// All that [`FailureCause::word`] can be.
    pub const WORDS: [&'static str; 8] = [
        "not_started",
        "no_gpus",
        "exited",
        "exited_while_loading",
        "start_timeout",
        "unhealthy",
        "stalled",
        "not_woken",
    ];

    /// One word: its `kind`, but for a process that ended before it was ready.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotStarted { .. } => "not_started",
            Self::NoGpus { .. } => "no_gpus",
            Self::Exited { loading: false, .. } => "exited",
            Self::Exited { loading: true, .. } => "exited_while_loading",
            Self::StartTimeout { .. } => "start_timeout",
            Self::Unhealthy => "unhealthy",
            Self::Stalled(_) => "stalled",
            Self::NotWoken { .. } => "not_woken",
        }
    }
}

impl Turn {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Stopped, Self::NotLoaded, Self::Asleep, Self::Next, Self::Loaded];

    /// One word, as it is written in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::NotLoaded => "not_loaded",
            Self::Asleep => "asleep",
            Self::Next => "next",
            Self::Loaded => "loaded",
        }
    }
}

impl StartPhase {
    /// One word, as it is written in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Waiting => "waiting",
            Self::Spawning => "spawning",
            Self::Adopted => "adopted",
            Self::Launched => "launched",
            Self::Waking => "waking",
            Self::SleepRefused => "sleep_refused",
            Self::Initializing => "initializing",
            Self::Configured => "configured",
            Self::EngineCore => "engine_core",
            Self::BuildingModel => "building_model",
            Self::DownloadingWeights => "downloading_weights",
            Self::LoadingWeights => "loading_weights",
            Self::WeightsLoaded => "weights_loaded",
            Self::Compiling => "compiling",
            Self::MeasuringMemory => "measuring_memory",
            Self::KvCache => "kv_cache",
            Self::WarmingUp => "warming_up",
            Self::CapturingGraphs => "capturing_graphs",
            Self::EngineCoreReady => "engine_core_ready",
            Self::StartingHttpServer => "starting_http_server",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::Stall;

    #[test]
    fn words_are_those_of_json() {
        let schema = serde_json::to_value(schemars::schema_for!(StartPhase)).expect("JSON");
        let phases: Vec<Value> =
            schema["oneOf"].as_array().expect("a list").iter().map(|one| one["const"].clone()).collect();
        assert!(phases.len() > 20, "{schema}");
        for phase in phases {
            let parsed: StartPhase = serde_json::from_value(phase.clone()).expect("a phase");
            assert_eq!(json!(parsed.word()), phase);
        }
        let exited = |loading| FailureCause::Exited { code: None, signal: None, loading, diagnosis: None };
        let why = String::new;
        let all = [
            FailureCause::NotStarted { why: why() },
            FailureCause::NoGpus { why: why() },
            exited(false),
            exited(true),
            FailureCause::StartTimeout { seconds: 1.0, reached: None, diagnosis: None },
            FailureCause::Unhealthy,
            FailureCause::Stalled(Stall { requests: 1, seconds: 1 }),
            FailureCause::NotWoken { why: why() },
        ];
        assert_eq!(all.each_ref().map(FailureCause::word), FailureCause::WORDS);
        for cause in all {
            let kind = serde_json::to_value(&cause).expect("JSON")["kind"].clone();
            assert!(cause.word().starts_with(kind.as_str().expect("text")), "{cause:?}");
        }
    }
}

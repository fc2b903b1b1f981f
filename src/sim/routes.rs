//! What each path leads to, and which of them an engine has.

use super::flags::Settings;
use crate::openai::{Endpoint, StoredResponse};

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Infer(Endpoint),
    /// SageMaker's: whatever the body looks like, without a key.
    Invocations,
    Health,
    Ping,
    Version,
    /// FastAPI's description of the routes.
    Description,
    Load,
    Metrics,
    Models,
    KvEventSources,
    StoredResponse,
    CancelResponse,
    LoadLora,
    UnloadLora,
    Sleep,
    WakeUp,
    IsSleeping,
    Pause,
    Resume,
    IsPaused,
    ResetCache,
    CollectiveRpc,
    ServerInfo,
    LastRequest,
    Stats,
    PlanFault,
}

/// What an engine was told that has a route.
#[derive(Clone, Copy)]
enum Needs {
    Nothing,
    RuntimeLora,
    DevMode,
}

/// The paths that are no inference endpoint's, in vLLM's order: what each leads to, and its methods, as in the header `Allow`.
const PATHS: [(&str, Route, &str, Needs); 23] = [
    ("/load", Route::Load, "GET", Needs::Nothing),
    ("/openapi.json", Route::Description, "GET", Needs::Nothing),
    ("/version", Route::Version, "GET", Needs::Nothing),
    ("/kv_event_sources", Route::KvEventSources, "GET", Needs::Nothing),
    ("/health", Route::Health, "GET", Needs::Nothing),
    ("/metrics", Route::Metrics, "GET", Needs::Nothing),
    ("/v1/models", Route::Models, "GET", Needs::Nothing),
    ("/ping", Route::Ping, "GET, POST", Needs::Nothing),
    ("/invocations", Route::Invocations, "POST", Needs::Nothing),
    ("/v1/load_lora_adapter", Route::LoadLora, "POST", Needs::RuntimeLora),
    ("/v1/unload_lora_adapter", Route::UnloadLora, "POST", Needs::RuntimeLora),
    ("/reset_prefix_cache", Route::ResetCache, "POST", Needs::DevMode),
    ("/collective_rpc", Route::CollectiveRpc, "POST", Needs::DevMode),
    ("/server_info", Route::ServerInfo, "GET", Needs::DevMode),
    ("/sleep", Route::Sleep, "POST", Needs::DevMode),
    ("/wake_up", Route::WakeUp, "POST", Needs::DevMode),
    ("/is_sleeping", Route::IsSleeping, "GET", Needs::DevMode),
    ("/pause", Route::Pause, "POST", Needs::DevMode),
    ("/resume", Route::Resume, "POST", Needs::DevMode),
    ("/is_paused", Route::IsPaused, "GET", Needs::DevMode),
    ("/sim/last_request", Route::LastRequest, "GET", Needs::Nothing),
    ("/sim/stats", Route::Stats, "GET", Needs::Nothing),
    ("/sim/fault", Route::PlanFault, "POST", Needs::Nothing),
];

/// The routes of vLLM's that an engine has, as vLLM logs them: paths and methods.
pub(super) fn served(settings: &Settings) -> impl Iterator<Item = (&'static str, &'static str)> {
    let paths = PATHS.iter().map(|(path, ..)| *path).filter(|path| !path.starts_with("/sim/"));
    let paths = paths.chain(Endpoint::ALL.into_iter().map(Endpoint::path));
    paths.filter_map(|path| Some((path, find(path, settings)?.1)))
}

/// What `path` leads to and its methods; `None` when an engine with these settings does not have it.
pub(super) fn find(path: &str, settings: &Settings) -> Option<(Route, &'static str)> {
    if let Some(endpoint) = Endpoint::find(path) {
        return is_served(endpoint, settings).then_some((Route::Infer(endpoint), "POST"));
    }
    if let Some(stored) = StoredResponse::find(path).filter(|_| settings.generates) {
        let route = if stored.cancel { Route::CancelResponse } else { Route::StoredResponse };
        return Some((route, stored.method()));
    }
    let (_, route, methods, needs) = PATHS.iter().find(|(known, ..)| *known == path)?;
    let has = match needs {
        Needs::Nothing => true,
        Needs::RuntimeLora => settings.runtime_lora,
        Needs::DevMode => settings.dev_mode,
    };
    has.then_some((*route, *methods))
}

fn is_served(endpoint: Endpoint, settings: &Settings) -> bool {
    use Endpoint as E;
    match endpoint {
        E::Tokenize | E::Detokenize => true,
        E::ChatCompletions
        | E::ChatBatch
        | E::GenerativeScoring
        | E::Completions
        | E::Responses
        | E::Messages
        | E::CountTokens => settings.generates,
        // A text model hears nothing; a simulation that does everything also pretends to hear.
        E::Transcriptions | E::Translations => settings.generates && settings.pools,
        E::Embeddings
        | E::EmbedV2
        | E::Rerank
        | E::RerankV1
        | E::RerankV2
        | E::Score
        | E::ScoreV1
        | E::Classify
        | E::Pooling => settings.pools,
    }
}

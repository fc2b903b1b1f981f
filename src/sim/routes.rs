//! What each path leads to, and which of them an engine has.

use super::flags::Settings;
use crate::openai::Endpoint;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Infer(Endpoint),
    /// SageMaker's: whatever the body looks like, without a key.
    Invocations,
    Health,
    Ping,
    Version,
    Load,
    Metrics,
    Models,
    KvEventSources,
    StoredResponse,
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

/// The routes that an engine has, as vLLM logs them.
pub(super) fn served(settings: &Settings) -> Vec<(String, &'static str)> {
    let fixed = [
        "/load",
        "/version",
        "/kv_event_sources",
        "/health",
        "/metrics",
        "/v1/models",
        "/ping",
        "/invocations",
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/reset_prefix_cache",
        "/collective_rpc",
        "/server_info",
        "/sleep",
        "/wake_up",
        "/is_sleeping",
        "/pause",
        "/resume",
        "/is_paused",
    ];
    let paths = fixed.into_iter().chain(Endpoint::ALL.into_iter().map(Endpoint::path));
    paths
        .filter_map(|path| Some((path, find(path, settings)?)))
        .map(|(path, route)| (path.to_owned(), methods(route)))
        .collect()
}

/// What `path` leads to; `None` when an engine with these settings does not have it.
pub(super) fn find(path: &str, settings: &Settings) -> Option<Route> {
    if let Some(endpoint) = Endpoint::find(path) {
        return is_served(endpoint, settings).then_some(Route::Infer(endpoint));
    }
    let route = match path {
        "/invocations" => Route::Invocations,
        "/health" => Route::Health,
        "/ping" => Route::Ping,
        "/version" => Route::Version,
        "/load" => Route::Load,
        "/metrics" => Route::Metrics,
        "/v1/models" => Route::Models,
        "/kv_event_sources" => Route::KvEventSources,
        "/v1/load_lora_adapter" if settings.runtime_lora => Route::LoadLora,
        "/v1/unload_lora_adapter" if settings.runtime_lora => Route::UnloadLora,
        "/sleep" if settings.dev_mode => Route::Sleep,
        "/wake_up" if settings.dev_mode => Route::WakeUp,
        "/is_sleeping" if settings.dev_mode => Route::IsSleeping,
        "/pause" if settings.dev_mode => Route::Pause,
        "/resume" if settings.dev_mode => Route::Resume,
        "/is_paused" if settings.dev_mode => Route::IsPaused,
        "/reset_prefix_cache" if settings.dev_mode => Route::ResetCache,
        "/collective_rpc" if settings.dev_mode => Route::CollectiveRpc,
        "/server_info" if settings.dev_mode => Route::ServerInfo,
        "/sim/last_request" => Route::LastRequest,
        "/sim/stats" => Route::Stats,
        "/sim/fault" => Route::PlanFault,
        _ if settings.generates && path.strip_prefix("/v1/responses/").is_some_and(|id| !id.contains('/')) => {
            Route::StoredResponse
        }
        _ => return None,
    };
    Some(route)
}

fn is_served(endpoint: Endpoint, settings: &Settings) -> bool {
    use Endpoint as E;
    match endpoint {
        E::Tokenize | E::Detokenize => true,
        E::ChatCompletions | E::Completions | E::Responses | E::Messages | E::CountTokens => settings.generates,
        // A text model hears nothing; a simulation that does everything also pretends to hear.
        E::Transcriptions | E::Translations => settings.generates && settings.pools,
        E::Embeddings | E::Rerank | E::RerankV1 | E::RerankV2 | E::Score | E::ScoreV1 | E::Classify | E::Pooling => {
            settings.pools
        }
    }
}

/// Methods that a route takes, as in the header `Allow`.
pub(super) fn methods(route: Route) -> &'static str {
    match route {
        Route::Health
        | Route::Version
        | Route::Load
        | Route::Metrics
        | Route::Models
        | Route::KvEventSources
        | Route::StoredResponse
        | Route::IsSleeping
        | Route::IsPaused
        | Route::ServerInfo
        | Route::LastRequest
        | Route::Stats => "GET",
        Route::Ping => "GET, POST",
        _ => "POST",
    }
}

//! `router_settings`, `litellm_settings` and `general_settings` to those of the gateway, and what has no equivalent.

use serde_json::{Map, Value, json};

use super::super::document::Section;
use super::super::draft::Draft;
use super::super::secret::only_variable;
use super::super::values::{map, text, texts, whole};
use super::fallbacks::Fallbacks;

/// Blocks at the top of a file.
const BLOCKS: &[&str] = &[
    "model_list",
    "router_settings",
    "litellm_settings",
    "general_settings",
    "environment_variables",
    "credential_list",
];

/// Keys that are read.
const READ: &[&str] = &[
    "fallbacks",
    "context_window_fallbacks",
    "content_policy_fallbacks",
    "default_fallbacks",
    "routing_strategy",
    "model_group_alias",
    "num_retries",
    "timeout",
    "request_timeout",
    "master_key",
    "set_verbose",
    "json_logs",
    "enable_pre_call_checks",
];

/// Longest time: seconds.
const YEAR: f64 = 365.0 * 24.0 * 3600.0;

/// Most retries of one request.
const MOST_RETRIES: u64 = 99;

/// What the settings say about models.
#[derive(Default)]
pub(super) struct Router {
    /// Who is tried after whom.
    pub(super) fallbacks: Fallbacks,
    /// Further names of groups: name, group, whether it is hidden.
    pub(super) aliases: Vec<(String, String, bool)>,
    /// Whether engines are chosen at random.
    pub(super) random: bool,
}

impl Router {
    /// The group that a name stands for: another one for an alias of a group.
    pub(super) fn group_of<'a>(&'a self, name: &'a str) -> &'a str {
        self.aliases.iter().find(|(alias, ..)| alias == name).map_or(name, |(_, group, _)| group)
    }
}

/// Writes them to the top.
pub(super) fn settings(all: &Map<String, Value>, draft: &mut Draft) -> Router {
    let (mut top, mut router) = (Section::default(), Router::default());
    let blocks = ["router_settings", "litellm_settings", "general_settings"];
    top.comment(
        "LiteLLM listens on port 4000, unless its command line says otherwise: change the base URL of \
        clients, or write `listen: 0.0.0.0:4000`.",
    );
    for place in blocks {
        let block = map(all, place);
        router.fallbacks.take(place, block, draft, &mut top);
        for (key, value) in block.iter().filter(|(key, value)| !READ.contains(&key.as_str()) && !value.is_null()) {
            left(draft, &format!("{place}.{key}"), key, value, &mut top);
        }
    }
    strategy(map(all, "router_settings"), draft, &mut router, &mut top);
    aliases(map(all, "router_settings"), draft, &mut router, &mut top);
    times(all, draft, &mut top);
    log(map(all, "litellm_settings"), &mut top);
    caller(map(all, "general_settings"), draft, &mut top);
    for variable in map(all, "environment_variables").keys() {
        draft.notes.say(
            &mut top,
            &format!("environment_variables.{variable}"),
            "was left out: set the variable in the environment of the gateway, if something here uses it.",
        );
    }
    for key in all.keys().filter(|key| !BLOCKS.contains(&key.as_str())) {
        let why = if key == "include" {
            "give those files on the command line, too."
        } else {
            "there is nothing like it here."
        };
        draft.notes.say(&mut top, key, format!("was left out: {why}"));
    }
    draft.top.append(top);
    router
}

fn left(draft: &mut Draft, path: &str, key: &str, value: &Value, top: &mut Section) {
    let why = match key {
        "callbacks" | "success_callback" | "failure_callback" | "service_callbacks"
            if texts(value).iter().all(|name| name == "prometheus") =>
        {
            return top.comment(format!(
                "{path}: metrics for Prometheus are at /metrics of `admin.listen` (127.0.0.1:8001)."
            ));
        }
        "drop_params" => {
            return top.comment(format!(
                "{path}: requests reach the engine as they are; vLLM ignores members that it does not know."
            ));
        }
        "callbacks" | "success_callback" | "failure_callback" | "service_callbacks" => {
            "there are metrics for Prometheus (conf/metrics.md) and traces for OpenTelemetry (conf/tracing.md)."
        }
        "cache" | "cache_params" | "cache_responses" | "caching_groups" => {
            "answers are not kept. vLLM keeps prefixes of prompts."
        }
        "allowed_fails"
        | "cooldown_time"
        | "allowed_fails_policy"
        | "disable_cooldowns"
        | "background_health_checks"
        | "health_check_interval" => {
            "an engine is left alone while its health checks fail (`health`), and requests that fail go to \
                another one (`retry`)."
        }
        "retry_policy" | "retry_after" | "max_fallbacks" | "model_group_retry_policy" => {
            "see `retry`: a request is tried again at once, on another engine."
        }
        "stream_timeout" => "see `timeouts`.",
        "max_parallel_requests" | "global_max_parallel_requests" | "default_max_parallel_requests" => {
            "there are no such limits; vLLM queues what it cannot run."
        }
        "database_url"
        | "store_model_in_db"
        | "custom_auth"
        | "salt_key"
        | "enable_jwt_auth"
        | "key_management_system" => "keys, teams and budgets of a database are not here. Write `callers`.",
        key if key.starts_with("database_") => "there is no database.",
        key if key.starts_with("redis_") => "gateways share no state.",
        _ => "there is nothing like it here.",
    };
    draft.notes.say(top, path, format!("was left out: {why}"));
}

fn strategy(settings: &Map<String, Value>, draft: &mut Draft, router: &mut Router, top: &mut Section) {
    match settings.get("routing_strategy").and_then(Value::as_str) {
        None | Some("least-busy") => {}
        Some("simple-shuffle") => router.random = true,
        Some(_) => draft.notes.say(
            top,
            "router_settings.routing_strategy",
            "was left out: the engine with the fewest requests gets the next one.",
        ),
    }
}

fn aliases(settings: &Map<String, Value>, draft: &mut Draft, router: &mut Router, top: &mut Section) {
    for (name, value) in map(settings, "model_group_alias") {
        let hidden = value.get("hidden").is_some_and(|hidden| *hidden == true);
        match value.get("model").unwrap_or(value).as_str() {
            Some(group) => router.aliases.push((name.clone(), group.to_owned(), hidden)),
            None => draft.notes.say(
                top,
                "router_settings.model_group_alias",
                "has something that is no name, and that was left out.",
            ),
        }
    }
}

/// Timeouts and retries; those of the router win.
fn times(all: &Map<String, Value>, draft: &mut Draft, top: &mut Section) {
    let (router, library) = (map(all, "router_settings"), map(all, "litellm_settings"));
    let written = [("router_settings", router, "timeout"), ("litellm_settings", library, "request_timeout")];
    if let Some((place, value, key)) = written
        .iter()
        .find_map(|(place, block, key)| Some((place, block.get(*key).filter(|value| !value.is_null())?, key)))
    {
        match value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|seconds| (0.001..=YEAR).contains(seconds))
        {
            Some(seconds) => {
                let mut timeouts = Section::default();
                timeouts.comment("A whole request that is answered at once; of a stream, up to its first event.");
                timeouts.put(
                    "request",
                    humantime::format_duration(std::time::Duration::from_secs_f64(seconds)).to_string(),
                );
                top.nest("timeouts", timeouts);
            }
            None => draft.notes.say(top, &format!("{place}.{key}"), "was left out: it is no time."),
        }
    }
    let retries = router.get("num_retries").or(library.get("num_retries")).filter(|value| !value.is_null());
    match retries.map(whole) {
        Some(Some(retries)) => {
            let mut retry = Section::default();
            retry.put("attempts", retries.min(MOST_RETRIES) + 1);
            top.nest("retry", retry);
        }
        Some(None) => draft.notes.say(top, "num_retries", "was left out: it is no number."),
        None => {}
    }
}

fn log(settings: &Map<String, Value>, top: &mut Section) {
    let is = |key: &str| settings.get(key).is_some_and(|value| *value == true);
    let mut log = Section::default();
    if is("set_verbose") {
        log.put("level", "debug");
    }
    if is("json_logs") {
        log.put("format", "json");
    }
    if !log.is_empty() {
        top.nest("log", log);
    }
}

/// The key of the proxy is a caller's.
fn caller(settings: &Map<String, Value>, draft: &mut Draft, top: &mut Section) {
    let Some(key) = settings.get("master_key").and_then(text) else { return };
    let name = only_variable(&key).map_or("LITELLM_MASTER_KEY", |name| name).to_owned();
    let mut callers = Section::default();
    if only_variable(&key).is_none() {
        draft.notes.say(
            &mut callers,
            "general_settings.master_key",
            format!("set the environment variable {name} to it."),
        );
    }
    draft.notes.say(
        &mut callers,
        "general_settings.master_key",
        "clients send this key. Keys that LiteLLM gave \
        out are in its database: write a caller for each that is to go on.",
    );
    let mut caller = Section::default();
    caller.put("keys", json!([format!("${{{name}}}")]));
    callers.nest("master", caller);
    top.nest("callers", callers);
}

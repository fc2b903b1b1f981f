//! llama-swap's own settings to those of the gateway, and what has no equivalent.

use serde_json::{Map, Value, json};

use super::super::document::Section;
use super::super::draft::Draft;
use super::super::secret::{only_variable, variable};
use super::super::values::{map, texts};

/// Keys that are read elsewhere, or that nothing is lost with.
const READ: &[&str] = &[
    "models",
    "macros",
    "peers",
    "selectors",
    "healthCheckTimeout",
    "globalTTL",
    "unloadTimeout",
    "includeAliasesInList",
    "apiKeys",
    "logLevel",
    "groups",
    "matrix",
    "routing",
    "hooks",
    "startPort",
];

/// Writes them to the top.
pub(super) fn gateway(all: &Map<String, Value>, draft: &mut Draft) {
    let mut top = Section::default();
    callers(all, draft, &mut top);
    if let Some(level @ ("debug" | "warn" | "error")) = all.get("logLevel").and_then(Value::as_str) {
        let mut log = Section::default();
        log.put("level", level);
        top.nest("log", log);
    }
    if all.contains_key("startPort") {
        top.comment("startPort: engines get ports of 127.0.0.1 from `ports` (21000-21999).");
    }
    on_demand(all, draft, &mut top);
    for key in all.keys().filter(|key| !READ.contains(&key.as_str())) {
        let why = match key.as_str() {
            "logTimeFormat" | "logToStdout" => "see `log` and `engine_logs`.",
            "captureBuffer" => "see `capture` of an alias.",
            "store" | "metricsMaxInMemory" | "ui" | "performance" => "the dashboard and /metrics are always there.",
            _ => "there is nothing like it here.",
        };
        draft.notes.say(&mut top, key, format!("was left out: {why}"));
    }
    draft.top.append(top);
}

/// Each key is one caller, because nobody says whose it is.
fn callers(all: &Map<String, Value>, draft: &mut Draft, top: &mut Section) {
    let mut callers = Section::default();
    for (at, key) in texts(all.get("apiKeys").unwrap_or(&Value::Null)).iter().enumerate() {
        let number = at + 1;
        let name =
            only_variable(key).map_or_else(|| variable(&["llama_swap_api_key", &number.to_string()]), str::to_owned);
        if only_variable(key).is_none() {
            let text = format!("set the environment variable {name} to this key. Call the caller by who has it.");
            draft.notes.say(&mut callers, &format!("apiKeys[{at}]"), text);
        }
        let mut caller = Section::default();
        caller.put("keys", json!([format!("${{{name}}}")]));
        callers.nest(format!("client-{number}"), caller);
    }
    if !callers.is_empty() {
        top.nest("callers", callers);
    }
}

/// Which models are loaded when.
fn on_demand(all: &Map<String, Value>, draft: &mut Draft, top: &mut Section) {
    const WHY: &str = "was left out: models are not loaded on demand. All of them run at the same time, and \
        each needs its part of a GPU's memory (`gpus`, `gpu_memory`).";
    let settings = map(map(map(all, "routing"), "router"), "settings");
    for (place, of) in [("", all), ("routing.router.settings.", settings)] {
        for group in map(of, "groups").keys() {
            draft.notes.say(top, &format!("{place}groups.{group}"), WHY);
        }
        if of.get("matrix").is_some_and(|matrix| !matrix.is_null()) {
            draft.notes.say(top, &format!("{place}matrix"), WHY);
        }
    }
    if map(all, "routing").contains_key("scheduler") {
        draft.notes.say(top, "routing.scheduler", "was left out: vLLM queues requests.");
    }
    if all.get("hooks").is_some_and(|hooks| !hooks.is_null()) {
        top.comment("hooks.on_startup.preload: all models are started with the gateway.");
    }
}

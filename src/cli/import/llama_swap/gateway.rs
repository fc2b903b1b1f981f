//! llama-swap's own settings to those of the gateway, and what has no equivalent.

use serde_json::{Map, Value, json};

use super::super::document::Section;
use super::super::draft::Draft;
use super::super::secret::{only_variable, variable};
use super::super::values::{map, texts, whole};
use super::loading::YEAR;

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

/// How long a request waits for its model here, unless it is said: seconds.
const LOAD: u64 = 600;

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
    routing(all, draft, &mut top);
    waiting(all, &mut top);
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

/// What decides in llama-swap which models are loaded at the same time, and which is next, beside groups.
fn routing(all: &Map<String, Value>, draft: &mut Draft, top: &mut Section) {
    const MATRIX: &str = "was left out: which models are loaded at the same time follows from `gpus` and `gpu_memory` here. Those that \
        have room beside one another are; others take turns, and of those without requests the one that was used longest ago ends \
        first, whatever it costs to load it again (`evict_costs`). Look through `gpus` and `gpu_memory` so that models of one set \
        have room beside one another.";
    let settings = map(map(map(all, "routing"), "router"), "settings");
    for (place, of) in [("", all), ("routing.router.settings.", settings)] {
        if of.get("matrix").is_some_and(|matrix| !matrix.is_null()) {
            draft.notes.say(top, &format!("{place}matrix"), MATRIX);
        }
    }
    if map(all, "routing").contains_key("scheduler") {
        let text = "was left out: of models that wait for their turn, the one that was asked for first is loaded first. vLLM queues \
            requests.";
        draft.notes.say(top, "routing.scheduler", text);
    }
}

/// How long a request waits for its model: as long as the model may take to start, if that is more than is usual here.
fn waiting(all: &Map<String, Value>, top: &mut Section) {
    let start = all.get("healthCheckTimeout").and_then(whole).filter(|seconds| *seconds <= YEAR);
    if let Some(seconds) = start.filter(|seconds| *seconds > LOAD) {
        let mut timeouts = Section::default();
        timeouts.put("load", format!("{seconds}s"));
        top.nest("timeouts", timeouts);
    }
}

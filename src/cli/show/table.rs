//! The texts of what a gateway tells. Pure.

use crate::api::{
    AliasView, AuditEntry, CallerView, EngineState, EngineView, ModelView, OperationState, OperationView, Quantiles,
    RequestView, StatusView, Turn,
};
use crate::cli::outlet::harmless;
use crate::text_table::aligned;

/// Row of a table.
type Row = Vec<String>;

/// A table with its heading; without rows: `none`.
fn table(heading: &[&str], rows: Vec<Row>, none: &str) -> String {
    if rows.is_empty() {
        return format!("{none}\n");
    }
    let heading = heading.iter().map(|word| (*word).to_owned()).collect();
    aligned(&[vec![heading], rows.into_iter().map(one_line).collect()].concat())
}

/// Cells that are one line and have no power over the terminal: clients choose some of their texts.
fn one_line(row: Row) -> Row {
    row.into_iter().map(|cell| harmless(&cell.replace('\n', " "))).collect()
}

/// Names and values, one in a line.
fn facts(facts: &[(&str, String)]) -> String {
    let mut rows: Vec<Row> = Vec::new();
    for (name, value) in facts {
        for (line, at) in harmless(value).lines().zip(0..) {
            rows.push(vec![if at == 0 { (*name).to_owned() } else { String::new() }, line.to_owned()]);
        }
    }
    aligned(&rows)
}

/// Milliseconds below a second, else seconds.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 0.0005 => format!("{:.0} µs", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds if seconds < 100.0 => format!("{seconds:.1} s"),
        seconds => age(seconds),
    }
}

/// A long time in two units.
fn age(seconds: f64) -> String {
    // Far below 2^53 seconds.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", whole % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") })
}

/// The gateway with its models and engines.
pub(super) fn status(status: &StatusView, models: &[ModelView], all: &[EngineView]) -> String {
    let ends = if status.shutting_down { ", shuts down" } else { "" };
    let head = facts(&[
        ("gateway", format!("{} (pid {}, version {}{ends})", status.name, status.pid, status.version)),
        ("up", age(status.uptime_seconds)),
        ("configuration", status.configuration_file.clone()),
        ("callers connect to", status.listen.as_ref().map_or("nowhere".into(), |it| format!("http://{it}/v1"))),
        ("requests under way", status.totals.in_flight.to_string()),
    ]);
    let rows = models.iter().map(|model| {
        let wanted = model.wanted_replicas.unwrap_or(model.replicas);
        let loads = || all.iter().any(|it| it.model == model.model && matches!(it.state, EngineState::Starting(_)));
        let state = match (&model.on_demand, model.state_words()) {
            (Some(on_demand), "not ready") if on_demand.turn == Turn::Loaded && loads() => "loading",
            (_, words) => words,
        };
        vec![
            model.model.clone(),
            state.to_owned(),
            format!("{}/{wanted}", model.ready_replicas),
            model.in_flight.to_string(),
            model.unserved.to_string(),
        ]
    });
    let heading = ["MODEL", "STATE", "ENGINES READY", "UNDER WAY", "FOUND NO ENGINE"];
    let obstacles: String = models.iter().filter_map(obstacle).collect();
    let models = table(&heading, rows.collect(), "The configuration has no models.");
    format!("{head}\n{models}{obstacles}\n{}", engines(all))
}

/// Why a model that is wanted cannot be loaded: a line.
fn obstacle(model: &ModelView) -> Option<String> {
    let why = model.on_demand.as_ref()?.obstacle.as_ref()?;
    Some(format!("`{}` cannot be loaded: {}\n", model.model, harmless(&why.replace('\n', " "))))
}

/// Engines.
pub(super) fn engines(all: &[EngineView]) -> String {
    let rows = all.iter().map(|engine| {
        let rates = engine.rates.as_ref();
        let median = |of: fn(&crate::api::Rates) -> Option<Quantiles>| {
            rates.and_then(of).map_or_else(|| "-".into(), |quantiles| time(quantiles.p50))
        };
        vec![
            engine.engine.clone(),
            state(engine),
            age(engine.state_seconds),
            engine.in_flight.to_string(),
            number(rates.map(|rates| rates.requests_per_second)),
            number(rates.map(|rates| rates.completion_tokens_per_second)),
            median(|rates| rates.first_token_seconds),
            engine.report.as_ref().map_or_else(|| "-".into(), |it| format!("{:.0} %", it.kv_cache_usage * 100.0)),
            engine.gpus.as_ref().map_or_else(|| "-".into(), |gpus| gpus.join(",")),
            engine.port.to_string(),
            engine.pid.map_or_else(|| "-".into(), |pid| pid.to_string()),
            engine.restarts.to_string(),
        ]
    });
    let heading =
        ["ENGINE", "STATE", "FOR", "UNDER WAY", "REQ/S", "TOK/S", "TTFT", "KV", "GPUS", "PORT", "PID", "RESTARTS"];
    table(&heading, rows.collect(), "There are no engines at the moment.")
}

/// The state of an engine in a word or two.
fn state(engine: &EngineView) -> String {
    let word = engine.state.word();
    match (engine.drained, engine.ejected) {
        (true, _) => format!("{word}, drained"),
        (false, true) => format!("{word}, avoided"),
        _ => word.to_owned(),
    }
}

/// All that is known of one engine.
pub(super) fn engine(engine: &EngineView) -> String {
    let counts = |counts: &std::collections::BTreeMap<String, u64>| {
        counts.iter().map(|(cause, count)| format!("{cause} {count}")).collect::<Vec<_>>().join(", ")
    };
    let report = engine.report.as_ref().map_or_else(String::new, |it| {
        format!("{} running, {} waiting, {:.0} % of the KV cache", it.running, it.waiting, it.kv_cache_usage * 100.0)
    });
    facts(&[
        ("engine", engine.engine.clone()),
        ("state", format!("{} for {}", state(engine), age(engine.state_seconds))),
        ("detail", engine.detail.clone().unwrap_or_default()),
        ("address", engine.url.clone()),
        ("pid", engine.pid.map(|pid| pid.to_string()).unwrap_or_default()),
        ("GPUs", engine.gpus.as_ref().map(|gpus| gpus.join(", ")).unwrap_or_default()),
        ("serves", engine.serves.join(", ")),
        ("requests under way", engine.in_flight.to_string()),
        ("reports", report),
        ("took to start", engine.start_seconds.map(time).unwrap_or_default()),
        ("restarts", counts(&engine.history.restarts)),
        ("failures", counts(&engine.history.failures)),
        ("log", engine.log_file.clone().unwrap_or_default()),
    ])
}

/// Aliases.
pub(super) fn aliases(all: &[AliasView]) -> String {
    let rows = all.iter().map(|alias| {
        let changes = match alias.changes.as_slice() {
            [] => "-".to_owned(),
            [one] => one.clone(),
            [one, rest @ ..] => format!("{one}, and {} more", rest.len()),
        };
        vec![alias.alias.clone(), leads_to(alias), changes, alias.listen.clone().unwrap_or_default()]
    });
    table(&["ALIAS", "LEADS TO", "CHANGES", "OWN ADDRESS"], rows.collect(), "The configuration has no aliases.")
}

fn leads_to(alias: &AliasView) -> String {
    let mut said = match alias.split.as_slice() {
        [] => alias.model.clone(),
        split => split.iter().map(|part| format!("{} ({})", part.name, part.weight)).collect::<Vec<_>>().join(" or "),
    };
    if !alias.fallback.is_empty() {
        said += &format!(", else {}", alias.fallback.join(", else "));
    }
    said
}

/// All that is known of one alias.
pub(super) fn alias(alias: &AliasView) -> String {
    facts(&[
        ("alias", alias.alias.clone()),
        ("leads to", leads_to(alias)),
        ("changes", alias.changes.join("\n")),
        ("copies of requests go to", alias.mirror.clone().unwrap_or_default()),
        ("own address", alias.listen.clone().unwrap_or_default()),
        ("listed", if alias.hidden { "no".into() } else { "yes".into() }),
    ])
}

/// Callers.
pub(super) fn callers(all: &[CallerView]) -> String {
    let rows = all.iter().map(|caller| {
        let counts = [caller.keys as u64, caller.requests, caller.prompt_tokens, caller.completion_tokens];
        [vec![caller.caller.clone()], counts.iter().map(u64::to_string).collect()].concat()
    });
    let none = "The configuration has no callers: everybody who reaches the gateway may send requests.";
    table(&["CALLER", "KEYS", "REQUESTS", "TOKENS READ", "TOKENS WRITTEN"], rows.collect(), none)
}

const REQUESTS: [&str; 9] = ["ENDED", "STATUS", "ASKED FOR", "ENGINE", "TIME", "TTFT", "TOKENS", "ATTEMPTS", "ID"];

fn request_row(request: &RequestView) -> Row {
    let asked = [&request.alias, &request.model, &request.unknown_model].into_iter().flatten().next();
    let tokens = match (request.prompt_tokens, request.completion_tokens) {
        (None, None) => "-".to_owned(),
        (read, written) => format!("{}+{}", read.unwrap_or_default(), written.unwrap_or_default()),
    };
    vec![
        // The date is that of today, nearly always; the rest is told with `--json`.
        request.ended.split_once('T').map_or(request.ended.as_str(), |(_, time)| time).to_owned(),
        request.status.to_string(),
        asked.cloned().unwrap_or_else(|| request.path.clone()),
        or_dash(request.engine.as_deref()),
        time(request.seconds),
        request.first_token_seconds.map_or_else(|| "-".into(), time),
        tokens,
        request.attempts.len().to_string(),
        request.id.clone(),
    ]
}

/// Requests; `is_filtered`: there may be others.
pub(super) fn requests(all: &[RequestView], is_filtered: bool) -> String {
    let none = if is_filtered { "No such request is among the last ones." } else { "No request has ended yet." };
    table(&REQUESTS, all.iter().map(request_row).collect(), none)
}

/// One request of those that follow.
pub(super) fn request_line(request: &RequestView) -> String {
    format!("{}\n", one_line(request_row(request)).join("  "))
}

/// All that is known of one request.
pub(super) fn request(request: &RequestView) -> String {
    let attempts = request.attempts.iter().map(|attempt| {
        let status = attempt.status.map_or_else(String::new, |status| format!(", status {status}"));
        let took = time(attempt.ended_seconds - attempt.began_seconds);
        format!(
            "{} on {} after {}: {}{status}, took {took}",
            attempt.number,
            attempt.engine,
            time(attempt.began_seconds),
            attempt.outcome
        )
    });
    let body = |body: &Option<crate::api::BodyView>| body.as_ref().and_then(|it| it.text.clone()).unwrap_or_default();
    facts(&[
        ("request", request.id.clone()),
        ("ended", request.ended.clone()),
        ("from", [&request.caller, &request.client].into_iter().flatten().cloned().collect::<Vec<_>>().join(", ")),
        ("asked", format!("{} {}", request.method, request.path)),
        ("alias", request.alias.clone().unwrap_or_default()),
        ("model", request.model.clone().unwrap_or_default()),
        ("status", request.status.to_string()),
        ("error", request.error.clone().unwrap_or_default()),
        ("stream", request.stream_end.clone().unwrap_or_default()),
        ("time", time(request.seconds)),
        ("waited", time(request.queue_seconds)),
        ("first token", request.first_token_seconds.map(time).unwrap_or_default()),
        ("in the gateway", time(request.overhead_seconds)),
        ("tokens read", request.prompt_tokens.map(|tokens| tokens.to_string()).unwrap_or_default()),
        ("tokens written", request.completion_tokens.map(|tokens| tokens.to_string()).unwrap_or_default()),
        ("attempts", attempts.collect::<Vec<_>>().join("\n")),
        ("body", body(&request.request_body)),
        ("answer", body(&request.response_body)),
    ])
}

/// Operations.
pub(super) fn operations(all: &[OperationView]) -> String {
    let rows = all.iter().map(|operation| {
        let state = match operation.state {
            OperationState::Running => "running",
            OperationState::Done => "done",
            OperationState::Failed => "failed",
            OperationState::Cancelled => "cancelled",
        };
        let why = operation.error.as_ref().map(|why| why.replace('\n', " ")).unwrap_or_default();
        vec![
            operation.id.clone(),
            operation.began.clone(),
            state.to_owned(),
            time(operation.seconds),
            operation.detail.clone(),
            why,
        ]
    });
    table(&["ID", "BEGAN", "STATE", "TIME", "WHAT", "WHY"], rows.collect(), "No operator has had anything done yet.")
}

/// Who did what.
pub(super) fn audit(all: &[AuditEntry]) -> String {
    let rows = all.iter().map(|entry| {
        vec![
            entry.at.clone(),
            entry.status.to_string(),
            or_dash(entry.operator.address.as_deref()),
            entry.detail.replace('\n', " "),
            entry.error.as_ref().map(|why| why.replace('\n', " ")).unwrap_or_default(),
        ]
    });
    table(&["AT", "STATUS", "FROM", "WHAT", "WHY"], rows.collect(), "No operator has changed anything yet.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_units_that_fit() {
        let told = [0.000_012, 0.25, 3.25, 125.0, 7_500.0, 200_000.0].map(time);
        assert_eq!(told, ["12 µs", "250 ms", "3.2 s", "2 min 5 s", "2 h 5 min", "2 d 7 h"]);
    }

    #[test]
    fn a_text_of_a_client_has_no_power_over_the_terminal() {
        let text = table(&["NAME"], vec![vec!["a\x1b]0;x\x07\nb".into()]], "none");
        assert_eq!(text, "NAME\na\\u{1b}]0;x\\u{7} b\n");
        assert!(!facts(&[("body", "\x1b[2J\nmore".into())]).contains('\x1b'));
        assert_eq!(
            facts(&[("a", "1\n2".into()), ("none", String::new()), ("long", "3".into())]),
            "a     1\n      2\nlong  3\n"
        );
    }

    /// A model that is loaded on demand, without engines.
    fn model(on_demand: &serde_json::Value) -> ModelView {
        serde_json::from_value(serde_json::json!({
            "model": "a", "origin": "file", "ours": true, "ready": false, "replicas": 0, "wanted_replicas": 1,
            "ready_replicas": 0, "in_flight": 0, "waiting": 0, "unserved": 0, "last_unserved_seconds": null, "roll": null,
            "on_demand": on_demand, "engines": [], "adapters": [],
        }))
        .expect("a model")
    }

    #[test]
    fn a_model_that_is_not_loaded_is_told_from_one_that_does_not_work() {
        let words = |turn: &str, waiting: usize, obstacle: Option<&str>| {
            let on_demand = serde_json::json!({ "turn": turn, "loads": 1, "obstacle": obstacle });
            ModelView { waiting, ..model(&on_demand) }.state_words()
        };
        assert_eq!(words("not_loaded", 0, None), "not loaded");
        assert_eq!(words("asleep", 0, None), "asleep");
        assert_eq!(words("asleep", 2, None), "waits for GPUs");
        assert_eq!(words("next", 0, None), "waits for GPUs");
        assert_eq!(words("loaded", 0, None), "not ready");
        assert_eq!(words("stopped", 0, None), "stopped");
        assert_eq!(words("not_loaded", 1, Some("no memory")), "cannot be loaded");
        assert_eq!(model(&serde_json::Value::Null).state_words(), "not ready");
    }

    #[test]
    fn what_is_in_the_way_of_a_model_is_one_line() {
        let on_demand = serde_json::json!({ "turn": "next", "loads": 1, "obstacle": "GPU 0:\nno memory" });
        assert_eq!(obstacle(&model(&on_demand)).as_deref(), Some("`a` cannot be loaded: GPU 0: no memory\n"));
        assert_eq!(obstacle(&model(&serde_json::Value::Null)), None);
    }

    #[test]
    fn a_table_without_rows_says_so() {
        assert_eq!(engines(&[]), "There are no engines at the moment.\n");
        assert_eq!(requests(&[], false), "No request has ended yet.\n");
        assert_eq!(requests(&[], true), "No such request is among the last ones.\n");
    }
}

//! Flags of engines, as written under `args`.

use serde_json::Value;

use super::super::finding::Finding;
use super::super::raw::{Raw, RawGpus};
use super::models;

/// Flags that are set here, or that would keep an engine from being reached, and what to write instead.
const OURS: &[(&str, &str)] = &[
    ("port", "Take it out: Enginehouse chooses a free port for each engine."),
    ("host", "Take it out: engines listen on 127.0.0.1 only."),
    ("uds", "Take it out: Enginehouse reaches its engines by TCP."),
    ("model", "Write it as `source` of this model."),
    ("served-model-name", "Write it as `served_name` of this model."),
    ("api-key", "Write it as `api_key` of this model."),
    ("lora-modules", "Write the adapters under `lora` of this model."),
    ("gpu-memory-utilization", "Write it as `gpu_memory` of this model."),
    ("ssl-keyfile", "Take it out: engines of ours are reached on this machine, without TLS."),
    ("ssl-certfile", "Take it out: engines of ours are reached on this machine, without TLS."),
    ("headless", "Take it out: without its HTTP server an engine cannot be reached."),
    ("grpc", "Take it out: engines are reached by HTTP."),
];

/// How vLLM's parser sees a flag: it takes `_` for `-`, but for members of a JSON value (`compilation-config.use_x`).
fn plain(flag: &str) -> String {
    let flag = flag.trim_start_matches('-');
    match flag.split_once('.') {
        Some((flag, member)) => format!("{}.{member}", flag.replace('_', "-")),
        None => flag.replace('_', "-"),
    }
}

pub(super) fn flags_are_legal(raw: &Raw, out: &mut Vec<Finding>) {
    for (path, _, model) in models(raw) {
        let mut seen: Vec<(String, &str)> = Vec::new();
        for (flag, value) in model.args.iter().flatten() {
            let path = path.key("args").key(flag);
            let name = plain(flag);
            let legal = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
            if flag.starts_with('-') && !name.is_empty() {
                let reason = "Flags are written without their dashes.";
                out.push(Finding::new(path.clone(), reason, format!("Write `{name}`.")));
            } else if name.is_empty() || !flag.chars().all(legal) {
                let reason = "This cannot be a flag.";
                let remedy = "Write a flag's name, such as max-model-len, and its value after the colon.";
                out.push(Finding::new(path.clone(), reason, remedy).hidden());
            }
            if let Some(reason) = misfit(value) {
                let remedy = "Write a text, a number, true (`--flag`), false (`--no-flag`), a list of values or a mapping (JSON).";
                out.push(Finding::new(path.clone(), reason, remedy));
            }
            if let Some((_, other)) = seen.iter().find(|(other, _)| *other == name) {
                let reason = format!("This is the same flag as `{other}`.");
                out.push(Finding::new(path, reason, "Keep one of the two."));
            }
            seen.push((name, flag));
        }
    }
}

fn misfit(value: &Value) -> Option<&'static str> {
    match value {
        Value::Null => Some("Nothing is written here."),
        Value::String(text) if text.contains('\0') => {
            Some("The text holds a zero byte, which no program can be given.")
        }
        Value::Array(items) if items.is_empty() => Some("The list is empty."),
        Value::Array(items) if items.iter().any(|item| item.is_null() || item.is_boolean()) => {
            Some("The list holds something that cannot be a value on a command line.")
        }
        Value::Array(items) => items.iter().find_map(misfit),
        _ => None,
    }
}

pub(super) fn flags_of_ours_are_left_alone(raw: &Raw, out: &mut Vec<Finding>) {
    for (path, _, model) in models(raw) {
        for flag in model.args.iter().flat_map(|args| args.keys()) {
            let name = plain(flag);
            let positive = name.strip_prefix("no-").unwrap_or(&name);
            if let Some((ours, remedy)) = OURS.iter().find(|(ours, _)| *ours == positive) {
                let reason = format!("`--{ours}` is not for `args`.");
                out.push(Finding::new(path.key("args").key(flag), reason, *remedy));
            }
        }
    }
}

pub(super) fn parallel_ranks_have_gpus(raw: &Raw, out: &mut Vec<Finding>) {
    for (path, _, model) in models(raw) {
        let (Some(gpus), Some(args)) = (&model.gpus, &model.args) else { continue };
        let get = |wanted: &str| args.iter().find(|(flag, _)| plain(flag) == wanted).map(|(_, value)| value);
        let size = |flag: &str, short: &str| get(flag).or_else(|| get(short)).and_then(Value::as_u64).unwrap_or(1);
        // Ranks on other machines need no GPU here.
        if get("nnodes").is_some() || get("distributed-executor-backend").is_some_and(|backend| backend == "ray") {
            continue;
        }
        let ranks = size("tensor-parallel-size", "tp").saturating_mul(size("pipeline-parallel-size", "pp"));
        let each = match gpus {
            RawGpus::Count(count) => *count,
            RawGpus::List(gpus) => gpus.len() / model.replicas.unwrap_or(1).max(1),
        } as u64;
        if ranks > each && each > 0 {
            let reason =
                format!("Each engine has {each} of the GPUs, but tensor and pipeline parallelism need {ranks}.");
            let remedy = format!("List {ranks} GPUs for each engine, or lower the parallel sizes in `args`.");
            out.push(Finding::new(path.key("gpus"), reason, remedy));
        }
    }
}

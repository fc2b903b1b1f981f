//! Flags of engines, as written under `args` of models and profiles.

use serde_json::Value;

use super::entries::{bundles, models};
use crate::config::diagnostic::Draft;
use crate::config::flag_names::{flag_name, flag_value};
use crate::config::profiles::{merged, profile_sets};
use crate::config::raw::{Raw, RawGpus, RawModel};
use crate::config::secrets::is_secret;

/// Flags that Enginehouse sets, or that would make an engine unreachable, and what to write instead.
const RESERVED: &[(&str, &str)] = &[
    ("port", "Remove it: Enginehouse chooses a free port for each engine."),
    ("host", "Remove it: engines listen on 127.0.0.1 only."),
    ("uds", "Remove it: Enginehouse connects to its engines by TCP."),
    ("model", "Write it as `source` of this model."),
    ("served-model-name", "Write it as `served_name` of this model."),
    ("api-key", "Write it as `api_key` of this model."),
    ("lora-modules", "Write the adapters under `lora` of this model."),
    ("enable-lora", "Write `lora` at this model: adapters by name, or `{}` for some that are added later."),
    ("enable-sleep-mode", "Write `sleep_mode: true` at this model."),
    ("gpu-memory-utilization", "Write it as `gpu_memory`."),
    ("device-memory-utilization", "Write it as `gpu_memory`."),
    ("ssl-keyfile", "Remove it: Enginehouse connects to its engines on this machine, without TLS."),
    ("ssl-certfile", "Remove it: Enginehouse connects to its engines on this machine, without TLS."),
    ("headless", "Remove it: without its HTTP server an engine cannot be used."),
    ("grpc", "Remove it: Enginehouse speaks HTTP with its engines."),
];

pub(super) fn flags_are_legal(raw: &Raw, out: &mut Vec<Draft>) {
    for bundle in bundles(raw) {
        let mut seen: Vec<(String, &str)> = Vec::new();
        for (flag, value) in bundle.args.into_iter().flatten() {
            let path = bundle.path.key("args").key(flag);
            let name = flag_name(flag);
            let legal = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
            if flag.starts_with('-') && !name.is_empty() {
                let reason = "Flags are written without their dashes.";
                out.push(Draft::new(path.clone(), reason, format!("Write `{name}`.")));
            } else if name.is_empty() || !flag.chars().all(legal) {
                let reason = "This cannot be a flag.";
                let remedy = "Write a flag's name, such as max-model-len, and its value after the colon.";
                out.push(Draft::new(path.clone(), reason, remedy).hidden());
            }
            if value.is_null() {
                if let Some(reason) = idle_null(raw, bundle.model, flag) {
                    let remedy = "Write a value (`true` for a flag that takes none), or remove the key.";
                    out.push(Draft::new(path.clone(), reason, remedy).given([bundle.path.key("profile")]));
                }
            } else if let Some(reason) = unusable(value) {
                let remedy = "Write a text, a number, true (`--flag`), false (`--no-flag`), a list of values or a mapping (JSON).";
                out.push(Draft::new(path.clone(), reason, remedy));
            }
            if let Some((_, other)) = seen.iter().find(|(other, _)| *other == name) {
                let reason = format!("This is the same flag as `{other}`.");
                out.push(Draft::new(path, reason, "Keep one of the two."));
            }
            seen.push((name, flag));
        }
    }
}

/// Why a null changes nothing: it removes a flag of the profile, and there is none.
fn idle_null(raw: &Raw, model: Option<&RawModel>, flag: &str) -> Option<String> {
    match model {
        Some(model) if profile_sets(&raw.profiles, model, flag) => None,
        Some(RawModel { profile: Some(profile), .. }) => {
            Some(format!("An empty value removes a flag of the profile, but `{profile}` does not set this one."))
        }
        _ => Some("Nothing is written here.".into()),
    }
}

fn unusable(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(text) if text.contains('\0') => {
            Some("The text contains a zero byte, which cannot be passed to a program.")
        }
        Value::Array(items) if items.is_empty() => Some("The list is empty."),
        Value::Array(items) if items.iter().any(|item| item.is_null() || item.is_boolean()) => {
            Some("The list has something that cannot be a value on a command line.")
        }
        Value::Array(items) => items.iter().find_map(unusable),
        _ => None,
    }
}

pub(super) fn flags_with_a_key_are_not_args(raw: &Raw, out: &mut Vec<Draft>) {
    for bundle in bundles(raw) {
        for flag in bundle.args.iter().flat_map(|args| args.keys()) {
            let name = flag_name(flag);
            let positive = name.strip_prefix("no-").unwrap_or(&name);
            if let Some((reserved, remedy)) = RESERVED.iter().find(|(reserved, _)| *reserved == positive) {
                let reason = format!("`--{reserved}` cannot be in `args`.");
                let whose = if bundle.model.is_some() { "this model" } else { "each model" };
                let remedy = remedy.replace("this model", whose);
                out.push(Draft::new(bundle.path.key("args").key(flag), reason, remedy));
            }
        }
    }
}

pub(super) fn parallel_ranks_have_gpus(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, _, model) in models(raw) {
        let Some(gpus) = &model.gpus else { continue };
        let args = merged(&raw.profiles, model).args;
        let get = |name: &str| flag_value(&args, name);
        let size = |flag: &str| get(flag).and_then(Value::as_u64).unwrap_or(1);
        // Ranks on other machines need no GPU here.
        if get("nnodes").is_some() || get("distributed-executor-backend").is_some_and(|backend| backend == "ray") {
            continue;
        }
        let ranks = size("tensor-parallel-size").saturating_mul(size("pipeline-parallel-size"));
        let each = match gpus {
            RawGpus::Count(count) => *count,
            RawGpus::List(gpus) => gpus.len() / model.replicas.unwrap_or(1).max(1),
        } as u64;
        if ranks > each && each > 0 {
            let reason =
                format!("Each engine has {each} of the GPUs, but tensor and pipeline parallelism need {ranks}.");
            let remedy = format!("List {ranks} GPUs for each engine, or lower the parallel sizes in `args`.");
            out.push(Draft::new(path.key("gpus"), reason, remedy));
        }
    }
}

/// Every user of a machine can read the arguments of its processes.
pub(super) fn secrets_are_no_flags(raw: &Raw, out: &mut Vec<Draft>) {
    let reason = "A secret on a command line can be read in the process list and in logs.";
    for bundle in bundles(raw) {
        for (flag, value) in bundle.args.into_iter().flatten() {
            // `hf-token: true` asks for the token that is stored.
            let reserved = RESERVED.iter().any(|(reserved, _)| *reserved == flag_name(flag));
            if is_secret(flag) && !reserved && value.is_string() {
                let variable = flag.trim_start_matches('-').replace('-', "_").to_ascii_uppercase();
                let remedy = format!("Write it under `env`, as {variable} if that is what the program reads.");
                out.push(Draft::new(bundle.path.key("args").key(flag), reason, remedy).hidden());
            }
        }
    }
    for (path, _, model) in models(raw) {
        let words = model.command.as_deref().unwrap_or_default();
        for (at, word) in words.iter().enumerate().skip(1) {
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (word.as_str(), words.get(at + 1).map(String::as_str)),
            };
            if flag.starts_with("--") && is_secret(flag) && value.is_some_and(|value| !value.starts_with('-')) {
                let remedy = "Write it under `env`, or as `api_key` if it is the key of the engine.";
                out.push(Draft::new(path.key("command").index(at), reason, remedy).hidden());
            }
        }
    }
}

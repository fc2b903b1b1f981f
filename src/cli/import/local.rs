//! Engines that Gym starts: `vllm_serve_kwargs` and the rest of a `local_vllm_model` to a model with `source`.

use serde_json::{Map, Value};

use super::document::Section;
use super::notes::{Fields, whole};
use super::secret::is_secret;

/// Sizes of which each GPU of an engine is one part.
const PARALLEL: &[&str] =
    &["data_parallel_size", "tensor_parallel_size", "pipeline_parallel_size", "prefill_context_parallel_size"];

/// The largest share of a GPU's memory that Enginehouse promises.
const LARGEST_SHARE: f64 = 0.95;

/// Flags of vLLM without a `--no-` form: false is their default.
const ONE_WAY: &[&str] = &[
    "aggregate_engine_logging",
    "data_parallel_multi_port_external_lb",
    "disable_log_stats",
    "fail_on_environ_validation",
    "grpc",
    "headless",
];

/// Flags that are not for `args`, and why.
const NOT_OURS: &[(&str, &str)] = &[
    ("uds", "engines are reached by TCP"),
    ("grpc", "engines are reached by HTTP"),
    ("headless", "an engine without its HTTP server cannot be reached"),
    ("ssl_keyfile", "engines are reached on this machine, without TLS"),
    ("ssl_certfile", "engines are reached on this machine, without TLS"),
    ("served_model_name", "requests name `model`, as Gym has it"),
    ("lora_modules", "write the adapters under `lora`: `lora: {name: path}`"),
    ("enable_lora", "write `lora: {}`, or the adapters under it"),
    ("data_parallel_size_local", "all ranks run on this machine"),
    ("distributed_executor_backend", "that is Ray's; one machine needs none"),
    ("data_parallel_backend", "that is Ray's; one machine needs none"),
];

/// The model for a server that starts its engine.
///
/// # Errors
/// Why there can be none.
pub(super) fn local(fields: &mut Fields<'_>) -> Result<Section, String> {
    let source = match fields.get("model")? {
        Some(Value::String(source)) if !source.trim().is_empty() && !fields.is_secret("model", &source) => source,
        _ => return Err("it has no `model` to load.".into()),
    };
    let mut model = Section::default();
    model.put("source", source.clone());
    model.put("served_name", source);

    let (mut flags, mut env) = (Section::default(), Section::default());
    let kwargs = fields.members(&mut flags, "vllm_serve_kwargs");
    gpus(fields, &kwargs, &mut model);
    let mut sleep_mode = false;
    for (key, value) in &kwargs {
        let key = key.replace('-', "_");
        match (key.as_str(), value) {
            (_, Value::Null) | ("model" | "host" | "port" | "download_dir", _) => {}
            ("gpu_memory_utilization", value) => gpu_memory(fields, value, &mut model),
            ("enable_sleep_mode", value) => sleep_mode = *value == true,
            (key, Value::Bool(false)) if ONE_WAY.contains(&key) => {}
            (key, value) if is_secret(key) && value.is_string() => {
                // On a command line everybody could read it.
                let mut value = value.clone();
                fields.hide(&mut env, key, &mut value);
                if key == "api_key" {
                    fields.say(&mut model, "Gym's clients would not send the engine's `api_key`; Enginehouse does.");
                    model.put("api_key", value);
                } else {
                    env.put(key.to_ascii_uppercase(), value);
                }
            }
            (key, value) => flag(fields, key, value.clone(), &mut flags),
        }
    }
    if sleep_mode {
        model.put("sleep_mode", true);
    }
    download_dir(fields, &kwargs, &mut flags);
    variables(fields, &mut env);
    if let Some(Value::String(_)) = fields.take(&mut model, "ray_worker_py_executable") {
        let text = "`ray_worker_py_executable` was left out: engines run `vllm` of the PATH. For that of another environment write \
                    `command: [/path/to/bin/vllm, serve]`.";
        fields.say(&mut model, text);
    }
    for (key, inner) in [("args", flags), ("env", env)] {
        if inner.is_empty() { model.append(inner) } else { model.nest(key, inner) }
    }
    Ok(model)
}

fn gpus(fields: &mut Fields<'_>, kwargs: &Map<String, Value>, model: &mut Section) {
    let size = |key: &&str| match kwargs.get(*key).or_else(|| kwargs.get(&key.replace('_', "-"))) {
        None | Some(Value::Null) => Some(1),
        Some(value) => whole(value).filter(|size| *size > 0),
    };
    let count = PARALLEL.iter().map(size).try_fold(1_u64, |all, size| all.checked_mul(size?));
    match count.filter(|count| *count <= 100_000) {
        Some(count) => model.put("gpus", count),
        None => {
            let text =
                "`gpus` could not be worked out, as a parallel size is no number: write how many the engine needs.";
            fields.say(model, text);
        }
    }
}

fn gpu_memory(fields: &mut Fields<'_>, value: &Value, model: &mut Section) {
    let share = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    match share {
        Some(share) if share > 0.0 && share <= LARGEST_SHARE => model.put("gpu_memory", share),
        Some(share) if share > LARGEST_SHARE && share <= 1.0 => {
            fields.say(
                model,
                format!("`gpu_memory_utilization` was {share}; {LARGEST_SHARE} is the most Enginehouse promises."),
            );
            model.put("gpu_memory", LARGEST_SHARE);
        }
        None if value.as_str().is_some_and(|text| text.starts_with("${") && text.ends_with('}')) => {
            model.put("gpu_memory", value.clone());
        }
        _ => fields.say(model, "`gpu_memory_utilization` was left out: it is no share between 0 and 1."),
    }
}

fn flag(fields: &mut Fields<'_>, key: &str, mut value: Value, flags: &mut Section) {
    let name = key.replace('_', "-");
    if let Some((_, why)) = NOT_OURS.iter().find(|(ours, _)| *ours == key) {
        // Ray's settings are part of every one of Gym's files, and nothing is lost with them.
        let text = format!("`{key}` was left out: {why}.");
        if why.contains("Ray") || key == "data_parallel_size_local" {
            flags.comment(text)
        } else {
            fields.say(flags, text)
        }
        return;
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || "-.+".contains(c);
    let misfit = match &value {
        _ if name.is_empty() || name.starts_with('-') || !name.chars().all(legal) => Some("it cannot be a flag"),
        Value::Array(items) if items.is_empty() => Some("the list is empty"),
        Value::Array(items) if items.iter().any(|item| item.is_null() || item.is_boolean()) => {
            Some("its list holds what cannot be a value on a command line")
        }
        value if holds_zero_byte(value) => Some("it holds a zero byte"),
        _ => None,
    };
    if let Some(why) = misfit {
        fields.say(flags, format!("`{key}` was left out: {why}."));
        return;
    }
    if PARALLEL.contains(&key) && whole(&value) == Some(1) {
        return;
    }
    fields.hide(flags, key, &mut value);
    flags.put(name, value);
}

fn holds_zero_byte(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_zero_byte),
        _ => false,
    }
}

/// Where weights are kept: `hub` in Gym's `hf_home`.
fn download_dir(fields: &mut Fields<'_>, kwargs: &Map<String, Value>, flags: &mut Section) {
    let home = fields.take(flags, "hf_home");
    if let Some(home) = home.as_ref().and_then(Value::as_str).filter(|home| !home.trim().is_empty()) {
        let home = home.trim_end_matches('/');
        let home = home.strip_prefix("~/").map_or_else(|| home.to_owned(), |rest| format!("${{HOME}}/{rest}"));
        flags.put("download-dir", format!("{home}/hub"));
    } else if kwargs.contains_key("download_dir") {
        flags.comment("`download_dir` was left out: Gym itself puts `hf_home` in its place.");
    }
}

/// The engine's environment.
fn variables(fields: &mut Fields<'_>, env: &mut Section) {
    let written = fields.members(env, "vllm_serve_env_vars");
    let mut dropped = Vec::new();
    if !written.contains_key("HF_TOKEN")
        && let Some(Value::String(token)) = fields.top("hf_token").filter(|token| token != "")
    {
        // Gym hands it to every engine.
        if fields.is_secret("hf_token", &token) {
            fields.say(env, "Set the environment variable HF_TOKEN to Gym's `hf_token`.");
            env.put("HF_TOKEN", "${HF_TOKEN}");
        } else {
            env.put("HF_TOKEN", token);
        }
    }
    for (name, value) in written {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            // As Python spells them.
            Value::Bool(value) => if value { "True" } else { "False" }.to_owned(),
            Value::Number(number) => number.to_string(),
            _ => {
                fields.say(env, format!("`{name}` was left out: a variable holds a text."));
                continue;
            }
        };
        if name == "VLLM_RAY_DP_PACK_STRATEGY" && text == "span" {
            fields.say(
                env,
                "`VLLM_RAY_DP_PACK_STRATEGY: span` spreads an engine over machines; here it runs on this one.",
            );
        } else if name.starts_with("VLLM_RAY_") || name.starts_with("RAY_") {
            dropped.push(name);
        } else if name == "CUDA_VISIBLE_DEVICES" {
            fields.say(
                env,
                "`CUDA_VISIBLE_DEVICES` was left out: `gpus` sets it. To choose which, list them: `gpus: [0, 1]`.",
            );
        } else if name == "VLLM_API_KEY" {
            fields.say(env, "`VLLM_API_KEY` was left out: write the engine's key as `api_key` of the model.");
        } else if !super::grammar::is_variable(&name) || text.contains('\0') {
            fields.say(env, format!("`{name}` was left out: it cannot be a variable of the environment."));
        } else {
            let mut value = Value::String(text);
            fields.hide(env, &name, &mut value);
            env.put(name, value);
        }
    }
    if !dropped.is_empty() {
        env.comment(format!("{} left out: there is no Ray here.", dropped.join(", ")));
    }
}

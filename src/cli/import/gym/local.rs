//! Engines that Gym starts: `vllm_serve_kwargs` and the rest of a `local_vllm_model` to a model with `source`.

use serde_json::{Map, Value};

use super::super::document::Section;
use super::fields::{Fields, whole};

/// Sizes of which each GPU of an engine is one part.
const PARALLEL: &[&str] =
    &["data_parallel_size", "tensor_parallel_size", "pipeline_parallel_size", "prefill_context_parallel_size"];

/// Flags that Gym itself sets or that are Ray's; nothing is lost with them.
const NOT_NEEDED: &[&str] =
    &["data_parallel_size_local", "distributed_executor_backend", "data_parallel_backend", "download_dir"];

/// The model for a server that starts its engine.
///
/// # Errors
/// Why there can be none.
pub(super) fn local(fields: &mut Fields<'_>) -> Result<Section, String> {
    let source = match fields.get("model")? {
        Some(Value::String(source)) if !fields.is_secret("model", &source) => source,
        _ => return Err("it has no `model` to load.".into()),
    };
    let mut model = Section::default();
    model.put("source", source.clone());
    model.put("served_name", source);

    let (mut flags, mut env) = (Section::default(), Section::default());
    let kwargs = fields.members(&mut flags, "vllm_serve_kwargs");
    gpus(fields, &kwargs, &mut model);
    for (key, value) in kwargs {
        match key.as_str() {
            _ if value.is_null() => {}
            "model" | "host" | "port" => {}
            "gpu_memory_utilization" => model.put("gpu_memory", value),
            "enable_sleep_mode" => model.put("sleep_mode", value),
            key if NOT_NEEDED.contains(&key) => {
                flags.comment(format!("`{key}` was left out: one machine without Ray needs none, or Gym replaces it."));
            }
            key if PARALLEL.contains(&key) && whole(&value) == Some(1) => {}
            key => {
                let value = fields.hidden(&mut flags, key, value);
                flags.put(key.replace('_', "-"), value);
            }
        }
    }
    // Where Gym's engines keep weights.
    if let Some(Value::String(home)) = fields.take(&mut flags, "hf_home") {
        let home = home.trim_end_matches('/');
        let home = home.strip_prefix("~/").map_or_else(|| home.to_owned(), |rest| format!("${{HOME}}/{rest}"));
        flags.put("download-dir", format!("{home}/hub"));
    }
    variables(fields, &mut env);
    if fields.take(&mut model, "ray_worker_py_executable").is_some() {
        let text = "`ray_worker_py_executable` was left out: engines run `vllm` of the PATH. For that of another \
                    environment write `command: [/path/to/bin/vllm, serve]`.";
        fields.say(&mut model, text);
    }
    model.nest_any("args", flags);
    model.nest_any("env", env);
    Ok(model)
}

fn gpus(fields: &mut Fields<'_>, kwargs: &Map<String, Value>, model: &mut Section) {
    let size = |key: &&str| kwargs.get(*key).filter(|size| !size.is_null()).map_or(Some(1), whole);
    match PARALLEL.iter().map(size).try_fold(1_u64, |all, size| all.checked_mul(size?)) {
        Some(count) => model.put("gpus", count),
        None => {
            let text = "`gpus` could not be computed, because a parallel size is not a number: write how many the engine needs.";
            fields.say(model, text);
        }
    }
}

/// The engine's environment.
fn variables(fields: &mut Fields<'_>, env: &mut Section) {
    let written = fields.members(env, "vllm_serve_env_vars");
    // Gym hands it to every engine.
    if let Some(token) = fields.top("hf_token").filter(|_| !written.contains_key("HF_TOKEN")) {
        let secret = fields.is_secret("hf_token", token);
        if secret {
            fields.say(env, "Set the environment variable HF_TOKEN to Gym's `hf_token`.");
        }
        env.put("HF_TOKEN", if secret { "${HF_TOKEN}" } else { token });
    }
    for (name, value) in written {
        if name.starts_with("VLLM_RAY_") || name.starts_with("RAY_") {
            env.comment(format!("{name} was left out: there is no Ray here."));
        } else if !value.is_null() {
            let value = fields.hidden(env, &name, value);
            env.put(name, value);
        }
    }
}

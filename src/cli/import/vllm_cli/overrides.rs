//! Settings of one engine in vllm-cli's words (`config_overrides`, `config` of a profile) to flags and variables.

use serde_json::{Map, Value};

use super::super::engine::{Engine, gpus};
use super::super::values::{texts, whole};
use super::super::words::{arguments, split};

/// Mappings of environment variables.
const ENVIRONMENTS: &[&str] = &["profile_environment", "environment", "environment_variables"];

/// What says something to people, or nothing.
const WORDS: &[&str] = &["name", "description", "icon", "aliases", "dtype_display"];

/// Ranks of adapters for which vLLM needs no flag.
const USUAL_RANK: u64 = 16;

/// Takes settings; later ones win.
pub(super) fn take(engine: &mut Engine, settings: &Map<String, Value>) {
    for (key, value) in settings {
        match key.as_str() {
            key if WORDS.contains(&key) || value.is_null() => {}
            key if ENVIRONMENTS.contains(&key) => match value {
                Value::Object(variables) => {
                    variables.iter().for_each(|(name, value)| engine.variable(name, value.clone()))
                }
                _ => left_out(engine, key, "it is not a mapping."),
            },
            "extra_args" => extra(engine, value),
            "device" | "gpu_ids" => match gpus(value) {
                Some(gpus) => engine.gpus = gpus,
                None => left_out(engine, key, "it is no list of GPUs. Write `gpus`."),
            },
            "hf_token" => engine.variable("HF_TOKEN", value.clone()),
            "model" | "model_path" => source(engine, value),
            "lora_modules" | "lora_adapters" => adapters(engine, value),
            key => {
                if value == false && !["enable_lora", "enable_sleep_mode"].contains(&key) {
                    let name = key.replace('_', "-");
                    let text = format!(
                        "`{key}: false` does nothing in vllm-cli; here it is --no-{name}. Remove it if vLLM's \
                            own choice is wanted."
                    );
                    engine.said.push((key.to_owned(), text));
                }
                engine.flag(key, value.clone());
            }
        }
    }
}

/// What is loaded: a name or a path, or a base model with adapters.
pub(super) fn source(engine: &mut Engine, value: &Value) {
    let Value::Object(map) = value else {
        engine.source = texts(value).into_iter().next().or(engine.source.take());
        return;
    };
    let base = ["model", "path", "base_model", "name"].iter().find_map(|key| map.get(*key)?.as_str());
    engine.source = base.map(str::to_owned).or(engine.source.take());
    map.get("lora_modules").into_iter().for_each(|modules| adapters(engine, modules));
    if let Some(quantization) = map.get("quantization").filter(|it| it.is_string()) {
        engine.flag("quantization", quantization.clone());
    }
}

/// Adapters, and the largest of their ranks.
fn adapters(engine: &mut Engine, value: &Value) {
    engine.adapters(value);
    let rank = value.as_array().into_iter().flatten().filter_map(|one| whole(one.get("rank")?)).max();
    if let Some(rank) = rank.filter(|rank| *rank > USUAL_RANK && !engine.args.contains_key("max-lora-rank")) {
        engine.flag("max-lora-rank", rank.into());
    }
}

fn extra(engine: &mut Engine, value: &Value) {
    let Some(words) = value.as_str().and_then(split) else {
        return left_out(engine, "extra_args", "a quotation mark is not closed, or it is no text.");
    };
    let arguments = arguments(&words);
    if !arguments.words.is_empty() {
        left_out(engine, "extra_args", "some of its words belong to no flag, and only the flags are here.");
    }
    arguments.flags.into_iter().for_each(|(flag, value)| engine.flag(&flag, value));
}

fn left_out(engine: &mut Engine, key: &str, why: &str) {
    engine.said.push((key.to_owned(), format!("was left out: {why}")));
}

//! vllm-cli's profiles to `profiles:`; what only a model can say is carried to the models that use them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::document::Section;
use super::super::draft::Draft;
use super::super::engine::Engine;
use super::super::values::{text, whole};
use super::overrides::take;
use crate::config::builtin_profiles;

/// A profile that was converted.
#[derive(Default)]
pub(super) struct Profile {
    /// As vllm-cli has it.
    pub(super) settings: Map<String, Value>,
    /// Its flags.
    args: Map<String, Value>,
    /// Its variables.
    pub(super) env: Vec<String>,
}

impl Profile {
    /// What only a model can say: names, key, port, GPUs, adapters, sleep.
    pub(super) fn carried(&self) -> Engine {
        let mut whole = Engine::default();
        take(&mut whole, &self.settings);
        Engine {
            served: whole.served,
            port: whole.port,
            api_key: whole.api_key,
            gpus: whole.gpus,
            sleep_mode: whole.sleep_mode,
            lora: whole.lora,
            ..Engine::default()
        }
    }

    /// The parallel sizes that more GPUs are needed for than `count`.
    pub(super) fn too_large_for(&self, count: usize) -> Vec<String> {
        let flags = ["tensor-parallel-size", "pipeline-parallel-size"];
        let size = |flag: &str| self.args.get(flag).and_then(whole).unwrap_or(1);
        let needed = flags.iter().fold(1_u64, |all, flag| all.saturating_mul(size(flag)));
        let set = flags.iter().filter(|flag| self.args.contains_key(**flag)).map(|flag| (*flag).to_owned());
        if needed > count as u64 { set.collect() } else { Vec::new() }
    }
}

/// Profiles by name.
pub(super) type Profiles = BTreeMap<String, Profile>;

/// Converts them; they are written to `out`.
pub(super) fn profiles(found: &Map<String, Value>, draft: &mut Draft, out: &mut Section) -> Profiles {
    let mut known = Profiles::new();
    for (name, value) in found {
        let path = format!("profiles.{name}");
        let Value::Object(profile) = value else {
            draft.notes.say(out, &path, "was left out: it is not a mapping.");
            continue;
        };
        if name.trim().is_empty() || name.trim() != name || name.chars().any(char::is_control) {
            draft.notes.say(out, &path, "was left out: this cannot be the name of a profile.");
            continue;
        }
        let mut section = Section::default();
        if let Some(description) = profile.get("description").and_then(text) {
            draft.put(&mut section, &path, name, "description", description.into());
        }
        // `config` and `environment`; or, as its guide shows, flags beside `environment_variables`.
        let mut settings = profile.get("config").and_then(Value::as_object).cloned().unwrap_or_else(|| profile.clone());
        settings.extend(profile.get("environment").map(|variables| ("environment".to_owned(), variables.clone())));
        let mut engine = Engine::default();
        take(&mut engine, &settings);
        for (of, said) in std::mem::take(&mut engine.said) {
            draft.notes.say(&mut section, &format!("{path}.{of}"), said);
        }
        if let Some(share) = engine.gpu_memory.take() {
            section.put("gpu_memory", share);
        }
        let (args, env) = (engine.args.clone(), engine.env.keys().cloned().collect());
        engine.write_bundle(draft, &path, name, &mut section);
        known.insert(name.clone(), Profile { settings, args, env });
        out.nest(name, section);
    }
    known
}

/// What vllm-cli's built-in profile of this name has, and ours of this name has not.
pub(super) fn difference(name: &str) -> Option<&'static str> {
    match name {
        "high_throughput" => Some("`max-model-len: 8192` and `trust-remote-code: true`"),
        "low_memory" => Some("`max-model-len: 4096` and `trust-remote-code: true`"),
        "gpt_oss_ampere" | "gpt_oss_hopper" | "gpt_oss_blackwell" => Some("`trust-remote-code: true`"),
        _ => None,
    }
}

/// Whether there is a built-in one of this name.
pub(super) fn is_builtin(name: &str) -> bool {
    builtin_profiles().iter().any(|profile| profile.name == name)
}

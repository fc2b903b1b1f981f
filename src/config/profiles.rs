//! Bundles of flags and environment: the built-in ones, the user's, and how a model's own settings go over them.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::flag_names::switch;
use super::overruled::overruled;
use super::raw::{Named, RawModel, RawProfile};
use super::secrets::is_secret;
use super::words::{escaped, word};

/// A bundle of flags and environment for engines. No `Debug`: a user's may hold secrets.
#[derive(Clone)]
pub struct Profile {
    /// What `profile:` of a model says.
    pub name: String,
    /// What it is good for, in a sentence.
    pub description: String,
    /// Share of each GPU's memory, 0 < share <= 0.95.
    pub gpu_memory: Option<f64>,
    /// Flags, as under `args` of a model.
    pub args: Map<String, Value>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
}

/// The built-in profiles.
///
/// They hold what vLLM 0.32 does not choose by itself: chunked prefill, prefix caching and asynchronous scheduling are
/// on wherever they work, and most variables of older releases are gone, their work done by flags or by detection.
/// None trusts remote code: it runs Python from a model's repository with the rights of the engine, so a model that needs
/// it must say so itself. None sets a context length: a model with a shorter one would not start.
#[must_use]
pub fn builtin_profiles() -> Vec<Profile> {
    let profile = |name: &str, description: &str, gpu_memory: Option<f64>, args: Value, env: &[(&str, &str)]| Profile {
        name: name.into(),
        description: description.into(),
        gpu_memory,
        args: if let Value::Object(args) = args { args } else { Map::new() },
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    vec![
        profile("standard", "vLLM's own defaults", None, json!({}), &[]),
        profile(
            "moe_optimized",
            "Mixture-of-experts models on several GPUs: whole experts on each instead of slices of all",
            None,
            json!({ "enable-expert-parallel": true }),
            &[],
        ),
        profile(
            "high_throughput",
            "Most tokens a second over many requests at once, at the cost of each one's latency",
            Some(0.95),
            // Doubles the default batch sizes and captures larger CUDA graphs.
            json!({ "performance-mode": "throughput" }),
            &[],
        ),
        profile(
            "low_memory",
            "Small GPUs: weights quantized to FP8 while loading, as much context as fits (already quantized models: `quantization: null`)",
            Some(0.7),
            json!({ "quantization": "fp8", "max-model-len": "auto" }),
            // GiB; matters where vLLM runs on the CPU, which has no share of GPU memory to size the cache by.
            &[("VLLM_CPU_KVCACHE_SPACE", "4")],
        ),
        profile(
            "gpt_oss_ampere",
            "gpt-oss on A100, A10, RTX 30: attention sinks need Triton's attention there",
            Some(0.9),
            json!({ "enable-expert-parallel": true, "attention-backend": "TRITON_ATTN" }),
            &[],
        ),
        profile(
            "gpt_oss_hopper",
            "gpt-oss on H100, H200: FlashAttention 3, which vLLM finds by itself",
            Some(0.9),
            json!({ "enable-expert-parallel": true }),
            &[],
        ),
        profile(
            "gpt_oss_blackwell",
            "gpt-oss on B200, GB200: FlashInfer's TensorRT-LLM kernels for attention and MXFP4 experts (RTX 50 and RTX PRO: standard)",
            Some(0.9),
            // What VLLM_USE_TRTLLM_ATTENTION and VLLM_USE_FLASHINFER_MXFP4_BF16_MOE were.
            json!({
                "enable-expert-parallel": true,
                "attention-backend": "FLASHINFER",
                "moe-backend": "flashinfer_trtllm",
            }),
            &[],
        ),
    ]
}

/// The profile that `name` means: the user's, or the built-in one.
pub(super) fn find(profiles: &Named<RawProfile>, name: &str) -> Option<Profile> {
    let own = profiles.iter().find(|(other, _)| *other == name).map(|(_, raw)| Profile {
        name: name.to_owned(),
        description: raw.description.clone().unwrap_or_default(),
        gpu_memory: raw.gpu_memory,
        args: raw.args.clone(),
        env: raw.env.iter().map(|(name, value)| (name.to_owned(), value.0.clone())).collect(),
    });
    own.or_else(|| builtin_profiles().into_iter().find(|profile| profile.name == name))
}

/// What a model and its profile come to.
pub(super) struct Merged {
    /// Share of each GPU's memory.
    pub(super) gpu_memory: Option<f64>,
    /// Flags: the profile's, then the model's; no nulls.
    pub(super) args: Map<String, Value>,
    /// Parallel sizes of the profile that are left out, because they do not fit the model's GPUs.
    pub(super) overruled: Map<String, Value>,
    /// Environment variables.
    pub(super) env: BTreeMap<String, String>,
}

/// A model's settings over those of its profile: per flag, where null takes the profile's out, and per variable.
pub(super) fn merged(profiles: &Named<RawProfile>, model: &RawModel) -> Merged {
    let profile = model.profile.as_deref().and_then(|name| find(profiles, name));
    let (gpu_memory, mut args, mut env) = profile.map_or_else(Default::default, |it| (it.gpu_memory, it.args, it.env));
    let overruled = overruled(&args, model);
    args.retain(|flag, _| !overruled.contains_key(flag));
    for (flag, value) in model.args.iter().flatten() {
        let said: Vec<String> = args.keys().filter(|other| switch(other) == switch(flag)).cloned().collect();
        for other in said {
            args.shift_remove(&other);
        }
        if !value.is_null() {
            args.insert(flag.clone(), value.clone());
        }
    }
    env.extend(model.env.iter().flat_map(Named::iter).map(|(name, value)| (name.to_owned(), value.0.clone())));
    Merged { gpu_memory: model.gpu_memory.or(gpu_memory), args, overruled, env }
}

/// Whether the profile of `model` says something about `flag`, so that the model may take it out.
pub(super) fn profile_sets(profiles: &Named<RawProfile>, model: &RawModel, flag: &str) -> bool {
    let profile = model.profile.as_deref().and_then(|name| find(profiles, name));
    profile.is_some_and(|profile| profile.args.keys().any(|other| switch(other) == switch(flag)))
}

/// Profiles as a part of a configuration, to be read or pasted. Values of variables that hold secrets are left to the
/// environment.
#[must_use]
pub fn profiles_yaml(profiles: &[Profile]) -> String {
    let mut out = String::from("profiles:\n");
    for profile in profiles {
        let _ = writeln!(out, "  {}:", word(&profile.name));
        let _ = writeln!(out, "    description: {}", word(&profile.description));
        if let Some(share) = profile.gpu_memory {
            let _ = writeln!(out, "    gpu_memory: {share}");
        }
        if !profile.args.is_empty() {
            out.push_str("    args:\n");
        }
        for (flag, value) in &profile.args {
            let value = match value {
                Value::String(text) => word(text),
                // JSON is YAML.
                value => escaped(&value.to_string()),
            };
            let _ = writeln!(out, "      {}: {value}", word(flag));
        }
        if !profile.env.is_empty() {
            out.push_str("    env:\n");
        }
        for (name, value) in &profile.env {
            let value = if is_secret(name) { format!("${{{name}}}") } else { word(value) };
            let _ = writeln!(out, "      {}: {value}", word(name));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::types::{Config, Engines, Spawn};
    use super::super::{Diagnostics, parse};
    use super::*;

    fn read(text: &str) -> Result<Config, Diagnostics> {
        parse(text, &|name| (name == "HF_TOKEN").then(|| "hf-1".to_owned()))
    }

    fn spawn(text: &str) -> Spawn {
        let config = read(text).unwrap_or_else(|found| panic!("{found}\n{text}"));
        match &config.models[0].engines {
            Engines::Spawn(spawn) => spawn.clone(),
            Engines::Urls(_) => panic!("these engines run already"),
        }
    }

    #[test]
    fn every_builtin_profile_can_be_used_and_pasted() {
        for profile in builtin_profiles() {
            let name = &profile.name;
            let used = spawn(&format!("models: {{m: {{source: s, profile: {name}}}}}"));
            assert_eq!((&used.args, &used.env, used.gpu_memory), (&profile.args, &profile.env, profile.gpu_memory));
            assert_eq!(used.profile.as_deref(), Some(name.as_str()));
            let pasted = profiles_yaml(std::slice::from_ref(&profile)).replace(&format!("  {name}:"), "  mine:");
            let pasted = spawn(&format!("{pasted}models: {{m: {{source: s, profile: mine}}}}"));
            assert_eq!((pasted.args, pasted.env, pasted.gpu_memory), (used.args, used.env, used.gpu_memory), "{name}");
            assert!(!profile.args.contains_key("trust-remote-code"));
        }
        assert_eq!(builtin_profiles().len(), 7);
    }

    #[test]
    fn a_model_wins_over_its_profile_flag_by_flag() {
        let spawn = spawn(
            "profiles:\n  p:\n    gpu_memory: 0.5\n    args: {max-num-seqs: 8, enable-prefix-caching: true, dtype: half, tp: 2, seed: 1}\n    \
             env: {A: p, B: p}\nmodels:\n  m:\n    source: s\n    profile: p\n    gpu_memory: 0.6\n    \
             args: {max_num_seqs: 16, no_enable_prefix_caching: true, dtype: null, tensor-parallel-size: 1}\n    env: {B: m}\n",
        );
        let flags: Vec<String> = spawn.args.iter().map(|(flag, value)| format!("{flag}={value}")).collect();
        assert_eq!(flags, ["seed=1", "max_num_seqs=16", "no_enable_prefix_caching=true", "tensor-parallel-size=1"]);
        let env: Vec<String> = spawn.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!((env, spawn.gpu_memory), (vec!["A=p".to_owned(), "B=m".into()], Some(0.6)));
    }

    #[test]
    fn a_profile_of_a_builtin_name_replaces_it() {
        let spawn = spawn("profiles: {low_memory: {args: {seed: 1}}}\nmodels: {m: {source: s, profile: low_memory}}");
        assert_eq!((spawn.args.len(), spawn.env.len(), spawn.gpu_memory), (1, 0, None));
    }

    #[test]
    fn a_printed_profile_is_what_it_was_but_for_its_secrets() {
        let profile = Profile {
            name: "on".into(),
            description: "say: \"${x}\" # no comment".into(),
            gpu_memory: None,
            args: json!({ "a": "1.10", "b": { "c": "${d}" }, "e": ["x", 2], "f": "null", "g": false })
                .as_object()
                .cloned()
                .expect("an object"),
            env: [("HF_TOKEN", "hf-1"), ("N", "1.10"), ("E", "")].map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
        };
        let text = profiles_yaml(std::slice::from_ref(&profile));
        assert!(!text.contains("hf-1"), "{text}");
        let spawn = spawn(&format!("{text}models: {{m: {{source: s, profile: 'on'}}}}"));
        assert_eq!((spawn.args, spawn.env), (profile.args, profile.env), "{text}");
    }
}

//! The memory part of `enginehouse check`: what each model that is on disk needs, and whether its GPUs hold it.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

use crate::config::{Config, Engines, Model, Spawn, flag_value, is_vllm};
use crate::estimate::{self, EngineFlags, Estimate, Verdict};
use crate::placement::{Assignment, memory_share};

/// What one model needs on each of its GPUs, in bytes; `null`: unknown.
#[derive(Debug, Serialize)]
pub(super) struct Need {
    model: String,
    weights: Option<u64>,
    cache_per_token: Option<u64>,
    /// KV cache of one request of the greatest length.
    cache_per_request: Option<u64>,
    /// Tokens of such a request.
    max_model_len: Option<u64>,
    /// GPUs that one engine is spread over.
    gpus: u64,
    /// The same in words.
    told: String,
    /// Whether its GPUs hold it; `null`: which ones it gets is not known.
    fit: Option<Fit>,
}

/// Whether GPUs hold a model.
#[derive(Debug, Serialize)]
struct Fit {
    verdict: Word,
    told: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Fits,
    /// The engine may refuse to start.
    Tight,
    Cannot,
    Unknown,
}

/// What models need whose files are here.
pub(super) fn needs(config: &Config, assigned: &[Assignment], env: &dyn Fn(&str) -> Option<String>) -> Vec<Need> {
    config.models.iter().filter_map(|model| need(model, assigned, env)).collect()
}

/// Two lines at most for each model; empty when there is none. An estimate is no error: vLLM itself has the last word.
pub(super) fn text(needs: &[Need]) -> String {
    let mut out = String::new();
    for need in needs {
        let _ = writeln!(out, "{} {}", need.model, need.told);
        if let Some(Fit { verdict, told }) = &need.fit {
            let word = if matches!(verdict, Word::Cannot | Word::Tight) { "warning: " } else { "" };
            let _ = writeln!(out, "  {word}{told}");
        }
    }
    out
}

fn need(model: &Model, assigned: &[Assignment], env: &dyn Fn(&str) -> Option<String>) -> Option<Need> {
    let Engines::Spawn(spawn) = &model.engines else { return None };
    if !is_vllm(&spawn.command) {
        return None;
    }
    let (estimate, share) = estimate_of(model, spawn, assigned, env)?;
    let own = assigned.iter().filter(|assignment| is_of(assignment, model));
    let smallest = own.flat_map(|one| one.gpus.iter().flatten()).filter_map(|place| place.total).min();
    Some(Need {
        model: model.name.to_string(),
        weights: estimate.weights,
        cache_per_token: estimate.cache.as_ref().map(estimate::Cache::per_token),
        cache_per_request: estimate.per_request(),
        max_model_len: estimate.max_len,
        gpus: estimate.gpus,
        told: estimate::needs(&estimate),
        fit: smallest.map(|total| fit(&estimate, total, share)),
    })
}

fn fit(estimate: &Estimate, total: u64, share: f64) -> Fit {
    let verdict = estimate::fits(estimate, total, share);
    let word = match verdict {
        Verdict::Fits { .. } => Word::Fits,
        Verdict::Tight { .. } => Word::Tight,
        Verdict::Cannot { .. } => Word::Cannot,
        Verdict::Unknown(_) => Word::Unknown,
    };
    Fit { verdict: word, told: estimate::verdict(&verdict, total, share) }
}

fn is_of(assignment: &Assignment, model: &Model) -> bool {
    *assignment.engine.model() == *model.name
}

fn estimate_of(
    model: &Model,
    spawn: &Spawn,
    assigned: &[Assignment],
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<(Estimate, f64)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let given = |name: &str| flag_value(&spawn.args, name).map(text);
    let hub = |name: &str| match (name, given("download-dir")) {
        ("HF_HUB_CACHE", Some(folder)) => Some(folder),
        _ => spawn.env.get(name).cloned().or_else(|| env(name)),
    };
    let folder = estimate::find(&spawn.source, given("revision").as_deref(), &hub)?;
    let facts = estimate::read(&folder).ok()?;
    let mut flags = EngineFlags::from_flags(&given);
    let places = assigned.iter().find(|assignment| is_of(assignment, model)).and_then(|first| first.gpus.as_ref());
    if let Some(places) = places.filter(|_| given("tensor-parallel-size").is_none() && flags.gpus() == 1) {
        // As the command line will have it.
        flags.tensor_parallel = places.len().max(1) as u64;
    }
    flags.gpu_memory = places.and_then(|places| places.iter().filter_map(|place| place.total).min());
    let share = memory_share((spawn.gpu_memory, &spawn.args), &spawn.command, &spawn.gpus);
    Some((estimate::estimate(&facts, &flags), share))
}

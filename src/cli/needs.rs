//! The memory part of `enginehouse check`: what each model that is on disk needs, and whether its GPUs hold it.

use std::fmt::Write;

use serde_json::Value;

use crate::config::{Config, Engines, Model, Spawn, flag_value, is_vllm};
use crate::estimate::{self, EngineFlags, Estimate, Verdict};
use crate::placement::{Assignment, DEFAULT_SHARE};

/// Two lines at most for each model whose files are here; empty when there is none. An estimate is no error: vLLM itself
/// has the last word.
pub(super) fn told(config: &Config, assigned: &[Assignment], env: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    for model in &config.models {
        let Engines::Spawn(spawn) = &model.engines else { continue };
        if !is_vllm(&spawn.command) {
            continue;
        }
        let Some((estimate, share)) = estimate_of(model, spawn, assigned, env) else { continue };
        let _ = writeln!(out, "{} {}", model.name, estimate::needs(&estimate));
        let mut smallest: Option<u64> = None;
        for assignment in assigned.iter().filter(|assignment| is_of(assignment, model)) {
            let totals = assignment.gpus.iter().flatten().filter_map(|place| place.total);
            smallest = totals.chain(smallest).min();
        }
        if let Some(total) = smallest {
            let verdict = estimate::fits(&estimate, total, share);
            let word = if matches!(verdict, Verdict::Cannot { .. } | Verdict::Tight { .. }) { "warning: " } else { "" };
            let _ = writeln!(out, "  {word}{}", estimate::verdict(&verdict, total, share));
        }
    }
    out
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
    Some((estimate::estimate(&facts, &flags), spawn.gpu_memory.unwrap_or(DEFAULT_SHARE)))
}

//! What the engines of a configuration want.

use serde_json::{Map, Value};

use super::ranks::Ranks;
use super::types::Demand;
use crate::config::{Config, Engines, Gpus, Model, Spawn, flag_value, is_vllm};
use crate::ids::EngineId;

/// What vLLM takes unless told otherwise (`gpu_memory_utilization` of its `CacheConfig`; 0.9 until 2025).
const DEFAULT_SHARE: f64 = 0.92;

/// What every engine that `config` has us start wants, in file order.
#[must_use]
pub fn demands(config: &Config) -> Vec<Demand> {
    let spawned = config.models.iter().filter_map(|model| match &model.engines {
        Engines::Spawn(spawn) => Some((model, spawn)),
        Engines::Urls(_) => None,
    });
    spawned.flat_map(|(model, spawn)| (0..spawn.replicas).map(|replica| demand(model, spawn, replica))).collect()
}

/// What replica number `replica` of `model` wants.
#[must_use]
pub fn demand(model: &Model, spawn: &Spawn, replica: usize) -> Demand {
    let gpus = match &spawn.gpus {
        Gpus::Listed(gpus) => Gpus::Listed(share(gpus, spawn.replicas, replica).to_vec()),
        other => other.clone(),
    };
    let share = memory_share((spawn.gpu_memory, &spawn.args), &spawn.command, &gpus);
    let ranks = if is_vllm(&spawn.command) { Ranks::of(&spawn.args) } else { None };
    Demand {
        engine: EngineId::new(&model.name, replica),
        model: model.name.clone(),
        gpus,
        share,
        ranks,
        in_turns: spawn.load.is_on_demand(),
    }
}

/// The share of each GPU's memory that an engine takes which is started with `command` on `gpus`; 0: it is not known. `said`: the
/// share that its configuration says, and its flags, those of its profile among them.
#[must_use]
pub fn memory_share(said: (Option<f64>, &Map<String, Value>), command: &[String], gpus: &Gpus) -> f64 {
    let (share, args) = said;
    share.or_else(|| flag_value(args, "gpu-memory-utilization").and_then(number)).unwrap_or(match gpus {
        // Another server's size is not known: who lists its GPUs has thought of that, who has them chosen wants room.
        Gpus::Listed(_) if !is_vllm(command) => 0.0,
        _ => DEFAULT_SHARE,
    })
}

/// The GPUs of one replica: an even share of all, or one of them in turn when there are fewer than replicas. Further
/// replicas, which a model may be given at run time, have what the first ones have.
#[must_use]
pub fn share(gpus: &[String], replicas: usize, replica: usize) -> &[String] {
    let each = gpus.len() / replicas.max(1);
    if each > 0 {
        let from = replica % replicas.max(1) * each;
        gpus.get(from..from + each).unwrap_or_default()
    } else {
        gpus.get(replica % gpus.len().max(1)..).map_or(&[], |rest| &rest[..rest.len().min(1)])
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_shared_evenly_or_in_turn() {
        let gpus = ["0", "1", "2", "3"].map(String::from);
        let shares = |count: usize, replicas| -> Vec<String> {
            (0..replicas).map(|replica| share(&gpus[..count], replicas, replica).join(",")).collect()
        };
        assert_eq!(shares(4, 2), ["0,1", "2,3"]);
        assert_eq!(shares(1, 3), ["0", "0", "0"]);
        assert_eq!(shares(2, 3), ["0", "1", "0"]);
        assert_eq!(shares(0, 2), ["", ""]);
    }
}

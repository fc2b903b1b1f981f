//! What a configuration wants of the machine it is to run on.

use serde_json::Value;

use super::facts::{GpuNeed, Wanted};
use crate::config::{Config, Engines, Gpus, Spawn, flag_value, is_vllm};
use crate::{estimate, flags, placement};

/// What `config` wants; `env` is the environment that engines are started with.
pub(super) fn wanted(config: &Config, env: &dyn Fn(&str) -> Option<String>) -> Wanted {
    let is_chosen = config.source_map.line_of("limits.connections").is_some();
    let connections = is_chosen.then_some(config.limits.connections as u64);
    let mut wanted = Wanted { connections, gpu_need: GpuNeed::None, ..Wanted::default() };
    for model in &config.models {
        let Engines::Spawn(spawn) = &model.engines else { continue };
        wanted.processes += spawn.replicas;
        let is_vllm = is_vllm(&spawn.command);
        let is_here = flags::runs_elsewhere(&spawn.command).is_none();
        if is_vllm && is_here {
            wanted.engines += spawn.replicas;
            if !is_on_disk(spawn, env) && !wanted.downloads.contains(&spawn.source) {
                wanted.downloads.push(spawn.source.clone());
            }
        }
        let need = match &spawn.gpus {
            Gpus::AsVisible if is_vllm && is_here => GpuNeed::Likely,
            Gpus::AsVisible => GpuNeed::None,
            Gpus::Any(0) => GpuNeed::None,
            Gpus::Listed(gpus) if gpus.is_empty() => GpuNeed::None,
            _ => GpuNeed::Sure,
        };
        wanted.gpu_need = match (wanted.gpu_need, need) {
            (GpuNeed::Sure, _) | (_, GpuNeed::Sure) => GpuNeed::Sure,
            (GpuNeed::Likely, _) | (_, GpuNeed::Likely) => GpuNeed::Likely,
            _ => GpuNeed::None,
        };
    }
    for demand in placement::demands(config) {
        let gpus = match &demand.gpus {
            Gpus::AsVisible => 0,
            Gpus::Any(count) => *count,
            Gpus::Listed(gpus) => gpus.len(),
        };
        wanted.gpus += gpus;
        wanted.widest = wanted.widest.max(gpus);
    }
    wanted
}

/// Whether an engine would find its model here; a path counts as here, and `check` tells when it is not.
fn is_on_disk(spawn: &Spawn, env: &dyn Fn(&str) -> Option<String>) -> bool {
    let given = |name: &str| flag_value(&spawn.args, name).and_then(Value::as_str).map(str::to_owned);
    let hub = |name: &str| match (name, given("download-dir")) {
        ("HF_HUB_CACHE", Some(folder)) => Some(folder),
        _ => spawn.env.get(name).cloned().or_else(|| env(name)),
    };
    spawn.source.starts_with(['/', '.', '~'])
        || estimate::find(&spawn.source, given("revision").as_deref(), &hub).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(models: &str) -> Wanted {
        let config = crate::config::parse(&format!("models: {{{models}}}"), &|_| None).expect("a configuration");
        wanted(&config, &|_| None)
    }

    #[test]
    fn engines_gpus_and_downloads_are_counted() {
        let found = of(
            "a: {source: org/a, gpus: [0, 1, 2, 3], replicas: 2}, b: {source: org/b, gpus: 1}, c: {urls: ['http://h:1']}",
        );
        let want = Wanted {
            engines: 3,
            processes: 3,
            gpus: 5,
            widest: 2,
            gpu_need: GpuNeed::Sure,
            downloads: vec!["org/a".into(), "org/b".into()],
            connections: None,
        };
        assert_eq!(found, want);
    }

    #[test]
    fn what_runs_elsewhere_or_is_no_vllm_wants_nothing_here() {
        let sim = of("a: {source: s, command: [enginehouse, sim]}");
        assert_eq!((sim.engines, sim.processes, sim.gpu_need), (0, 1, GpuNeed::None));
        assert_eq!(of("c: {urls: ['http://h:1']}").gpu_need, GpuNeed::None);
        let docker = of("a: {source: org/a, command: [docker, run, vllm/vllm-openai]}");
        assert_eq!((docker.engines, docker.downloads.len()), (0, 0));
        let plain = of("a: {source: /models/a}");
        assert_eq!((plain.gpu_need, plain.downloads.len()), (GpuNeed::Likely, 0));
    }
}

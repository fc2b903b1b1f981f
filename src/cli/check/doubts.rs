//! What a valid configuration says that may not hold on this machine, or that nobody can know beforehand.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::{Config, Diagnostic, Engines, Gpus, Severity, Spawn, is_vllm};
use crate::flags;
use crate::placement::{self, Demand};

/// The program that simulates an engine: it reads no files.
const SIMULATOR: &str = "enginehouse";

/// Warnings about `config`.
pub(super) fn doubts(config: &Config) -> Vec<Diagnostic> {
    let mut found = missing_files(config);
    found.extend(crowded(config));
    found.extend(without_turns(config));
    found
}

/// Weights and adapters that are to be on this disk and are not.
fn missing_files(config: &Config) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for model in &config.models {
        let Engines::Spawn(spawn) = &model.engines else { continue };
        let is_simulated = spawn.command.first().is_some_and(|program| program == SIMULATOR);
        if is_simulated || flags::runs_elsewhere(&spawn.command).is_some() {
            continue;
        }
        let mut look = |settings: &[&str], text: &str| {
            let (reason, remedy) = match text.strip_prefix("~/") {
                Some(rest) => (
                    "Only a shell replaces `~`: engines look for a folder of that name.",
                    format!("Write ${{HOME}}/{rest}."),
                ),
                None if text.starts_with('/') && !Path::new(text).exists() => (
                    "There is no such file or folder on this machine.",
                    "Correct the path, unless the engines run on another machine.".into(),
                ),
                None => return,
            };
            found.push(config.source_map.diagnostic(Severity::Warning, &[settings], reason, remedy));
        };
        look(&["models", &model.name, "source"], &spawn.source);
        for (name, source) in &spawn.lora {
            look(&["models", &model.name, "lora", name], source);
        }
    }
    found
}

/// GPUs that several engines list, of which nobody knows how much memory they take.
fn crowded(config: &Config) -> Option<Diagnostic> {
    let demands = placement::demands(config);
    let unknown = |demand: &&Demand| demand.share <= 0.0;
    let mut users: BTreeMap<&str, Vec<&Demand>> = BTreeMap::new();
    for demand in &demands {
        let Gpus::Listed(gpus) = &demand.gpus else { continue };
        gpus.iter().for_each(|gpu| users.entry(gpu).or_default().push(demand));
    }
    let (gpu, users) = users.into_iter().find(|(_, users)| users.len() > 1 && users.iter().any(unknown))?;
    let first = users.iter().copied().find(unknown)?;
    let names: Vec<&str> = users.iter().map(|user| user.engine.as_str()).collect();
    let reason = format!(
        "GPU {gpu} is listed for {} engines ({}), and nobody knows how much of its memory {} takes.",
        users.len(),
        names.join(", "),
        first.engine
    );
    let remedy = "Write `gpu_memory` (a share of the GPU) at each of these models, or give them different `gpus`.";
    let settings: [&[&str]; 2] = [&["models", &first.model, "gpus"], &["models", &first.model]];
    Some(config.source_map.diagnostic(Severity::Warning, &settings, reason, remedy))
}

/// Models that are loaded on demand and of which nobody knows on which GPUs: no other one ends for them, nor they for others.
fn without_turns(config: &Config) -> Option<Diagnostic> {
    let started = config.models.iter().filter_map(|model| match &model.engines {
        Engines::Spawn(spawn) => Some((&model.name, spawn)),
        Engines::Urls(_) => None,
    });
    let started: Vec<_> = started.filter(|(_, spawn)| is_vllm(&spawn.command)).collect();
    let is_blind = |spawn: &Spawn| spawn.load.is_on_demand() && spawn.gpus == Gpus::AsVisible;
    let (name, _) = started.iter().find(|(_, spawn)| started.len() > 1 && is_blind(spawn))?;
    let reason = format!("`{name}` takes no turns with other models: nobody knows which GPUs it takes.");
    let remedy = "Write `gpus`, such as `gpus: [0]`, or `gpus: 1` for any that has room.";
    let settings: [&[&str]; 2] = [&["models", name, "load"], &["models", name]];
    Some(config.source_map.diagnostic(Severity::Warning, &settings, reason, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(models: &str) -> Vec<String> {
        let config = crate::config::parse(&format!("models: {{{models}}}"), &|_| None).expect("a configuration");
        doubts(&config).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn files_that_are_not_here_are_told_at_their_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = folder.path().display();
        assert_eq!(
            told(&format!("m: {{source: {here}, lora: {{sql: {here}, law: org/law}}}}, n: {{source: org/name}}")),
            Vec::<String>::new()
        );
        let all = told(&format!("m: {{source: {here}/no, lora: {{sql: {here}/sql, tax: ~/tax}}}}"));
        let [source, sql, tax] = &all[..] else { panic!("{all:?}") };
        assert!(
            source.starts_with("warning: models.m.source, line 1: ") && source.contains("no such file or folder"),
            "{source}"
        );
        assert!(sql.starts_with("warning: models.m.lora.sql, line 1"), "{sql}");
        assert!(tax.contains("-> Write ${HOME}/tax."), "{tax}");
        for elsewhere in ["[docker, run, vllm-openai]", "[enginehouse, sim]"] {
            assert_eq!(told(&format!("m: {{source: /no/such, command: {elsewhere}}}")), Vec::<String>::new());
        }
    }

    #[test]
    fn models_on_demand_whose_gpus_nobody_knows_are_told() {
        let [one] = &told("a: {source: a, load: on_demand}, b: {source: b, gpus: [0], load: on_demand}")[..] else {
            panic!("one")
        };
        assert!(one.starts_with("warning: models.a.load, line 1: ") && one.contains("takes no turns"), "{one}");
        for fine in ["a: {source: a, load: on_demand}", "a: {source: a, gpus: 1, load: on_demand}, b: {source: b}"] {
            assert_eq!(told(fine), Vec::<String>::new(), "{fine}");
        }
    }

    #[test]
    fn engines_on_one_gpu_whose_memory_nobody_knows_are_told() {
        let sim = "command: [enginehouse, sim], source: s";
        let [one] = &told(&format!("a: {{{sim}, gpus: [0, 1]}}, b: {{{sim}, gpus: [1]}}"))[..] else { panic!("one") };
        let expected = "warning: models.a.gpus, line 1: a list of 2\n    GPU 1 is listed for 2 engines (a/0, b/0), and nobody \
                        knows how much of its memory a/0 takes.\n    -> Write `gpu_memory`";
        assert!(one.starts_with(expected), "{one}");
        for fine in [
            format!("a: {{{sim}, gpus: [0]}}, b: {{{sim}, gpus: [1]}}"),
            format!("a: {{{sim}, gpus: [0], gpu_memory: 0.4}}, b: {{{sim}, gpus: [0], gpu_memory: 0.4}}"),
            format!("a: {{{sim}}}, b: {{{sim}}}"),
        ] {
            assert_eq!(told(&fine), Vec::<String>::new(), "{fine}");
        }
    }
}

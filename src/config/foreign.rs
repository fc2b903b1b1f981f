//! Recognises configuration files of other programs, so that one sentence is said instead of a fault for each of their keys.

use super::diagnostic::Diagnostics;
use super::document::{Kind, Node};

/// What is said of another program's file.
struct Foreign {
    /// Whose it is.
    whose: &'static str,
    /// What to do with it.
    remedy: &'static str,
    /// Whether a file with these members, at its top, is one.
    is_one: fn(&Members) -> bool,
}

/// The members of a mapping.
type Members = [(String, u64, Node)];

const KNOWN: [Foreign; 8] = [
    Foreign {
        whose: "llama-swap",
        remedy: "Convert it: `enginehouse import llama-swap FILE`. conf/import.md says what becomes of each key.",
        is_one: |top| mapping(top, "models").is_some_and(|all| any_has(all, &["cmd"])),
    },
    Foreign {
        whose: "the LiteLLM proxy",
        remedy: "Convert it: `enginehouse import litellm FILE`. conf/import.md says what becomes of each key.",
        is_one: |top| get(top, "model_list").is_some(),
    },
    Foreign {
        whose: "vLLM's production-stack (Helm values)",
        remedy: "Write a model here for each entry of `modelSpec`: `modelURL` is `source`, `replicaCount` is `replicas`, \
                 `requestGPU` is `gpus`, and `vllmConfig` are `args`.",
        is_one: |top| get(top, "servingEngineSpec").is_some() || get(top, "routerSpec").is_some(),
    },
    Foreign {
        whose: "vllm-cli's proxy",
        remedy: "Convert it: `enginehouse import vllm-cli FILE`. conf/import.md says what becomes of each key.",
        is_one: |top| list(top, "models").is_some_and(|all| all.iter().any(|one| has(one, "model_path"))),
    },
    Foreign {
        whose: "NeMo Gym",
        remedy: "Convert it: `enginehouse import gym FILE`.",
        is_one: |top| any_has(top, &["responses_api_models", "responses_api_agents"]),
    },
    Foreign {
        whose: "vllm-cli (profiles)",
        remedy: "Convert them: `enginehouse import vllm-cli FILE`, with the proxy configuration that uses them, or alone as a \
                 part of a configuration.",
        is_one: |top| !top.is_empty() && top.iter().all(|(_, _, one)| has(one, "config") && has(one, "name")),
    },
    Foreign {
        whose: "Docker Compose",
        remedy: "Write a model here for each vLLM among its `services`: with `source` and `args`, if Enginehouse is to run it, or \
                 with its address under `urls`.",
        is_one: |top| mapping(top, "services").is_some_and(|all| any_has(all, &["image", "build"])),
    },
    Foreign {
        whose: "vLLM (`vllm serve --config`)",
        remedy: "Write a model here: `models: { NAME: { source: …, args: { … } } }`, where `model` is `source` and its other \
                 keys are `args`, without `host`, `port` and `served-model-name`.",
        is_one: |top| get(top, "models").is_none() && top.iter().any(|(key, ..)| is_flag_of_vllm(key)),
    },
];

/// What is said of the file whose top is `root`, if it is another program's.
pub(super) fn recognise(root: &Node) -> Option<Diagnostics> {
    let Kind::Map(top) = &root.kind else { return None };
    let found = KNOWN.iter().find(|foreign| (foreign.is_one)(top))?;
    let reason = format!("This is a configuration of {}, not of Enginehouse.", found.whose);
    Some(Diagnostics::file(reason, found.remedy))
}

/// A flag that only vLLM has, or `model`, which stands at the top of no file of ours.
fn is_flag_of_vllm(key: &str) -> bool {
    const FLAGS: [&str; 7] = [
        "dtype",
        "gpu-memory-utilization",
        "max-model-len",
        "max-num-seqs",
        "model",
        "served-model-name",
        "tensor-parallel-size",
    ];
    FLAGS.contains(&&*key.replace('_', "-"))
}

fn get<'a>(members: &'a Members, key: &str) -> Option<&'a Node> {
    members.iter().find(|(name, ..)| name == key).map(|(_, _, node)| node)
}

fn mapping<'a>(members: &'a Members, key: &str) -> Option<&'a Members> {
    match &get(members, key)?.kind {
        Kind::Map(members) => Some(members),
        _ => None,
    }
}

fn list<'a>(members: &'a Members, key: &str) -> Option<&'a [Node]> {
    match &get(members, key)?.kind {
        Kind::List(items) => Some(items),
        _ => None,
    }
}

fn has(node: &Node, key: &str) -> bool {
    matches!(&node.kind, Kind::Map(members) if get(members, key).is_some())
}

/// Whether one of the members is a mapping with one of these keys.
fn any_has(members: &Members, keys: &[&str]) -> bool {
    members.iter().any(|(_, _, node)| keys.iter().any(|key| has(node, key)))
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    #[test]
    fn the_file_of_another_program_is_told_in_one_sentence_with_what_to_do() {
        for (text, whose, word) in [
            (
                "healthCheckTimeout: 300\nmodels:\n  q:\n    cmd: vllm serve x\n    ttl: 600\n",
                "llama-swap",
                "import llama-swap",
            ),
            ("model_list:\n  - model_name: q\nlitellm_settings: {}\n", "LiteLLM", "import litellm"),
            ("servingEngineSpec:\n  modelSpec: [{ name: q }]\n", "production-stack", "modelURL"),
            ("proxy: { port: 8000 }\nmodels: [{ name: q, model_path: x }]\n", "vllm-cli's proxy", "import vllm-cli"),
            (
                "{\"fast\": {\"name\": \"Fast\", \"icon\": \"x\", \"config\": {\"max_num_seqs\": 8}}}",
                "vllm-cli",
                "import vllm-cli",
            ),
            ("policy: { responses_api_models: { vllm_model: {} } }\n", "NeMo Gym", "import gym"),
            ("services:\n  vllm: { image: vllm/vllm-openai, ports: [8000] }\n", "Docker Compose", "services"),
            ("model: Qwen/Qwen3-8B\nport: 8000\nmax-model-len: 4096\n", "vllm serve --config", "args"),
            ("tensor_parallel_size: 2\n", "vllm serve --config", "args"),
        ] {
            let told = parse(text, &|_| None).expect_err("not ours");
            assert_eq!(told.0.len(), 1, "{told}");
            let one = &told.0[0];
            assert!(one.reason.contains(whose) && one.remedy.contains(word), "{told}");
        }
    }

    #[test]
    fn a_file_of_ours_with_a_fault_is_judged_as_ours() {
        for text in [
            "models: { m: { source: s, comand: [x] } }\n",
            "models: { m: { source: s } }\nmodel: x\n",
            "models: { m: { name: n, config: {} } }\n",
            "listen: 1\n",
            "modles: { m: { source: s } }\n",
        ] {
            let told = parse(text, &|_| None).expect_err("a fault").to_string();
            assert!(!told.contains("not of Enginehouse"), "{told}");
        }
    }
}

//! Whole imports of vllm-cli's files.

use std::process::ExitCode;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::input::File;
use super::super::testing::{Printed, imported, passes, printed, says_the_same, shaped};
use super::{convert, import};

fn of(texts: &[(&str, &str)]) -> Printed {
    printed(import, texts)
}

fn ours() -> Printed {
    let all = imported("vllm-cli");
    of(&all.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>())
}

#[test]
fn files_of_ours_pass_together_and_alone_and_show_no_secret() {
    let got = ours();
    passes(&got);
    let all = format!("{}{}", got.out, got.err);
    for secret in ["0123456789", "abcdefghijkl", "sk-embedding"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    let has_models = |name: &str| !name.ends_with("config.yaml") && !name.ends_with("profiles.json");
    for (name, text) in imported("vllm-cli").iter().filter(|(name, _)| has_models(name)) {
        passes(&of(&[(name, text)]));
    }
}

#[test]
fn the_gateway_its_profiles_and_its_models() {
    let got = ours();
    assert_eq!(got.config["listen"], "0.0.0.0:8000");
    assert_eq!((&got.config["cors"], &got.config["log"]), (&json!({ "origins": ["*"] }), &json!({ "access": false })));
    let expected = json!({
        "description": "Small batches",
        "gpu_memory": 0.85,
        "args": { "tensor-parallel-size": 4, "max-num-seqs": 16, "kv-cache-dtype": "fp8" },
        "env": { "VLLM_LOGGING_LEVEL": "DEBUG", "CACHE_TOKEN": "${CAREFUL_CACHE_TOKEN}" },
    });
    assert_eq!(got.config["profiles"]["careful"], expected, "{}", got.out);
    assert_eq!(
        got.config["profiles"]["flat"],
        json!({ "args": { "max-model-len": 8192, "quantization": "awq" }, "env": { "OMP_NUM_THREADS": "4" } })
    );
    let expected = json!({
        "source": "org/chat-14b",
        "gpus": [0, 1],
        "profile": "careful",
        "start_order": 1,
        "port": 8002,
        "args": { "max-model-len": 32768, "enable-chunked-prefill": false, "seed": 7, "tensor-parallel-size": null },
        "env": { "HF_HOME": "/srv/hub", "HF_TOKEN": "${HF_TOKEN}" },
        "sleep_mode": true,
    });
    assert_eq!(got.config["models"]["chat-14b"], expected, "{}", got.out);
    let base = &got.config["models"]["base-7b"];
    assert_eq!(
        (&base["lora"], &base["args"]),
        (&json!({ "sql": "/srv/adapters/sql", "legal": "/srv/adapters/legal" }), &json!({ "max-lora-rank": 32 }))
    );
    assert_eq!(got.config["models"]["embed"]["api_key"], "${EMBED_API_KEY}");
    assert_eq!(
        (&base["sleep_mode"], got.config["models"]["quick"].get("sleep_mode")),
        (&json!(true), None),
        "its proxy's alone"
    );
    assert_eq!(
        (&got.config["models"]["quick"]["gpus"], &got.config["models"]["quick"]["profile"]),
        (&json!([4]), &json!("flat"))
    );
    assert_eq!(got.config["models"].get("spare"), None);
}

#[test]
fn names_wildcards_ports_and_models_that_are_off() {
    let got = ours();
    let aliases = &got.config["aliases"];
    assert_eq!(
        (&aliases["chat"], &aliases["chat-model"]),
        (&json!({ "model": "chat-14b" }), &json!({ "model": "chat-14b" }))
    );
    assert_eq!(
        (&aliases["*"], &aliases["org/embed-small"]),
        (&json!({ "model": "catch-all-1b" }), &json!({ "model": "embed" })),
        "{aliases}"
    );
    assert!(got.out.contains("  # spare:\n  #   ") && got.out.contains("#   source: org/spare-2b\n"), "{}", got.out);
    for part in [
        "models[0].port: 8001 is 8002 now, because",
        "models[2].port: 8003 is 8004 now",
        "models[3]: it is not enabled",
        "models[3].profile: `memory-optimized` was left out",
        "models[2].profile: the built-in profile `high_throughput`",
        "models[0].enable_chunked_prefill: ",
        "server_defaults: was left out",
    ] {
        assert!(got.err.contains(part), "{part} in {}", got.err);
    }
}

#[test]
fn engines_of_its_proxy_can_sleep_unless_an_override_says_otherwise() {
    let model = |overrides: &str| {
        let text = format!(r#"{{"models": [{{"name": "m", "model_path": "org/m", "port": 8011{overrides}}}]}}"#);
        of(&[("p.json", text.as_str())]).config["models"]["m"]["sleep_mode"].clone()
    };
    assert_eq!(model(""), true);
    assert_eq!(model(r#", "config_overrides": {"enable_sleep_mode": false}"#), Value::Null);
}

#[test]
fn a_proxy_on_another_port_moves_the_operators() {
    let got = of(&[(
        "p.json",
        r#"{"proxy": {"host": "localhost", "port": 8001, "enable_cors": false, "enable_metrics": false}, "models": [{"name": "m", "model_path": "org/m", "port": 8011}]}"#,
    )]);
    passes(&got);
    assert_eq!(
        (&got.config["listen"], &got.config["admin"]),
        (&json!("127.0.0.1:8001"), &json!({ "listen": "127.0.0.1:8011", "metrics": false }))
    );
    assert_eq!(got.config.get("cors"), None);
    assert!(got.err.contains("models[0].port: 8011 is 8012 now"), "{}", got.err);
}

#[test]
fn ports_are_not_those_of_other_engines() {
    let got = of(&[(
        "p.yaml",
        "models: [{ name: m, model_path: m, port: 21500 }, { name: p, model_path: p, port: 22000 }, { name: o, \
            model_path: o, port: 0 }]",
    )]);
    passes(&got);
    let ports = ["m", "p", "o"].map(|name| got.config["models"][name]["port"].clone());
    assert_eq!(ports, [json!(22000), json!(22001), Value::Null], "{}", got.out);
}

#[test]
fn profiles_alone_are_a_part_of_a_configuration() {
    let got = of(&[(
        "p.json",
        r#"{"version": "1.0", "profile": {"name": "Fast one", "config": {"max_num_seqs": 8}, "environment": {}}}"#,
    )]);
    assert_eq!(
        (got.code, got.config),
        (ExitCode::SUCCESS, json!({ "profiles": { "Fast one": { "args": { "max-num-seqs": 8 } } } }))
    );
    assert!(got.err.starts_with("Profiles for a configuration"), "{}", got.err);
}

#[test]
fn what_is_none_or_has_none_fails() {
    let got = of(&[("x.yaml", "a: 1")]);
    assert_eq!((got.code, got.out.as_str()), (ExitCode::FAILURE, ""));
    assert!(got.err.contains("x.yaml: this is no file of vllm-cli"), "{}", got.err);
    let got = of(&[("x.yaml", "models: [{ name: m }, 3, { model_path: org/n }]")]);
    assert_eq!(got.code, ExitCode::FAILURE);
    for part in [
        "models[0]: was left out: it does not say which model",
        "models[1]: was left out: it is not a mapping",
        "models[2]: was left out: it has no name",
    ] {
        assert!(got.err.contains(part), "{part} in {}", got.err);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_file_converts_to_yaml_that_says_the_same(tree in shaped(&[
        "models", "proxy", "host", "port", "name", "model_path", "gpu_ids", "profile", "config_overrides", "aliases", "lora_modules", "extra_args",
        "enabled", "loading_priority", "shortcuts", "profiles", "config", "environment", "universal_environment", "hf_token", "tensor_parallel_size",
    ]), models in prop::collection::vec(("[a*]", any::<bool>(), any::<u16>()), 0..4)) {
        let mut tree = tree.as_object().cloned().unwrap_or_default();
        let overrides = tree.get("config_overrides").cloned().unwrap_or(Value::Null);
        let entry = |(name, enabled, port): (String, bool, u16)| json!({ "name": name, "model_path": "org/m", "enabled": enabled, "port": port, "config_overrides": overrides });
        let models: Vec<Value> = models.into_iter().map(entry).collect();
        if !models.is_empty() {
            tree.insert("models".into(), models.into());
        }
        if let Ok(outcome) = convert(vec![File { name: "f".into(), tree }]) {
            says_the_same(&outcome)?;
        }
    }
}

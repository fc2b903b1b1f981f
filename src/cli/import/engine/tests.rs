//! Engines as they are written.

use serde_json::{Value, json};

use super::super::document::Section;
use super::super::draft::Draft;
use super::super::words::{arguments, split};
use super::Engine;

/// The model of an engine with these words and variables, and what was said.
fn model(words: &str, env: &[(&str, &str)]) -> (Value, Vec<String>) {
    let mut engine = Engine { source: Some("org/m".into()), ..Engine::default() };
    for (name, value) in arguments(&split(words).expect("closed")).flags {
        engine.flag(&name, value);
    }
    for (name, value) in env {
        engine.variable(name, (*value).into());
    }
    let (mut draft, mut out) = (Draft::default(), Section::default());
    engine.write(&mut draft, "m", "m", &mut out, Section::default());
    (out.value(), draft.notes.into_report())
}

#[test]
fn flags_with_a_key_of_their_own_have_it() {
    let words = "--host 0.0.0.0 --port 8001 --gpu-memory-utilization 0.9 --enable-sleep-mode --lora-modules \
        sql=/a/sql \
                 '{\"name\": \"legal\", \"path\": \"/a/l\"}' --api-key sk-0123456789 --max-model-len 32k \
                     --no-enable-lora \
                 --no-enable-prefix-caching --hf-token hf_0123456789 --hf-overrides '{\"a\": {\"b\": 1}}'";
    let (model, said) =
        model(words, &[("CUDA_VISIBLE_DEVICES", "0, 2"), ("OMP_NUM_THREADS", "4"), ("VLLM_SERVER_DEV_MODE", "1")]);
    let expected = json!({
        "source": "org/m",
        "gpus": [0, 2],
        "gpu_memory": 0.9,
        "args": { "max-model-len": "32k", "enable-prefix-caching": false, "hf-overrides": { "a": { "b": 1 } } },
        "env": { "HF_TOKEN": "${HF_TOKEN}", "OMP_NUM_THREADS": "4" },
        "lora": { "sql": "/a/sql", "legal": "/a/l" },
        "sleep_mode": true,
        "api_key": "${M_API_KEY}",
    });
    assert_eq!(model, expected);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(!format!("{model}{said:?}").contains("0123456789"));
}

#[test]
fn gpus_follow_from_lists_and_parallel_sizes() {
    let of = |words: &str, env: &[(&str, &str)]| {
        let (model, said) = model(words, env);
        (model["gpus"].clone(), model["args"].clone(), said.len())
    };
    let two = [("CUDA_VISIBLE_DEVICES", "0,1")];
    assert_eq!(of("", &[]), (Value::Null, Value::Null, 0));
    assert_eq!(of("-tp 2", &[]), (json!(2), Value::Null, 0));
    assert_eq!(
        of("-tp 2 -pp 2", &[]),
        (json!(4), json!({ "tensor-parallel-size": 2, "pipeline-parallel-size": 2 }), 0)
    );
    assert_eq!(of("-dp 2", &[]), (json!(2), json!({ "data-parallel-size": 2 }), 0));
    assert_eq!(of("-tp 2", &two), (json!([0, 1]), Value::Null, 0));
    assert_eq!(of("-tp 1", &two), (json!([0, 1]), json!({ "tensor-parallel-size": 1 }), 0));
    assert_eq!(of("-tp 4", &two), (json!([0, 1]), Value::Null, 1));
    assert_eq!(of("-tp x", &two), (json!([0, 1]), Value::Null, 1));
    assert_eq!(of("-tp 16 --nnodes 2", &[]), (Value::Null, json!({ "tensor-parallel-size": 16, "nnodes": 2 }), 0));
    assert_eq!(of("", &[("CUDA_VISIBLE_DEVICES", "1,1")]), (json!([1]), Value::Null, 1));
    assert_eq!(of("", &[("CUDA_VISIBLE_DEVICES", "MIG-a/b")]), (json!(["MIG-a/b"]), Value::Null, 0));
    assert_eq!(of("", &[("CUDA_VISIBLE_DEVICES", "-1")]), (Value::Null, Value::Null, 1));
}

#[test]
fn what_cannot_be_here_is_said() {
    let (model, said) = model(
        "--swap-space 4 --ssl-keyfile /k --gpu-memory-utilization 1.0 --kv-transfer-token \
            abc",
        &[("1A", "x")],
    );
    assert_eq!(model, json!({ "source": "org/m", "gpu_memory": 0.95 }));
    for part in [
        "m.swap-space: `swap-space` was left out: vLLM 0.32",
        "m.ssl-keyfile",
        "m.gpu-memory-utilization",
        "m.kv-transfer-token",
        "m.1A",
    ] {
        assert!(said.iter().any(|said| said.starts_with(part)), "{part} in {said:?}");
    }
}

//! Bad models and profiles, and exactly what is reported about them.

use super::support::{assert_found, assert_found_in_model, found};

#[test]
fn where_engines_come_from() {
    assert_found("models: {m: {}}", &[("models.m", "neither `source` nor `urls`")]);
    assert_found_in_model("urls: ['http://h:1']", &[("models.m.urls", "both")]);
    assert_found(
        "models: {m: {urls: ['http://h:1'], gpus: [0], env: {A: b}}}",
        &[("models.m.env", "run already"), ("models.m.gpus", "run already")],
    );
    assert_found(
        "models: {m: {urls: ['http://h:1/v1?k=x', 'http://h:2/b', 'h:3', 'http://h:2/b/v1', 'http://localhost:8000', 'http://h:2/c']}}",
        &[
            ("models.m.urls[0]", "Write http://h:1."),
            ("models.m.urls[2]", "Write http://h:3"),
            ("models.m.urls[3]", "urls[1]"),
            ("models.m.urls[4]", "to itself again"),
        ],
    );
    assert_found("models: {m: {urls: []}}", &[("models.m.urls", "empty")]);
    assert_found_in_model("command: []", &[("models.m.command", "empty")]);
    assert_found_in_model("command: vllm serve", &[("models.m.command", "[vllm, serve]")]);
    assert_found_in_model("command: [vllm, '']", &[("models.m.command[1]", "empty")]);
    assert_found("models: {m: {source: ' '}}", &[("models.m.source", "empty")]);
    assert_found("models: {m: {source: }}", &[("models.m.source", "Nothing is written")]);
}

#[test]
fn gpus() {
    assert_found_in_model("gpus: two", &[("models.m.gpus", "")]);
    assert_found_in_model("gpus: 0", &[("models.m.gpus", "")]);
    assert_found_in_model(
        "gpus: [cuda:0, 01, -1]",
        &[("models.m.gpus[0]", ""), ("models.m.gpus[1]", ""), ("models.m.gpus[2]", "")],
    );
    assert_found_in_model("gpus: [0, 1, 2], replicas: 2", &[("models.m.gpus", "split evenly")]);
    assert_found_in_model("gpus: [1, 1]", &[("models.m.gpus", "twice")]);
    assert_found_in_model("gpus: [0, 1], args: {tensor_parallel_size: 4}", &[("models.m.gpus", "need 4")]);
    assert_found_in_model("gpus: [0, 1], args: {tp: 2, pp: 2}", &[("models.m.gpus", "need 4")]);
    assert_found_in_model("gpu_memory: 90", &[("models.m.gpu_memory", "such as 0.9")]);
    assert_found_in_model("gpu_memory: 0", &[("models.m.gpu_memory", "more than 0")]);
    assert_found_in_model(
        "gpus: [0], env: {CUDA_VISIBLE_DEVICES: 1}",
        &[("models.m.env.CUDA_VISIBLE_DEVICES", "gpus")],
    );
    assert_found(
        "models:\n  a: {source: s, gpus: [0, 1], gpu_memory: 0.6}\n  b: {source: s, gpus: [1, 0], gpu_memory: 0.5}\n",
        &[("models.b.gpu_memory", "GPUs 0, 1: the models claim 1.10 of the memory (a 0.6, b 0.5)")],
    );
}

#[test]
fn flags_and_variables() {
    assert_found_in_model(
        "args: {port: 1, served_model_name: x, no-headless: true}",
        &[
            ("models.m.args.no-headless", ""),
            ("models.m.args.port", "free port"),
            ("models.m.args.served_model_name", "`served_name`"),
        ],
    );
    assert_found_in_model("args: {--seed: 1}", &[("models.m.args.--seed", "Write `seed`")]);
    assert_found_in_model("args: {a-b: 1, a_b: 2}", &[("models.m.args.a_b", "same flag as `a-b`")]);
    assert_found_in_model(
        "args: {a: , b: [], c: [null]}",
        &[("models.m.args.a", "Nothing"), ("models.m.args.b", "empty"), ("models.m.args.c", "")],
    );
    assert_found_in_model("env: {1A: x, B: [y]}", &[("models.m.env.1A", "name"), ("models.m.env.B", "found a list")]);
}

#[test]
fn profiles_exist_and_hold_what_any_model_can_use() {
    assert_found_in_model("profile: low_memry", &[("models.m.profile", "Did you mean `low_memory`?")]);
    assert_found(
        "profiles: {fast: {}}\nmodels: {m: {source: s, profile: fats}}",
        &[("models.m.profile", "Did you mean `fast`? Profiles here: `fast`, `standard`")],
    );
    assert_found(
        "profiles:\n  p:\n    gpu_memory: 95\n    args: {--seed: 1, port: 1, dtype: , gpu_memory_utilization: 0.5}\n    \
         env: {1A: x, CUDA_VISIBLE_DEVICES: 0, VLLM_API_KEY: k}\nmodels: {m: {source: s, profile: p}}",
        &[
            ("profiles.p.gpu_memory", "such as 0.95"),
            ("profiles.p.args.--seed", "Write `seed`"),
            ("profiles.p.args.dtype", "Nothing is written"),
            ("profiles.p.args.gpu_memory_utilization", "as `gpu_memory`"),
            ("profiles.p.args.port", "chooses a free port"),
            ("profiles.p.env.1A", "environment variable"),
            ("profiles.p.env.CUDA_VISIBLE_DEVICES", "`gpus` at each model"),
            ("profiles.p.env.VLLM_API_KEY", "of each model"),
        ],
    );
}

#[test]
fn rules_see_what_a_model_and_its_profile_come_to() {
    assert_found(
        "profiles: {p: {args: {tp: 2}}}\nmodels: {m: {source: s, profile: p, gpus: [0, 1], args: {pp: 4}}}",
        &[("models.m.gpus", "need 4")],
    );
    assert_found(
        "models:\n  a: {source: s, gpus: [0], profile: high_throughput}\n  b: {source: s, gpus: [0], gpu_memory: 0.2}",
        &[("models.b.gpu_memory", "a 0.95, b 0.2")],
    );
}

#[test]
fn null_takes_a_flag_of_the_profile_out_and_nothing_else() {
    assert_found_in_model("args: {seed: }", &[("models.m.args.seed", "Nothing is written here.")]);
    assert_found_in_model(
        "profile: low_memory, args: {quantization: , seed: }",
        &[("models.m.args.seed", "`low_memory` does not set this one")],
    );
}

#[test]
fn what_has_a_key_of_its_own_is_no_flag() {
    assert_found_in_model(
        "args: {enable-lora: true, enable_sleep_mode: true, hf-token: hf_leak}",
        &[
            ("models.m.args.enable-lora", "Write `lora`"),
            ("models.m.args.enable_sleep_mode", "`sleep_mode: true`"),
            ("models.m.args.hf-token", "process list"),
        ],
    );
    let found =
        found("models: {m: {source: s, command: [x, --api-key, leak1, --token=leak2], args: {hf-token: leak3}}}");
    assert_eq!(found.len(), 3);
    assert!(!found.iter().any(|one| one.to_string().contains("leak")), "{found:?}");
}

#[test]
fn commands_with_placeholders_say_everything() {
    assert_found_in_model("command: [x, '{prot}']", &[("models.m.command[1]", "Did you mean `{port}`?")]);
    assert_found_in_model(
        "command: [x, '{port}', '{gpus} {other}', '{gpu_memory}']",
        &[
            ("models.m.command", "has no value"),
            ("models.m.command", "has no value"),
            ("models.m.command[2]", "no placeholder `{other}`"),
        ],
    );
    assert_found_in_model(
        "command: [x, '{source}'], lora: {}, sleep_mode: true",
        &[
            ("models.m.command", "on which port"),
            ("models.m.lora", "placeholders"),
            ("models.m.sleep_mode", "placeholders"),
        ],
    );
}

//! Whole imports of llama-swap's configurations.

use std::process::ExitCode;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::input::File;
use super::super::testing::{Printed, imported, passes, printed, says_the_same, shaped};
use super::{convert, import};

fn of(text: &str) -> Printed {
    printed(import, &[("swap.yaml", text)])
}

fn ours(name: &str) -> Printed {
    let (_, text) = imported("llama-swap").into_iter().find(|(file, _)| file.ends_with(name)).expect("a file");
    of(&text)
}

#[test]
fn every_file_of_ours_passes_and_shows_no_secret() {
    for (name, text) in imported("llama-swap") {
        let got = of(&text);
        passes(&got);
        assert!(!format!("{}{}", got.out, got.err).contains("0123456789"), "{name}: {}{}", got.out, got.err);
    }
}

#[test]
fn engines_aliases_and_filters_are_carried_over() {
    let got = ours("vllm.yaml");
    let expected = json!({
        "source": "org/chat-14b",
        "gpus": [0, 1],
        "gpu_memory": 0.9,
        "args": { "max-model-len": 32768 },
        "env": { "HF_TOKEN": "${HF_TOKEN}", "VLLM_LOGGING_LEVEL": "INFO" },
        "start_timeout": "300s",
        "served_name": "chat",
        "remove": ["temperature", "top_p"],
        "overrides": { "top_k": 20 },
        "when": [{ "if": { "body": { "model": "chat" } }, "overrides": { "chat_template_kwargs": { "reasoning_effort": "medium" } } }],
    });
    assert_eq!(got.config["models"]["chat"], expected, "{}", got.out);
    let expected = json!({
        "gpt-4o": { "model": "chat" },
        "gpt-4o-mini": { "model": "chat", "overrides": { "max_tokens": 512 } },
        "chat:high": { "model": "chat", "overrides": { "chat_template_kwargs": { "reasoning_effort": "high" } } },
        "chat-served": { "model": "chat" },
    });
    assert_eq!(got.config["aliases"], expected);
    assert_eq!(
        got.config["callers"],
        json!({ "client-1": { "keys": ["${LLAMA_SWAP_API_KEY_1}"] }, "client-2": { "keys": ["${SECOND_CLIENT_KEY}"] } })
    );
    assert_eq!(got.config["log"], json!({ "level": "debug" }));
}

#[test]
fn containers_modules_and_addresses_elsewhere() {
    let got = ours("vllm.yaml");
    let container = &got.config["models"]["container"];
    let words: Vec<&str> = container["command"].as_array().expect("words").iter().filter_map(Value::as_str).collect();
    let expected = "docker run --rm --init --network=host --gpus=all -e VLLM_API_KEY -e CUDA_VISIBLE_DEVICES -e \
        HUGGING_FACE_HUB_TOKEN \
                    --ipc host -v ${HOME}/models:/models vllm/vllm-openai:v0.32.0";
    assert_eq!(words.join(" "), expected);
    assert_eq!(
        (&container["source"], &container["gpus"], &container["stop_timeout"]),
        (&json!("/models/code"), &json!([2]), &json!("60s"))
    );
    assert_eq!(
        (&container["health"], &container["env"]),
        (&json!({ "path": "/ping" }), &json!({ "HUGGING_FACE_HUB_TOKEN": "${HF_TOKEN}" }))
    );
    let module = &got.config["models"]["module"];
    assert_eq!(
        (&module["command"], &module["health"], &module["source"]),
        (&json!(["/opt/vllm/bin/vllm", "serve"]), &json!("off"), &json!("org/embed"))
    );
    assert_eq!(got.config["models"]["elsewhere"], json!({ "urls": ["http://10.0.0.9:8080/base"] }));
    assert_eq!(got.config["models"].get("llama"), None);
    for part in [
        "models.llama: was left out",
        "`llama-server`, which is not vLLM",
        "groups.big: ",
        "models.chat.ttl: 600s",
        "models.chat.concurrencyLimit",
        "models.module.unlisted",
        "models.container.cmdStop",
        "models.container.metadata",
        "sendLoadingState",
        "models.elsewhere.cmd",
    ] {
        assert!(got.err.contains(part) && got.out.contains(part), "{part} in {}", got.err);
    }
}

#[test]
fn peers_and_selectors() {
    let got = ours("peers.yaml");
    let expected = json!({ "urls": ["https://router.example.com/api"], "api_key": "${ROUTER_API_KEY}", "served_name": "org/large", "health": "off", "remove": ["seed"], "overrides": { "provider": { "zdr": true } } });
    assert_eq!(got.config["models"]["org/large"], expected, "{}", got.out);
    let expected = json!({ "any": { "model": "local", "fallback": ["org/remote-8b"] }, "hidden": { "model": "local", "hidden": true } });
    assert_eq!(got.config["aliases"], expected);
    for part in [
        "these targets are not here: nobody",
        "peers.other-swap: the model `local` was left out",
        "routing.router.settings.matrix",
        "routing.scheduler",
        "profiles: was left out",
        "peers.router.timeouts",
    ] {
        assert!(got.err.contains(part), "{part} in {}", got.err);
    }
}

#[test]
fn another_program_is_suggested_as_a_comment_that_passes_without_its_signs() {
    // A key of any length.
    for key in ["sk-0123456789", "abc"] {
        for sign in [" ", "="] {
            let cmd = format!("/x/llama-server --port ${{PORT}} -m ${{env.HOME}}/a.gguf --api-key{sign}{key}");
            let got = of(&format!("models: {{ llama: {{ cmd: '{cmd}' }}, m: {{ cmd: vllm serve m }} }}"));
            assert!(!format!("{}{}", got.out, got.err).contains(key), "{}{}", got.out, got.err);
            suggested(&got, &format!("--api-key{sign}${{LLAMA_API_KEY}}"));
        }
    }
}

fn suggested(got: &Printed, key: &str) {
    assert_eq!((got.code, got.config["models"].get("llama")), (ExitCode::SUCCESS, None));
    let on = |line: &str| {
        line.strip_prefix("  # ")
            .filter(|rest| !rest.starts_with("models."))
            .map_or_else(|| line.to_owned(), |rest| format!("  {rest}"))
    };
    let text = got.out.lines().map(on).collect::<Vec<_>>().join("\n");
    let config = Value::Object(super::super::yaml::read(&text).expect("YAML"));
    let expected = json!({
        "source": "${HOME}/a.gguf",
    });
    let mut llama = config["models"]["llama"].clone();
    let command = llama.as_object_mut().and_then(|llama| llama.remove("command")).unwrap_or_default();
    let words: Vec<&str> = command.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(words.join(" "), format!("/x/llama-server --port {{port}} -m {{source}} {key}"), "{text}");
    assert_eq!(llama, expected, "{text}");
}

#[test]
fn a_name_that_nothing_has_is_no_target() {
    let got =
        of("models: { gone: { cmd: other }, m: { cmd: vllm serve m } }\nselectors: { s: { targets: [gone, m] } }");
    assert_eq!(
        (got.code, &got.config["aliases"]),
        (ExitCode::SUCCESS, &json!({ "s": { "model": "m" } })),
        "{}",
        got.err
    );
    assert!(got.err.contains("these targets are not here: gone"), "{}", got.err);
}

#[test]
fn what_cannot_be_served_fails_and_says_why() {
    let both = "models: { a: { cmd: vllm serve a --gpu-memory-utilization 0.9, env: [CUDA_VISIBLE_DEVICES=0] }, \
        b: { cmd: vllm serve b --gpu-memory-utilization 0.9, env: [CUDA_VISIBLE_DEVICES=0] } }";
    let got = of(both);
    assert_eq!(got.code, ExitCode::FAILURE);
    assert!(
        got.err.contains(
            "The configuration has 1 error to \
        correct"
        ) && got.err.contains("1.80"),
        "{}",
        got.err
    );
    let got =
        of("models: { a: { cmd: '${missing} serve a' }, '': { cmd: vllm serve m }, c: 3, d: { cmd: vllm serve } }");
    assert_eq!((got.code, got.config), (ExitCode::FAILURE, json!({})));
    for part in
        ["there is no macro `missing`", "models.: was left out", "models.c: was left out", "does not say which model"]
    {
        assert!(got.err.contains(part), "{part} in {}", got.err);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_file_converts_to_yaml_that_says_the_same(tree in shaped(&[
        "models", "cmd", "proxy", "aliases", "env", "filters", "stripParams", "setParams", "setParamsByID", "macros", "peers", "selectors", "targets",
        "apiKeys", "checkEndpoint", "useModelName", "groups", "startPort", "m", "a",
    ]), words in prop::collection::vec("(--port|--model|-tp|2|=|\\$\\{PORT\\}|\\$\\{m\\}|'|docker|run|x)", 0..8), port in any::<u64>()) {
        let mut tree = tree.as_object().cloned().unwrap_or_default();
        let cmd = format!("vllm serve org/m {}", words.join(" "));
        let models = json!({ "m": { "cmd": cmd, "filters": tree.get("filters"), "aliases": tree.get("aliases"), "env": tree.get("env") }, "a": { "cmd": cmd } });
        if !words.is_empty() {
            tree.insert("models".into(), models);
            tree.insert("startPort".into(), port.into());
        }
        says_the_same(&convert(vec![File { name: "f".into(), tree }]))?;
    }
}

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
        "load": "on_demand",
        "idle": { "stop_after": "600s" },
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
        "groups.big: `swap: true`: members",
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

/// What is written of a model about when it is loaded, and where.
fn loads(got: &Printed, model: &str) -> Value {
    let model = &got.config["models"][model];
    json!([model["gpus"], model["load"], model["idle"]["stop_after"]])
}

#[test]
fn models_are_loaded_on_demand_and_those_that_stay_have_room() {
    let got = ours("turns.yaml");
    for (model, expected) in [
        ("big", json!([[0], "on_demand", "600s"])),
        ("code", json!([[0], "on_demand", null])),
        ("wide", json!([[0, 1], "on_demand", "3600s"])),
        ("embed", json!([[2], "eager", null])),
        ("rerank", json!([[2], "eager", null])),
        ("seldom", json!([[2], "on_demand", "3600s"])),
        ("anywhere", json!([[0], "on_demand", "3600s"])),
        ("elsewhere", json!([null, null, null])),
    ] {
        assert_eq!(loads(&got, model), expected, "{model}: {}", got.out);
    }
    assert_eq!(got.config["timeouts"], json!({ "load": "900s" }), "a request waits as long as a start may take");
    for part in [
        "groups: which models are loaded at the same time follows from `gpus`",
        "routing.router.settings.groups.large: `swap: true`",
        "`swap: true`: members that have no room beside one another take turns",
        "`swap: false`: members are loaded together where",
        "`exclusive: true`: models of other groups end only where",
        "groups.timed.persistent: `seldom` is loaded by its first request, not at the start: its `ttl` of 3600s ends it",
        "hooks.on_startup.preload: `code` is loaded by its first request, not at the start: there would be no room for",
        "models: the commands of `anywhere` name no GPU, and vLLM takes the first one then: `gpus: [0]` is written.",
        "groups.either: `swap: true`",
        "was left out, because members that take turns cannot keep",
        "models.elsewhere.ttl: was left out: somebody else runs its engine.",
        "routing.scheduler: was left out: of models that wait",
    ] {
        assert!(got.err.contains(part) && got.out.contains(part), "{part} in {}", got.err);
    }
    assert!(!got.err.contains("`ranker`") && !got.err.contains("either.persistent"), "{}", got.err);
}

#[test]
fn models_of_one_gpu_take_turns_and_are_preloaded_where_there_is_room() {
    let both = |share: &str, rest: &str| {
        let model = |name| {
            format!(
                "{name}: {{ cmd: vllm serve {name} --gpu-memory-utilization {share}, env: [CUDA_VISIBLE_DEVICES=0] }}"
            )
        };
        of(&format!("models: {{ {}, {} }}\n{rest}", model("a"), model("b")))
    };
    let preload = "hooks: { on_startup: { preload: [b] } }";
    for (share, rest, expected) in [
        ("0.9", "", "on_demand"),
        ("0.9", preload, "on_demand"),
        ("0.45", preload, "eager"),
        ("0.9", "groups: { g: { persistent: true, swap: false, members: [b] } }", "on_demand"),
        ("0.45", "groups: { g: { persistent: true, swap: false, members: [b] } }", "eager"),
        ("0.45", "groups: { g: { persistent: true, members: [a, b] } }", "on_demand"),
        ("0.45", "globalTTL: 60\nhooks: { on_startup: { preload: [b] } }", "on_demand"),
    ] {
        let got = both(share, rest);
        passes(&got);
        assert_eq!(got.config["models"]["b"]["load"], expected, "{share} {rest}\n{}", got.err);
        assert_eq!(got.config["models"]["a"]["load"], "on_demand", "{share} {rest}");
    }
    // Where GPUs are chosen automatically, one that stays could take those of the others.
    let any =
        "models: { a: { cmd: vllm serve a -tp 2 }, b: { cmd: vllm serve b } }\nhooks: { on_startup: { preload: [b] } }";
    assert_eq!(
        (loads(&of(any), "a"), loads(&of(any), "b")),
        (json!([2, "on_demand", null]), json!([[0], "on_demand", null]))
    );
    let alone = of("models: { b: { cmd: vllm serve b } }\nhooks: { on_startup: { preload: [b] } }");
    assert_eq!(loads(&alone, "b"), json!([[0], "eager", null]), "{}", alone.err);
}

#[test]
fn what_cannot_be_served_fails_and_says_why() {
    let got = of("peers: { p: { proxy: 'http://10.0.0.1:99999', models: [m] } }");
    assert_eq!(got.code, ExitCode::FAILURE);
    assert!(got.err.contains("The configuration has 1 error to correct"), "{}", got.err);
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
        "apiKeys", "checkEndpoint", "useModelName", "groups", "startPort", "m", "a", "ttl", "globalTTL", "members", "persistent", "swap",
        "hooks", "on_startup", "preload", "routing", "router", "settings", "healthCheckTimeout",
    ]), words in prop::collection::vec("(--port|--model|-tp|2|=|\\$\\{PORT\\}|\\$\\{m\\}|'|docker|run|x)", 0..8), port in any::<u64>()) {
        let mut tree = tree.as_object().cloned().unwrap_or_default();
        let cmd = format!("vllm serve org/m {}", words.join(" "));
        let models = json!({ "m": { "cmd": cmd, "filters": tree.get("filters"), "aliases": tree.get("aliases"), "env": tree.get("env"), "ttl": tree.get("ttl") }, "a": { "cmd": cmd } });
        if !words.is_empty() {
            tree.insert("models".into(), models);
            tree.insert("startPort".into(), port.into());
        }
        says_the_same(&convert(vec![File { name: "f".into(), tree }]))?;
    }
}

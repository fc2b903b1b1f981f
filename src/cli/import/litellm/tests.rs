//! Whole imports of LiteLLM's configurations.

use std::process::ExitCode;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::input::File;
use super::super::testing::{Printed, imported, passes, printed, says_the_same, shaped};
use super::{convert, import};

fn of(text: &str) -> Printed {
    printed(import, &[("litellm.yaml", text)])
}

#[test]
fn every_file_of_ours_passes_and_shows_no_secret() {
    for (name, text) in imported("litellm") {
        let got = of(&text);
        passes(&got);
        let all = format!("{}{}", got.out, got.err);
        assert!(
            !all.contains("0123456789") && !all.contains("pass-word") && !all.contains("redis-secret"),
            "{name}: {all}"
        );
    }
}

#[test]
fn entries_of_one_name_are_one_model_with_their_urls() {
    let got = of(
        "model_list:
- { model_name: m, litellm_params: { model: hosted_vllm/org/m, api_base: 'http://10.0.0.1:8000/v1', api_key: os.environ/K, temperature: 0.5 } }
- { model_name: m, litellm_params: { model: hosted_vllm/org/m, api_base: 'http://10.0.0.2:8000', api_key: os.environ/K, temperature: 0.5 } }
router_settings: { routing_strategy: simple-shuffle }",
    );
    let expected = json!({ "models": { "m": {
        "urls": ["http://10.0.0.1:8000", "http://10.0.0.2:8000"],
        "api_key": "${K}",
        "served_name": "org/m",
        "balance": "random",
        "defaults": { "temperature": 0.5 },
    } } });
    assert_eq!(got.config, expected, "{}", got.out);
    assert_eq!(got.err, "1 model and 0 aliases, from 1 file.\n");
}

#[test]
fn different_entries_of_one_name_are_split_ordered_or_fallen_back_to() {
    let (_, text) = imported("litellm").into_iter().find(|(name, _)| name.ends_with("balanced.yaml")).expect("a file");
    let got = of(&text);
    assert_eq!(
        got.config["aliases"]["weighted"],
        json!({ "split": { "weighted-1": 9, "weighted-2": 1 }, "fallback": ["chat"] })
    );
    assert_eq!(
        got.config["aliases"]["chat"],
        json!({ "model": "chat-engine", "fallback": ["weighted-1", "weighted-2", "ordered"] })
    );
    assert_eq!(got.config["aliases"]["ordered"], json!({ "model": "ordered-1", "fallback": ["ordered-2", "chat"] }));
    assert_eq!(got.config["aliases"]["gpt-4o-mini"], json!({ "model": "ordered", "hidden": true }));
    assert_eq!(got.config["aliases"]["claude-*"], json!({ "model": "claude-engine" }), "{}", got.out);
    assert_eq!(got.config["models"]["ordered-1"]["api_key"], "${ORDERED_1_API_KEY}");
    assert_eq!(
        (&got.config["listen"], &got.config["admin"]["listen"]),
        (&json!("0.0.0.0:8010"), &json!("127.0.0.1:8011"))
    );
    assert_eq!((&got.config["timeouts"]["request"], &got.config["retry"]["attempts"]), (&json!("30s"), &json!(3)));
    assert_eq!(
        (&got.config["log"], &got.config["callers"]["master"]["keys"]),
        (&json!({ "format": "json" }), &json!(["${LITELLM_MASTER_KEY}"]))
    );
    for part in [
        "model_list[0].litellm_params.rpm: ",
        "router_settings.allowed_fails: ",
        "general_settings.database_url: ",
        "router_settings.redis_password: ",
        "model_list[0].model_info.max_input_tokens: ",
    ] {
        assert!(got.err.contains(part) && got.out.contains(part), "{part} in {}", got.err);
    }
}

#[test]
fn fallbacks_to_nothing_make_no_alias() {
    let got =
        of("model_list: [{ model_name: m, litellm_params: { model: hosted_vllm/org/m, api_base: 'http://h:1/v1' } }]
router_settings: { fallbacks: [{ m: [gone] }] }");
    assert_eq!((got.code, got.config.get("aliases")), (ExitCode::SUCCESS, None), "{}", got.out);
    assert!(got.err.contains("fallbacks: `gone` is in fallbacks, and is no model here."), "{}", got.err);
}

#[test]
fn providers_parameters_and_wildcards() {
    let (_, text) = imported("litellm").into_iter().find(|(name, _)| name.ends_with("providers.yaml")).expect("a file");
    let got = of(&text);
    let expected = json!({ "urls": ["https://api.openai.com"], "api_key": "${OPENAI_API_KEY}", "health": "off" });
    assert_eq!(got.config["models"]["gpt-4o"], expected, "{}", got.out);
    let expected = json!({
        "urls": ["https://llm.example.com"],
        "api_key": "${SHARED_API_KEY}",
        "served_name": "org/shared",
        "health": "off",
        "remove": ["logit_bias"],
        "defaults": { "chat_template_kwargs": { "enable_thinking": false }, "top_k": 20 },
        "headers": { "x-team": "research" },
    });
    assert_eq!(got.config["models"]["shared"], expected, "{}", got.out);
    assert_eq!(got.config["aliases"]["*"], json!({ "model": "model-engine" }));
    for part in [
        "model_list[1]: was left out: it is of the provider `anthropic`",
        "model_list[2]: was left out: it is of the provider `azure`",
        "include: was left out",
        "environment_variables.SOME_API_KEY",
        "guardrails",
    ] {
        assert!(got.err.contains(part), "{part} in {}", got.err);
    }
}

#[test]
fn nothing_to_import_is_a_failure() {
    for text in [
        "model_list: []",
        "x: 1",
        "model_list: [{ model_name: m, litellm_params: { model: anthropic/x } }]",
        "model_list: 3",
    ] {
        let got = of(text);
        assert_eq!((got.code, got.config), (ExitCode::FAILURE, json!({})), "{}", got.err);
        assert!(got.err.starts_with("Nothing was imported"), "{}", got.err);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_file_converts_to_yaml_that_says_the_same(tree in shaped(&[
        "model_list", "model_name", "litellm_params", "model_info", "model", "api_base", "api_key", "weight", "order", "temperature", "extra_body",
        "extra_headers", "router_settings", "fallbacks", "model_group_alias", "litellm_settings", "default_fallbacks", "general_settings", "master_key",
    ]), entries in prop::collection::vec((any::<bool>(), 0_u8..3, "(hosted_vllm/|openai/)?(a|b|\\*)"), 0..5)) {
        let mut tree = tree.as_object().cloned().unwrap_or_default();
        let entry = |(weighted, name, model): (bool, u8, String)| json!({
            "model_name": format!("m{name}"),
            "litellm_params": { "model": model, "api_base": format!("http://h{name}:1/v1"), "weight": weighted.then_some(name) },
        });
        if !entries.is_empty() {
            tree.insert("model_list".into(), entries.into_iter().map(entry).collect::<Value>());
        }
        says_the_same(&convert(vec![File { name: "f".into(), tree }]))?;
    }
}

//! Whole imports: files in, configuration and summary out.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::testing::any_value;
use super::super::yaml;
use super::compose::{Composed, Disk};
use super::{convert, gym};

fn import(files: &[(&str, &str)], words: &[&str]) -> (ExitCode, String, String) {
    let read = |path: &Path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = gym(&words, &Disk { roots: &[], read: &read }, &mut out, &mut err);
    (code, String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"))
}

/// The configuration, its text, and the summary.
fn imported(files: &[(&str, &str)], words: &[&str]) -> (Value, String, String) {
    let (code, out, err) = import(files, words);
    assert_eq!(code, ExitCode::SUCCESS, "{err}");
    (Value::Object(yaml::read(&out).expect("YAML")), out, err)
}

const MODEL: &str = "
policy_model:
  responses_api_models:
    vllm_model:
      entrypoint: app.py
      base_url: ${policy_base_url}
      api_key: ${policy_api_key}
      model: ${policy_model_name}
      return_token_id_information: false
      uses_reasoning_parser: yes
      chat_template_kwargs: null
      extra_body: {temperature: 0.6, max_output_tokens: null}
      default_headers: {}
      num_workers: 4
";

const LOCAL: &str = "
big:
  responses_api_models:
    local_vllm_model:
      entrypoint: app.py
      model: lab/Big-8B
      uses_reasoning_parser: true
      return_token_id_information: false
      hf_home: ~/models
      debug: false
      vllm_serve_env_vars:
        VLLM_RAY_DP_PACK_STRATEGY: strict
        VLLM_LOGGING_LEVEL: INFO
        OMP_NUM_THREADS: 4
      vllm_serve_kwargs:
        data_parallel_size: 2
        tensor_parallel_size: 4
        pipeline_parallel_size: 1
        gpu_memory_utilization: 0.9
        enable_auto_tool_choice: true
        enable_prefix_caching: false
        max_model_len: null
        distributed_executor_backend: ray
        port: 9
        model_loader_extra_config: {num_threads: 16}
";

const PROXY: &str = "
config_paths: [local.yaml]
default_host: 0.0.0.0
big_no_think:
  responses_api_models:
    local_vllm_model_proxy:
      entrypoint: app.py
      port: 9100
      chat_template_kwargs: {enable_thinking: false}
      uses_reasoning_parser: true
      model_server: {type: responses_api_models, name: big}
agent: {responses_api_agents: {simple: {model_server: {name: big}}}}
";

#[test]
fn a_server_in_front_of_engines_becomes_an_alias_over_their_urls() {
    let env = "policy_base_url: [http://10.0.0.7:8000/v1, http://10.0.0.8:8000/v1]\npolicy_api_key: sk-very-secret\n\
               policy_model_name: lab/Model\n";
    let (config, out, err) = imported(&[("m.yaml", MODEL), ("env.yaml", env)], &["m.yaml", "env.yaml"]);
    let expected = json!({
        "models": { "policy_model-engine": {
            "urls": ["http://10.0.0.7:8000", "http://10.0.0.8:8000"],
            "api_key": "${POLICY_MODEL_API_KEY}",
            "served_name": "lab/Model",
        } },
        "aliases": { "policy_model": {
            "model": "policy_model-engine",
            "gym": {
                "return_token_id_information": false,
                "uses_reasoning_parser": true,
                "extra_body": { "temperature": 0.6, "max_output_tokens": null },
                "default_headers": {},
            },
        } },
    });
    assert_eq!(config, expected, "{out}");
    assert!(!out.contains("very-secret") && !err.contains("very-secret"), "{out}{err}");
    assert!(out.contains("# Set the environment variable POLICY_MODEL_API_KEY"), "{out}");
    assert!(out.contains("No `listen`, because no port") && out.contains("/a/policy_model/v1"), "{out}");
    assert!(err.starts_with("1 alias over 1 model, from 2 files.\n"), "{err}");
}

#[test]
fn what_comes_from_the_environment_still_does() {
    let words = [
        "m.yaml",
        "++policy_base_url=http://${oc.env:HOST,127.0.0.1}:8000/v1",
        "++policy_api_key=${oc.env:THE_KEY}",
        "++policy_model_name=${oc.env:NAME,lab/M}",
    ];
    let (config, ..) = imported(&[("m.yaml", MODEL)], &words);
    let expected = json!({
        "urls": ["http://${HOST:-127.0.0.1}:8000"], "api_key": "${THE_KEY}", "served_name": "${NAME:-lab/M}",
    });
    assert_eq!(config["models"]["policy_model-engine"], expected);
}

#[test]
fn a_server_that_starts_its_engine_and_a_proxy_share_one_model() {
    let (config, out, err) = imported(&[("proxy.yaml", PROXY), ("local.yaml", LOCAL)], &["proxy.yaml"]);
    let expected = json!({
        "models": { "big-engine": {
            "source": "lab/Big-8B",
            "served_name": "lab/Big-8B",
            "gpus": 8,
            "gpu_memory": 0.9,
            "args": {
                "data-parallel-size": 2,
                "tensor-parallel-size": 4,
                "enable-auto-tool-choice": true,
                "enable-prefix-caching": false,
                "model-loader-extra-config": { "num_threads": 16 },
                "download-dir": "${HOME}/models/hub",
            },
            "env": { "VLLM_LOGGING_LEVEL": "INFO", "OMP_NUM_THREADS": 4 },
        } },
        "aliases": {
            "big": { "model": "big-engine", "gym": { "uses_reasoning_parser": true, "return_token_id_information": false } },
            "big_no_think": {
                "model": "big-engine",
                "listen": "0.0.0.0:9100",
                "gym": { "chat_template_kwargs": { "enable_thinking": false }, "uses_reasoning_parser": true },
            },
        },
    });
    assert_eq!(config, expected, "{out}");
    for part in [
        "VLLM_RAY_DP_PACK_STRATEGY was left out",
        "`distributed_executor_backend` was left out",
        "# local_vllm_model_proxy",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    assert_eq!(err, "2 aliases over 1 model, from 2 files.\n");
}

#[test]
fn copies_with_other_settings_are_aliases_of_the_same_engines() {
    let top = "
config_paths: [m.yaml]
policy_model: {responses_api_models: {vllm_model: {base_url: http://h:1/v1, api_key: EMPTY, model: m, port: 8000}}}
quiet:
  _copy: policy_model
  responses_api_models: {vllm_model: {chat_template_kwargs: {enable_thinking: false}, port: 8001}}
";
    let (config, out, _) = imported(&[("m.yaml", MODEL), ("top.yaml", top)], &["top.yaml"]);
    assert_eq!(config["models"].as_object().map(Map::len), Some(1), "{out}");
    assert_eq!(config["models"]["policy_model-engine"]["api_key"], "EMPTY");
    assert_eq!(config["aliases"]["quiet"]["model"], "policy_model-engine");
    assert_eq!(config["aliases"]["quiet"]["gym"]["chat_template_kwargs"], json!({"enable_thinking": false}));
}

#[test]
fn the_models_are_those_of_a_good_configuration() {
    let all = format!("{MODEL}{LOCAL}\nhf_token: hf_12345678\n");
    let words = [
        "a.yaml",
        "++policy_base_url=${oc.env:URL,http://h:1/v1}",
        "++policy_api_key=sk-secret-123",
        "++policy_model_name=m",
    ];
    let (_, out, _) = imported(&[("a.yaml", &all)], &words);
    assert!(out.contains("HF_TOKEN: ${HF_TOKEN}") && !out.contains("hf_12345678"), "{out}");
    let env = |name: &str| Some(if name == "URL" { "http://h:2" } else { "x" }.to_owned());
    let parsed = crate::config::parse(&out, &env);
    assert!(parsed.is_ok(), "{}\n{out}", parsed.err().map(|found| found.to_string()).unwrap_or_default());
}

#[test]
fn what_is_written_can_be_served_also_where_engines_have_the_gateways_ports() {
    let file = "
a: {responses_api_models: {vllm_model: {base_url: 'http://127.0.0.1:8000/v1', api_key: EMPTY, model: m, port: 8001}}}
b: {responses_api_models: {vllm_model: {base_url: '${oc.env:URL}', api_key: EMPTY, model: m}}}
";
    let (config, out, err) = imported(&[("f.yaml", file)], &["f.yaml"]);
    assert_eq!(
        (&config["listen"], &config["admin"]["listen"]),
        (&json!("0.0.0.0:8010"), &json!("127.0.0.1:8011")),
        "{out}"
    );
    assert!(!err.contains("to correct"), "{err}");
    let parsed = crate::config::parse(&out, &|_| Some("http://h:1".into()));
    assert!(parsed.is_ok(), "{}\n{out}", parsed.err().map(|found| found.to_string()).unwrap_or_default());
}

#[test]
fn a_configuration_with_errors_is_printed_and_fails() {
    let file = "
a: {responses_api_models: {vllm_model: {base_url: 'http://h:1/v1', api_key: EMPTY, model: m, port: 9000}}}
b: {responses_api_models: {vllm_model: {base_url: 'http://h:2/v1', api_key: EMPTY, model: m, port: 9000}}}
";
    let (code, out, err) = import(&[("f.yaml", file)], &["f.yaml"]);
    assert_eq!(code, ExitCode::FAILURE, "{out}");
    assert!(out.contains("\nmodels:\n") && err.contains("The configuration has 1 error to correct"), "{out}{err}");
    assert!(err.contains("aliases.b.listen, line "), "{err}");
}

#[test]
fn what_cannot_be_carried_over_is_said_at_its_place_and_in_the_summary() {
    let file = "
a: {responses_api_models: {vllm_model: {base_url: http://h/v1?key=x, api_key: x, model: m}}}
b: {responses_api_models: {local_vllm_model_proxy: {model_server: {name: lokal}}}}
c: {responses_api_models: {vllm_model: {base_url: ???, model: m}}}
d: {responses_api_models: {vllm_model: {}, local_vllm_model: {}}}
e: {responses_api_models: {local_vllm_model_proxy: {model_server: {name: a}}}}
f: {responses_api_models: {local_vllm_model_proxy: {model_server: {name: f}}}}
local:
  responses_api_models:
    local_vllm_model:
      model: m
      use_reasoning_parser: true
      extra_body: {a: '${no.where}'}
      ray_worker_py_executable: /opt/python
      vllm_serve_env_vars: {HF_TOKEN: hf_literal}
      vllm_serve_kwargs: {tensor_parallel_size: '${oc.env:TP}', enable_sleep_mode: true}
";
    let (config, out, err) = imported(&[("f.yaml", file)], &["f.yaml"]);
    let aliases: Vec<_> = config["aliases"].as_object().expect("aliases").keys().collect();
    assert_eq!(aliases, ["local"], "{out}");
    let model = &config["models"]["local-engine"];
    assert_eq!((&model["gpus"], &model["sleep_mode"]), (&Value::Null, &json!(true)));
    assert_eq!(model["env"], json!({"HF_TOKEN": "${LOCAL_HF_TOKEN}"}));
    for (name, part) in [
        ("a", "has more than scheme, host, port and path"),
        ("b", "`lokal` does not exist, or has no vLLM engine. Servers with one: `local`"),
        ("c", "`c.responses_api_models.vllm_model.base_url` has no value yet"),
        ("d", "`vllm_model` and `local_vllm_model` at once"),
        ("e", "`a` could not be carried over"),
        ("f", "`f` does not exist, or has no vLLM engine"),
        ("local", "`use_reasoning_parser` was left out"),
        ("local", "'++no.where=…'"),
        ("local", "`ray_worker_py_executable` was left out"),
        ("local", "`gpus` could not be computed"),
        ("local", "variable LOCAL_HF_TOKEN"),
    ] {
        let said = err.lines().any(|line| line.trim_start().starts_with(name) && line.contains(part));
        assert!(said, "{name}: {part} in {err}");
        assert!(out.contains(part), "{name}: {part} in {out}");
    }
    assert!(!out.contains("hf_literal") && !err.contains("hf_literal"));
}

#[test]
fn nothing_at_all_is_a_failure_that_says_so() {
    for (files, words, part) in [
        (vec![("a.yaml", "x: 1")], vec!["a.yaml"], "there is no server of type"),
        (vec![], vec!["a.yaml"], "a.yaml: there is no such file"),
        (vec![("a.yaml", "[")], vec!["a.yaml"], "a.yaml: not usable YAML"),
        (vec![("a.yaml", "a: {_copy: b}")], vec!["a.yaml"], "`a` copies `b`, which does not exist"),
        (vec![], vec!["++a=[sk-secret"], "The value of `a`"),
    ] {
        let (code, out, err) = import(&files, &words);
        assert_eq!((code, out.as_str()), (ExitCode::FAILURE, ""), "{err}");
        assert!(err.contains(part) && !err.contains("sk-secret"), "{part} in {err}");
    }
}

/// Trees that look like Gym's, with anything in them.
fn gym_tree() -> impl Strategy<Value = Map<String, Value>> {
    let fields = "base_url api_key model port host extra_body default_headers model_server hf_home vllm_serve_kwargs \
                  vllm_serve_env_vars uses_reasoning_parser audio_root nonsense";
    let field = prop::sample::select(fields.split_whitespace().collect::<Vec<_>>());
    let value = any_value(
        "(\\$\\{[a-c.]{0,4}\\}|\\$\\{oc\\.env:[A-C],x?\\}|http://h|/v1|:1|_?copy|a|b|\\?\\?\\?|sk-12345678|\\PC){0,3}",
    );
    let fields = prop::collection::vec((field, value.clone()), 0..8)
        .prop_map(|fields| Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()));
    let kind = prop::sample::select(vec!["vllm_model", "local_vllm_model", "local_vllm_model_proxy", "_copy"]);
    let server = prop::collection::vec((kind, prop_oneof![4 => fields, 1 => value.clone()]), 0..3).prop_map(|types| {
        json!({"responses_api_models": Map::from_iter(types.into_iter().map(|(key, value)| (key.to_owned(), value)))})
    });
    let name = prop_oneof![prop::sample::select(vec!["a", "b", "c", "a-engine"]).prop_map(str::to_owned), "\\PC{0,3}"];
    prop::collection::vec((name, prop_oneof![6 => server, 1 => value]), 0..5)
        .prop_map(|servers| servers.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_converts_to_yaml_that_says_the_same(tree in gym_tree()) {
        let composed = Composed { tree, ..Composed::default() };
        let import = convert(&composed);
        let text = import.document.text();
        prop_assert_eq!(yaml::read(&text).map(Value::Object), Ok(import.document.value()), "{}", text);
        let models = import.document.value()["models"].as_object().map_or(0, Map::len);
        prop_assert_eq!(models, import.models);
    }
}

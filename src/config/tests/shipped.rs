//! The files of `conf/` and what the documentation shows: they parse, the reference is complete and true, and editors find
//! their schema.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::*;

fn conf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(conf().join(name)).expect("a file of conf/")
}

#[test]
fn every_shipped_configuration_is_good() {
    let mut seen = 0;
    for entry in std::fs::read_dir(conf()).expect("conf/") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            seen += 1;
            let set = |name: &str| name.ends_with("_KEY").then(|| "sk-x".to_owned());
            for env in [&set as &dyn Fn(&str) -> Option<String>, &|_| None] {
                load(&path, env).unwrap_or_else(|found| panic!("{}:\n{found}", path.display()));
            }
            let text = std::fs::read_to_string(&path).expect("read before");
            assert!(
                text.starts_with("# yaml-language-server: $schema=enginehouse.schema.json\n"),
                "{}",
                path.display()
            );
        }
    }
    assert!(seen >= 4, "only {seen} configurations in {}", conf().display());
}

#[test]
fn what_the_documentation_shows_is_good() {
    let mut files = vec![conf().with_file_name("README.md")];
    let entries = std::fs::read_dir(conf()).expect("conf/").map(|entry| entry.expect("an entry").path());
    files.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    assert!(files.len() >= 6, "only {files:?}");
    let models = "models: {qwen3-32b: {source: s}, qwen3-next: {source: n}, qwen3-small: {source: t}}\n";
    let mut seen = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file of the documentation");
        for block in text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            seen += 1;
            let whole = if block.contains("models:") { block.to_owned() } else { format!("{block}{models}") };
            parse(&whole, &|_| Some("k".into()))
                .unwrap_or_else(|found| panic!("{}: {found}\nin\n{whole}", file.display()));
        }
    }
    assert!(seen >= 8, "only {seen} blocks");
}

/// Every key of the schema, wherever.
fn keys(schema: &Value, out: &mut Vec<String>) {
    if let Some(Value::Object(properties)) = schema.get("properties") {
        out.extend(properties.keys().cloned());
    }
    match schema {
        Value::Object(members) => members.values().for_each(|value| keys(value, out)),
        Value::Array(items) => items.iter().for_each(|value| keys(value, out)),
        _ => {}
    }
}

#[test]
fn the_reference_names_every_key() {
    let reference = text("reference.yaml");
    let mut all = Vec::new();
    keys(&schema(), &mut all);
    assert!(all.len() > 40, "only {} keys", all.len());
    for key in all {
        let written = |line: &str| line.trim_start_matches(['#', ' ', '-', '{']).starts_with(&format!("{key}:"));
        assert!(reference.lines().any(written), "conf/reference.yaml does not show `{key}`");
    }
}

#[test]
fn the_defaults_that_the_reference_shows_are_the_defaults() {
    let reference = parse(&text("reference.yaml"), &|_| None).expect("checked above");
    let bare = parse("models: {m: {source: s}}", &|_| None).expect("the least there is");
    let shown = |config: &Config| {
        let model = &config.models[0];
        let Engines::Spawn(spawn) = &model.engines else { panic!("the first model is started here") };
        format!(
            "{:?}",
            (
                (&config.listen, &config.admin, &config.state_dir, &config.threads),
                (config.on_exit, config.watch, &config.ports, config.engine_logs),
                (&config.cors, &config.limits, &config.timeouts, &config.retry, &config.log),
                (&spawn.command, spawn.replicas, spawn.start_timeout, spawn.stop_timeout),
                (spawn.restart, spawn.stall_timeout, spawn.sleep_mode, spawn.load),
                (&model.api_key, &model.health, model.balance, model.response_model),
            )
        )
    };
    assert_eq!(shown(&reference), shown(&bare));
    assert_eq!(reference.anonymous, Some(Anonymous::default()));
}

#[test]
fn the_defaults_that_the_schema_shows_are_the_defaults() {
    let schema = schema();
    let model = &schema["$defs"]["Model"]["properties"];
    let text = serde_json::json!({ "models": { "m": {
        "source": "s",
        "command": model["command"]["default"],
        "replicas": model["replicas"]["default"],
        "start_timeout": model["start_timeout"]["default"],
        "stop_timeout": model["stop_timeout"]["default"],
        "stall_timeout": model["stall_timeout"]["default"],
        "sleep_mode": model["sleep_mode"]["default"],
        "load": model["load"]["default"],
        "balance": model["balance"]["default"],
        "response_model": model["response_model"]["default"],
    } } })
    .to_string();
    let bare = parse("models: {m: {source: s}}", &|_| None).expect("the least there is");
    let written = parse(&text, &|_| None).expect("JSON is YAML");
    assert_eq!(format!("{written:?}"), format!("{bare:?}"));
}

#[test]
fn the_demo_has_two_models_and_three_aliases_and_needs_no_vllm() {
    let demo = parse(&text("demo.yaml"), &|_| None).expect("checked above");
    assert_eq!((demo.models.len(), demo.aliases.len()), (2, 3));
    assert!(demo.listen.ip().is_loopback() && demo.admin.listen.ip().is_loopback());
    for model in &demo.models {
        assert!(matches!(&model.engines, Engines::Spawn(spawn) if spawn.command == ["enginehouse", "sim"]));
    }
}

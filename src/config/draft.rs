//! The configuration that a person would write, comments and all, from what was answered about it. Pure.

use std::fmt::{Display, Write};
use std::net::SocketAddr;

use serde_json::Value;

use super::answers::{Answers, ModelAnswers};
use super::types::Gpus;
use super::words::{escaped, word};

/// The text of the file.
#[must_use]
pub fn draft(answers: &Answers) -> String {
    let mut out = String::new();
    for line in answers.about.lines() {
        let _ = writeln!(out, "# {}", line.trim_end());
    }
    let reference = "# `enginehouse check` tells what is wrong with this file; conf/reference.yaml shows every key.";
    let _ = writeln!(out, "{reference}\n");
    let _ = writeln!(out, "# Clients: http://{}/v1\nlisten: {}\n", answers.listen, address(answers.listen));
    let _ = writeln!(out, "# Operators: states, logs, starts and stops.\nadmin:\n  listen: {}", address(answers.admin));
    if !answers.metrics {
        out.push_str("  metrics: false # none for Prometheus\n");
    }
    if !answers.cors.is_empty() {
        out.push_str("\n# Web pages that may use the gateway from a browser.\ncors:\n  origins:\n");
        answers.cors.iter().for_each(|origin| _ = writeln!(out, "    - {}", word(origin)));
    }
    if !answers.request_log {
        out.push_str("\nlog:\n  access: false # no line for each request\n");
    }
    out.push_str("\n# Each model by the name that clients use.\nmodels:");
    if answers.models.is_empty() {
        out.push_str(" {}");
    }
    out.push('\n');
    for (at, model) in answers.models.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        model_lines(model, &mut out);
    }
    let aliases = answers.models.iter().flat_map(|model| model.aliases.iter().map(move |alias| (alias, model)));
    for (at, (alias, model)) in aliases.enumerate() {
        if at == 0 {
            out.push_str("\n# Further names for them; an alias can have settings of its own, too.\naliases:\n");
        }
        let _ = writeln!(out, "  {}:\n    model: {}", word(alias), word(&model.name));
    }
    out
}

fn model_lines(model: &ModelAnswers, out: &mut String) {
    let _ = writeln!(out, "  {}:", word(&model.name));
    if let Some(entry) = &model.entry {
        for line in entry.lines() {
            let line = if line.trim().is_empty() { String::new() } else { format!("    {line}") };
            let _ = writeln!(out, "{line}");
        }
        return;
    }
    line(out, "source", word(&model.source), "");
    if !model.command.is_empty() {
        line(out, "command", list(&model.command), "");
    }
    match &model.gpus {
        Gpus::AsVisible => {}
        Gpus::Any(count) => line(out, "gpus", count, "so many for each engine, those with room"),
        Gpus::Listed(gpus) => line(out, "gpus", list(gpus), "these"),
    }
    if let Some(share) = model.gpu_memory {
        line(out, "gpu_memory", share, "share of each GPU's memory");
    }
    if model.on_demand {
        line(out, "load", "on_demand", "when a request needs it, in turns with others that are");
    }
    if model.replicas != 1 {
        line(out, "replicas", model.replicas, "engines, which share the requests");
    }
    if let Some(port) = model.port {
        let what =
            if model.replicas == 1 { "of the engine itself" } else { "of the first engine, the next ones follow" };
        line(out, "port", port, format!("{what}, on 127.0.0.1"));
    }
    if let Some(profile) = &model.profile {
        line(out, "profile", word(profile), "");
    }
    let args = model.args.iter().map(|(flag, value)| (flag.as_str(), argument(value)));
    block(out, "args", args);
    let env = model.env.iter().map(|(name, value)| (name.as_str(), word(value)));
    block(out, "env", env);
    let adapters = model.adapters.iter().map(|(name, path)| (name.as_str(), word(path)));
    block(out, "lora", adapters);
}

/// One key of a model.
fn line(out: &mut String, key: &str, value: impl Display, comment: impl AsRef<str>) {
    let comment = comment.as_ref();
    let comment = if comment.is_empty() { String::new() } else { format!(" # {comment}") };
    let _ = writeln!(out, "    {key}: {value}{comment}");
}

/// One key of a model with a mapping; nothing where that is empty.
fn block<'a>(out: &mut String, key: &str, members: impl Iterator<Item = (&'a str, String)>) {
    for (at, (name, value)) in members.enumerate() {
        if at == 0 {
            let _ = writeln!(out, "    {key}:");
        }
        let _ = writeln!(out, "      {}: {value}", word(name));
    }
}

fn argument(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        // JSON is YAML.
        value => escaped(&value.to_string()),
    }
}

/// A list in one line. Indices of GPUs stay numbers.
fn list(words: &[String]) -> String {
    let item = |text: &String| match text.parse::<u32>() {
        Ok(number) if number.to_string() == *text => text.clone(),
        _ if text.contains([',', ';', ' ']) => escaped(&Value::from(text.as_str()).to_string()),
        _ => word(text),
    };
    format!("[{}]", words.iter().map(item).collect::<Vec<_>>().join(", "))
}

/// Bare, or in quotes where it has brackets.
fn address(address: SocketAddr) -> String {
    if address.is_ipv6() { format!("\"{address}\"") } else { address.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Map;

    use super::*;
    use crate::config::{Config, Engines, as_written, parse};

    fn read(answers: &Answers) -> Config {
        let text = draft(answers);
        parse(&text, &|_| None).unwrap_or_else(|found| panic!("{found}\n{text}"))
    }

    /// What a configuration says, as answers.
    fn told(config: &Config) -> Answers {
        let model = |model: &crate::config::Model| match &model.engines {
            Engines::Spawn(spawn) => ModelAnswers {
                name: model.name.to_string(),
                source: spawn.source.clone(),
                gpus: spawn.gpus.clone(),
                gpu_memory: spawn.gpu_memory,
                on_demand: spawn.load.is_on_demand(),
                replicas: spawn.replicas,
                port: spawn.port,
                args: spawn.args.clone(),
                env: spawn.env.clone(),
                ..ModelAnswers::default()
            },
            Engines::Urls(_) => panic!("none is drafted"),
        };
        Answers {
            about: String::new(),
            listen: config.listen,
            admin: config.admin.listen,
            cors: config.cors.origins.clone(),
            metrics: config.admin.metrics,
            request_log: config.log.access,
            models: config.models.iter().map(model).collect(),
        }
    }

    fn small() -> ModelAnswers {
        ModelAnswers { name: "small".into(), source: "Qwen/Qwen3-0.6B".into(), ..ModelAnswers::default() }
    }

    #[test]
    fn a_draft_is_what_a_person_would_write() {
        let answers = Answers {
            about: "Two models on one machine".into(),
            request_log: false,
            metrics: false,
            cors: vec!["http://localhost:3000".into()],
            models: vec![
                small(),
                ModelAnswers {
                    name: "Qwen/Big".into(),
                    aliases: vec!["big".into(), "on".into()],
                    source: "/models/big one".into(),
                    gpus: Gpus::Listed(vec!["0".into(), "1".into()]),
                    port: Some(9001),
                    profile: Some("moe_optimized".into()),
                    adapters: vec![("sql".into(), "/adapters/sql".into())],
                    args: Map::from_iter([("max-model-len".to_owned(), 4096.into())]),
                    ..ModelAnswers::default()
                },
            ],
            ..Answers::usual()
        };
        let expected = "# Two models on one machine\n\
            # `enginehouse check` tells what is wrong with this file; conf/reference.yaml shows every key.\n\n\
            # Clients: http://127.0.0.1:8000/v1\nlisten: 127.0.0.1:8000\n\n\
            # Operators: states, logs, starts and stops.\nadmin:\n  listen: 127.0.0.1:8001\n  metrics: false # none for Prometheus\n\n\
            # Web pages that may use the gateway from a browser.\ncors:\n  origins:\n    - \"http://localhost:3000\"\n\n\
            log:\n  access: false # no line for each request\n\n\
            # Each model by the name that clients use.\nmodels:\n  small:\n    source: Qwen/Qwen3-0.6B\n\n\
            \x20 Qwen/Big:\n    source: \"/models/big one\"\n    gpus: [0, 1] # these\n    port: 9001 # of the engine itself, on 127.0.0.1\n    \
            profile: moe_optimized\n    args:\n      max-model-len: 4096\n    lora:\n      sql: \"/adapters/sql\"\n\n\
            # Further names for them; an alias can have settings of its own, too.\naliases:\n  big:\n    model: Qwen/Big\n  \"on\":\n    model: Qwen/Big\n";
        assert_eq!(draft(&answers), expected);
        let config = read(&answers);
        assert_eq!((config.models.len(), config.aliases.len()), (2, 2));
    }

    #[test]
    fn an_entry_is_written_as_it_is() {
        let entry = "# Mine\nsource: org/m # weights\n\nargs:\n  seed: ${SEED}\nstart_order: 2\n";
        let model = ModelAnswers { name: "m".into(), entry: Some(entry.into()), ..small() };
        let text = draft(&Answers { models: vec![model], ..Answers::usual() });
        assert!(
            text.contains("  m:\n    # Mine\n    source: org/m # weights\n\n    args:\n      seed: ${SEED}\n"),
            "{text}"
        );
        let root = as_written(&text).expect("a mapping");
        assert_eq!(root["models"]["m"]["start_order"], 2);
    }

    #[test]
    fn when_a_model_is_loaded_is_written_where_that_is_on_demand() {
        let model = ModelAnswers { gpu_memory: Some(0.9), on_demand: true, ..small() };
        let text = draft(&Answers { models: vec![model], ..Answers::usual() });
        let lines =
            "    gpu_memory: 0.9 # share of each GPU's memory\n    load: on_demand # when a request needs it, in turns";
        assert!(text.contains(lines), "{text}");
        let text = draft(&Answers { models: vec![small()], ..Answers::usual() });
        assert!(!text.contains("load"), "{text}");
    }

    #[test]
    fn replicas_are_written_where_there_are_some() {
        let model = ModelAnswers { replicas: 2, port: Some(9001), ..small() };
        let text = draft(&Answers { models: vec![model], ..Answers::usual() });
        assert!(
            text.contains("    replicas: 2 # engines, which share the requests\n    port: 9001 # of the first engine"),
            "{text}"
        );
    }

    fn text() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9/._~#:{}$, '\"-]{1,16}".prop_filter("something to see", |text| text.trim() == text)
    }

    fn model(at: usize) -> impl Strategy<Value = ModelAnswers> {
        let gpus = prop_oneof![
            Just(Gpus::AsVisible),
            (1..4usize).prop_map(Gpus::Any),
            (0..4u32).prop_map(|gpu| Gpus::Listed(vec![gpu.to_string()])),
            Just(Gpus::Listed(vec!["GPU-1a2b".into(), "MIG-3".into()])),
        ];
        let flags = prop_oneof![Just(Value::from(true)), Just(Value::from(1.5)), text().prop_map(Value::from)];
        let args = prop::collection::vec(("[a-f]{3,6}-len", flags), 0..3);
        let env = prop::collection::btree_map("[A-F]{3,5}_X", text(), 0..2);
        // So many as share the listed GPUs evenly.
        let gpus = (gpus, 1..3usize).prop_map(|(gpus, replicas)| match gpus {
            Gpus::Listed(listed) if listed.len() % replicas != 0 => (Gpus::Listed(listed), 1),
            gpus => (gpus, replicas),
        });
        (text(), gpus, prop::option::of(0.1..0.2f64), any::<(bool, bool)>(), args, env).prop_map(
            move |(source, (gpus, replicas), gpu_memory, (has_port, on_demand), args, env)| ModelAnswers {
                name: format!("m{at}"),
                source,
                gpus,
                gpu_memory: gpu_memory.map(|share| (share * 100.0).round() / 100.0),
                on_demand,
                replicas,
                port: has_port.then(|| 9001 + 10 * u16::try_from(at).expect("small")),
                args: args.into_iter().collect(),
                env,
                ..ModelAnswers::default()
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn a_draft_is_valid_and_says_what_was_answered(
            (metrics, request_log, cors) in (any::<bool>(), any::<bool>(), any::<bool>()),
            models in (model(0), model(1), model(2)),
        ) {
            let cors = if cors { vec!["*".to_owned()] } else { vec![] };
            let models = vec![models.0, models.1, models.2];
            let answers = Answers { metrics, request_log, cors, models, ..Answers::usual() };
            prop_assert_eq!(told(&read(&answers)), answers);
        }
    }
}

//! The configuration that a person would write, comments and all, from what was answered about it. Pure.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::net::SocketAddr;

use serde_json::{Map, Value};

use super::types::{Gpus, Spawn};
use super::words::{escaped, word};

/// What was answered about a whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// What it is for, in a line or some; may be empty.
    pub about: String,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where operators connect: a loopback address, because there is no token.
    pub admin: SocketAddr,
    /// Web pages that may use the gateway: origins, or `*`.
    pub cors: Vec<String>,
    /// Whether there are metrics for Prometheus.
    pub metrics: bool,
    /// Whether one line for each request is written to standard output.
    pub request_log: bool,
    /// The models, in their order.
    pub models: Vec<ModelAnswers>,
}

/// What was answered about one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelAnswers {
    /// The name that clients use.
    pub name: String,
    /// Further names, as aliases that change nothing.
    pub aliases: Vec<String>,
    /// Hub id or path.
    pub source: String,
    /// The program, where that is not vLLM.
    pub command: Vec<String>,
    /// LoRA adapters: path or hub id by name, in their order.
    pub adapters: Vec<(String, String)>,
    /// Its GPUs.
    pub gpus: Gpus,
    /// Share of each GPU's memory.
    pub gpu_memory: Option<f64>,
    /// The port of its engine; `None`: a free one.
    pub port: Option<u16>,
    /// The profile.
    pub profile: Option<String>,
    /// Further flags.
    pub args: Map<String, Value>,
    /// Further variables of the environment.
    pub env: BTreeMap<String, String>,
}

impl Answers {
    /// One gateway for clients of this machine without models, with what else is usual.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            about: String::new(),
            listen: ([127, 0, 0, 1], 8000).into(),
            admin: ([127, 0, 0, 1], 8001).into(),
            cors: Vec::new(),
            metrics: true,
            request_log: true,
            models: Vec::new(),
        }
    }
}

impl ModelAnswers {
    /// What a model's engines say of it, as answers.
    #[must_use]
    pub fn of(name: &str, spawn: &Spawn) -> Self {
        let vllm = ["vllm", "serve"];
        let is_vllm = spawn.command.iter().map(String::as_str).eq(vllm);
        Self {
            name: name.to_owned(),
            aliases: Vec::new(),
            source: spawn.source.clone(),
            command: if is_vllm { Vec::new() } else { spawn.command.clone() },
            adapters: spawn.lora.iter().map(|(name, path)| (name.to_string(), path.clone())).collect(),
            gpus: spawn.gpus.clone(),
            gpu_memory: spawn.gpu_memory,
            port: spawn.port,
            profile: spawn.profile.clone(),
            args: spawn.args.clone(),
            env: spawn.env.clone(),
        }
    }
}

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
    if let Some(port) = model.port {
        line(out, "port", port, "of the engine itself, on 127.0.0.1");
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
fn line(out: &mut String, key: &str, value: impl Display, comment: &str) {
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

    use super::*;
    use crate::config::{Config, Engines, parse};

    fn read(answers: &Answers) -> Config {
        let text = draft(answers);
        parse(&text, &|_| None).unwrap_or_else(|found| panic!("{found}\n{text}"))
    }

    /// What a configuration says, as answers.
    fn told(config: &Config) -> Answers {
        let model = |model: &crate::config::Model| match &model.engines {
            Engines::Spawn(spawn) => ModelAnswers::of(&model.name, spawn),
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
        (text(), gpus, prop::option::of(0.1..0.2f64), any::<bool>(), args, env).prop_map(
            move |(source, gpus, gpu_memory, has_port, args, env)| ModelAnswers {
                name: format!("m{at}"),
                source,
                gpus,
                gpu_memory: gpu_memory.map(|share| (share * 100.0).round() / 100.0),
                port: has_port.then(|| 9001 + u16::try_from(at).expect("small")),
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

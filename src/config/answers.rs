//! What was answered about a configuration, as plain data, and what an entry of a file says of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Map, Value};

use super::types::Gpus;

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
#[derive(Clone, Debug, PartialEq)]
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
    /// Whether its engines are loaded when a request needs them, and have GPUs in turns with others of which that is said.
    pub on_demand: bool,
    /// Engines of it, at least 1.
    pub replicas: usize,
    /// The port of its first engine, the next ones follow; `None`: free ones.
    pub port: Option<u16>,
    /// The profile.
    pub profile: Option<String>,
    /// Further flags.
    pub args: Map<String, Value>,
    /// Further variables of the environment.
    pub env: BTreeMap<String, String>,
    /// The text of an entry that says all of this and more, variables and comments included: it is written in place of the
    /// answers.
    pub entry: Option<String>,
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

impl Default for ModelAnswers {
    /// One engine without a name and a source.
    fn default() -> Self {
        Self {
            name: String::new(),
            aliases: Vec::new(),
            source: String::new(),
            command: Vec::new(),
            adapters: Vec::new(),
            gpus: Gpus::default(),
            gpu_memory: None,
            on_demand: false,
            replicas: 1,
            port: None,
            profile: None,
            args: Map::new(),
            env: BTreeMap::new(),
            entry: None,
        }
    }
}

impl ModelAnswers {
    /// What the entry of the model `name` says, as it is written: variables are not expanded. Its environment is not told.
    ///
    /// # Errors
    /// The key whose value is not understood: a variable, or nothing.
    pub fn read(name: &str, entry: &Map<String, Value>) -> Result<Self, &'static str> {
        let source = entry.get("source").and_then(Value::as_str).ok_or("source")?;
        let whole = |value: &Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
        let gpus = match entry.get("gpus") {
            None => Gpus::AsVisible,
            Some(value @ Value::Number(_)) => Gpus::Any(whole(value).ok_or("gpus")?),
            Some(value @ Value::Array(_)) => Gpus::Listed(texts(value)),
            Some(_) => return Err("gpus"),
        };
        let on_demand = match entry.get("load").map(Value::as_str) {
            None | Some(Some("eager")) => false,
            Some(Some("on_demand")) => true,
            Some(_) => return Err("load"),
        };
        let adapters = entry.get("lora").and_then(Value::as_object).into_iter().flatten();
        Ok(Self {
            name: name.to_owned(),
            source: source.to_owned(),
            command: entry.get("command").map(texts).unwrap_or_default(),
            adapters: adapters.filter_map(|(name, path)| Some((name.clone(), text(path)?))).collect(),
            gpus,
            gpu_memory: entry.get("gpu_memory").and_then(Value::as_f64),
            on_demand,
            replicas: entry.get("replicas").and_then(whole).unwrap_or(1),
            port: entry.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok()),
            profile: entry.get("profile").and_then(Value::as_str).map(str::to_owned),
            args: entry.get("args").and_then(Value::as_object).cloned().unwrap_or_default(),
            ..Self::default()
        })
    }
}

/// The texts and numbers of a list, as texts.
#[must_use]
pub fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(text).collect()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::as_written;
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_is_written() {
        let read = |text: &str| ModelAnswers::read("m", &as_written(text).expect("a mapping"));
        let model = read(
            "source: ${DIR}/m\ngpus: [0, GPU-1]\nreplicas: 2\nlora: { a: /a, b: { path: /b } }\nargs: { seed: 1 }\nstart_order: 3\n",
        );
        let expected = ModelAnswers {
            name: "m".into(),
            source: "${DIR}/m".into(),
            gpus: Gpus::Listed(vec!["0".into(), "GPU-1".into()]),
            replicas: 2,
            adapters: vec![("a".into(), "/a".into())],
            args: Map::from_iter([("seed".to_owned(), 1.into())]),
            ..ModelAnswers::default()
        };
        assert_eq!(model, Ok(expected));
        assert_eq!(
            read("source: s\ngpus: 2\nreplicas: ${N}\n").map(|model| (model.gpus, model.replicas)),
            Ok((Gpus::Any(2), 1))
        );
        assert_eq!((read("gpus: 1\n"), read("source: s\ngpus: ${GPUS}\n")), (Err("source"), Err("gpus")));
        let load = |load: &str| read(&format!("source: s\nload: {load}\n")).map(|model| model.on_demand);
        assert_eq!((load("eager"), load("on_demand"), load("${LOAD}")), (Ok(false), Ok(true), Err("load")));
    }
}

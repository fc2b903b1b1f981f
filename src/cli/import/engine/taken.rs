//! What an engine was told: flags and variables, one after the other, those apart that have a key of their own here.

use serde_json::{Map, Value, json};

use super::super::values::{scalar, text, texts, whole};
use super::devices::devices;
use crate::config::{flag_name, is_secret, is_variable};

/// Flags that Enginehouse sets itself or that would make an engine unreachable.
const NOT_HERE: &[&str] =
    &["host", "uds", "ssl-keyfile", "ssl-certfile", "ssl-ca-certs", "ssl-cert-reqs", "headless", "grpc", "root-path"];

/// Flags that vLLM 0.32 does not have any more, and what is in their place.
const GONE: &[(&str, &str)] = &[
    ("swap-space", "nothing is needed"),
    ("num-lookahead-slots", "see `speculative-config`"),
    ("rope-scaling", "write it in `hf-overrides`"),
    ("rope-theta", "write it in `hf-overrides`"),
    ("guided-decoding-backend", "see `structured-outputs-config`"),
    ("speculative-model", "see `speculative-config`"),
    ("num-speculative-tokens", "see `speculative-config`"),
    ("cpu-offload-space", "see `cpu-offload-gb`"),
    ("disable-async-output-proc", "nothing is needed"),
    ("calculate-kv-scales", "nothing is needed"),
    ("max-num-partial-prefills", "nothing is needed"),
    ("generation-config-override", "see `override-generation-config`"),
    ("disable-frontend-multiprocessing", "nothing is needed"),
    ("disable-log-requests", "requests are not logged by default"),
    ("use-v2-block-manager", "nothing is needed"),
];

/// Largest share of a GPU's memory that a configuration may promise.
const LARGEST_SHARE: f64 = 0.95;

/// An engine, taken apart.
#[derive(Default)]
pub(in crate::cli::import) struct Engine {
    /// What it loads.
    pub(in crate::cli::import) source: Option<String>,
    /// The names that it serves, the first one in front.
    pub(in crate::cli::import) served: Vec<String>,
    /// The port that it was to have.
    pub(in crate::cli::import) port: Option<u64>,
    /// The key that it asks for.
    pub(in crate::cli::import) api_key: Option<Value>,
    /// Its GPUs, if they are listed.
    pub(in crate::cli::import) gpus: Vec<Value>,
    /// The share of each one's memory.
    pub(in crate::cli::import) gpu_memory: Option<Value>,
    /// Whether it can sleep.
    pub(in crate::cli::import) sleep_mode: Option<bool>,
    /// Its adapters; none where it takes none at all.
    pub(in crate::cli::import) lora: Option<Vec<(String, String)>>,
    /// Its other flags.
    pub(in crate::cli::import) args: Map<String, Value>,
    /// Its environment.
    pub(in crate::cli::import) env: Map<String, Value>,
    /// Flags of its profile that it does without.
    pub(in crate::cli::import) cleared: Vec<String>,
    /// What is to be said: of which flag or variable, and what.
    pub(in crate::cli::import) said: Vec<(String, String)>,
}

impl Engine {
    /// Takes a flag, in whatever spelling; a later one wins.
    pub(in crate::cli::import) fn flag(&mut self, written: &str, value: Value) {
        let name = flag_name(written);
        let (name, value) = match (name.strip_prefix("no-"), &value) {
            (Some(positive), Value::Bool(truth)) => (positive.to_owned(), Value::Bool(!truth)),
            _ => (name, value),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        if name.is_empty() || !name.chars().all(legal) {
            return self.say(&name, "was left out: it cannot be a flag of vLLM.");
        }
        match name.as_str() {
            _ if value.is_null() => {}
            "model" | "model-tag" => self.source = text(&value).or(self.source.take()),
            // Nothing is lost: an engine is reached through the gateway.
            "host" => {}
            "port" => self.port = whole(&value),
            "served-model-name" => self.served = texts(&value),
            "api-key" => self.api_key = texts(&value).into_iter().next().map(Value::String),
            "gpu-memory-utilization" => self.share(&name, &value),
            "enable-sleep-mode" => self.sleep_mode = value.as_bool(),
            "enable-lora" if value == true => self.lora = Some(self.lora.take().unwrap_or_default()),
            "enable-lora" => {}
            "lora-modules" => self.adapters(&value),
            "hf-token" if value.is_string() => self.variable("HF_TOKEN", value),
            name if NOT_HERE.contains(&name) => {
                self.say(name, "was left out: Enginehouse reaches its engines on 127.0.0.1, by plain HTTP.");
            }
            name if is_secret(name) && value.is_string() => {
                self.say(
                    name,
                    "was left out: everybody on the machine can read a command line. Write it under \
                    `env`, if the engine reads it there.",
                );
            }
            name => match GONE.iter().find(|(gone, _)| *gone == name) {
                Some((_, instead)) => self.say(
                    name,
                    &format!(
                        "was left out: vLLM 0.32 has no such flag \
                    ({instead})."
                    ),
                ),
                None => self.other(name, value),
            },
        }
    }

    fn other(&mut self, name: &str, value: Value) {
        let fits = match &value {
            Value::Array(items) => !items.is_empty() && items.iter().all(|item| !item.is_null() && !item.is_boolean()),
            _ => true,
        };
        if fits && !value.to_string().contains("\\u0000") {
            self.args.insert(name.to_owned(), value);
        } else {
            self.say(name, "was left out: its value cannot be on a command line.");
        }
    }

    /// Takes a variable of its environment; a later one wins.
    pub(in crate::cli::import) fn variable(&mut self, name: &str, value: Value) {
        let Some(value) = scalar(&value) else {
            return self.say(name, "was left out: its value is neither a text nor a number.");
        };
        if !is_variable(name) || value.contains('\0') {
            return self.say(name, "was left out: it cannot be an environment variable.");
        }
        match name {
            "VLLM_API_KEY" => self.api_key = Some(Value::String(value)),
            "CUDA_VISIBLE_DEVICES" | "NVIDIA_VISIBLE_DEVICES" => match devices(&value) {
                Some(gpus) => self.gpus = gpus,
                None if value == "all" => {}
                None => {
                    self.say(name, "was left out: it is no list of GPUs. Write `gpus`.");
                }
            },
            // The gateway asks for it where it needs it.
            "VLLM_SERVER_DEV_MODE" => {}
            _ => drop(self.env.insert(name.to_owned(), Value::String(value))),
        }
    }

    fn share(&mut self, name: &str, value: &Value) {
        match value.as_f64().or_else(|| value.as_str()?.parse().ok()) {
            Some(share) if share > 0.0 && share <= LARGEST_SHARE => self.gpu_memory = Some(json!(share)),
            Some(share) if share > LARGEST_SHARE && share <= 1.0 => {
                self.say(name, "is 0.95: more of a GPU's memory cannot be promised here.");
                self.gpu_memory = Some(json!(LARGEST_SHARE));
            }
            _ => self.say(name, "was left out: it is no share, which is more than 0 and at most 1."),
        }
    }

    /// Adapters: `name=path` (one text may have several), mappings with `name` and `path`, or a list of these.
    pub(in crate::cli::import) fn adapters(&mut self, value: &Value) {
        let mut found = self.lora.take().unwrap_or_default();
        let mut unread = false;
        let items = match value {
            Value::Array(items) => items.clone(),
            Value::Object(map) if map.contains_key("lora_modules") => match &map["lora_modules"] {
                Value::Array(items) => items.clone(),
                one => vec![one.clone()],
            },
            one => vec![one.clone()],
        };
        for item in items {
            let parsed =
                item.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok()).filter(Value::is_object);
            match parsed.unwrap_or(item) {
                Value::Object(map) => {
                    match (map.get("name").and_then(Value::as_str), map.get("path").and_then(Value::as_str)) {
                        (Some(name), Some(path)) => found.push((name.to_owned(), path.to_owned())),
                        _ => unread = true,
                    }
                }
                Value::String(text) => {
                    for pair in text.split_whitespace() {
                        match pair.split_once('=') {
                            Some((name, path)) => found.push((name.to_owned(), path.to_owned())),
                            None => unread = true,
                        }
                    }
                }
                Value::Null => {}
                _ => unread = true,
            }
        }
        if unread {
            self.say(
                "lora-modules",
                "has something that is no adapter with its name and path, and that was \
                left out.",
            );
        }
        self.lora = Some(found);
    }

    /// Says something of a flag or a variable.
    pub(super) fn say(&mut self, of: &str, text: &str) {
        self.said.push((of.to_owned(), format!("`{of}` {text}")));
    }
}

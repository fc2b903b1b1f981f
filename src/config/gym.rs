//! `gym:` of an alias: the fields of NeMo Gym's model servers, under their own names and with their defaults.
#![allow(dead_code)] // until wired

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::finding::Finding;
use super::path::Path;
use super::units::Time;
use crate::secret::Secret;

/// Makes the alias behave as NeMo Gym's model server (`LocalVLLMModelProxy`, `VLLMModel`) does.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Gym")]
pub(super) struct RawGym {
    /// Training: answers carry `prompt_token_ids`, `generation_token_ids` and `generation_log_probs`.
    pub(super) return_token_id_information: bool,
    /// With the above, on the chat path: ask the engine for the ids themselves (`return_token_ids`) instead of deriving
    /// them from log-probabilities and `/tokenize`.
    pub(super) request_prompt_and_generation_token_ids: bool,
    /// Whether the engine runs a reasoning parser: its reasoning is wrapped in `<think>` in answers, and taken out of
    /// the history again. If not, an answer with a reasoning field is an error.
    pub(super) uses_reasoning_parser: bool,
    /// Whether reasoning that was taken out of the history is sent back in `reasoning_content` and `reasoning`;
    /// otherwise it is dropped.
    pub(super) uses_interleaved_reasoning: bool,
    /// Leave `<think>` in the history as it is.
    pub(super) preserve_reasoning_in_assistant_content: bool,
    /// On the chat path, messages of role `developer` are sent as `system`.
    pub(super) replace_developer_role_with_system: bool,
    /// If not, a conversation that ends with an assistant turn of nothing but reasoning is answered with an empty
    /// completion (`content_filter`) instead of being sent.
    pub(super) sequential_reasoning_allowed: bool,
    /// Whether `/v1/responses` and `/v1/messages` go to the engine's own `/v1/responses`.
    pub(super) is_responses_native: bool,
    /// Arguments of the chat template. `metadata.chat_template_kwargs` of a request is merged over them.
    pub(super) chat_template_kwargs: Option<Map<String, Value>>,
    /// Members put on every request to the engine, last and over everything else.
    pub(super) sampling_overrides: Option<Map<String, Value>>,
    /// Members for what the client did not say; `metadata.extra_body` of a request is merged over them.
    pub(super) extra_body: Option<Map<String, Value>>,
    /// Headers added to every request to the engine.
    pub(super) default_headers: BTreeMap<String, String>,
    /// The folder of `metadata.audio_path`. Nothing outside of it is ever read; without it no file is.
    pub(super) audio_root: Option<PathBuf>,
    /// Send prompts to `/v1/completions` instead of messages to `/v1/chat/completions`.
    pub(super) use_completions_api: bool,
    /// With the above: render messages with the model's chat template (the engine does it, by `/tokenize`).
    pub(super) render_chat_template: bool,
    /// Accepted for Gym's sake: the engine renders with the tokenizer it serves with.
    pub(super) tokenizer: Option<String>,
    /// Reproduce Gym where we would do better, wherever a successful answer or the engine's request shows it.
    pub(super) strict: bool,
    /// How long a request is retried while the engine cannot be reached or is overloaded.
    pub(super) retry_for: Time,
    /// Refused: where the engines are comes from the model the alias points at.
    pub(super) base_url: Option<Value>,
    /// Refused: the key comes from the model the alias points at.
    pub(super) api_key: Option<Value>,
    /// Refused: the name comes from the model the alias points at.
    pub(super) model: Option<Value>,
    /// Refused: the model is what the alias points at.
    pub(super) model_server: Option<Value>,
    /// Refused: see `listen` of the alias.
    pub(super) host: Option<Value>,
    /// Refused: see `listen` of the alias.
    pub(super) port: Option<Value>,
    /// Refused: the alias has a name.
    pub(super) name: Option<Value>,
    /// Refused: there is no Python to start.
    pub(super) entrypoint: Option<Value>,
    /// Refused: see `threads`.
    pub(super) num_workers: Option<Value>,
    /// Refused: it means nothing for a model server.
    pub(super) domain: Option<Value>,
}

impl Default for RawGym {
    fn default() -> Self {
        Self {
            return_token_id_information: false,
            request_prompt_and_generation_token_ids: false,
            uses_reasoning_parser: true,
            uses_interleaved_reasoning: true,
            preserve_reasoning_in_assistant_content: false,
            replace_developer_role_with_system: false,
            sequential_reasoning_allowed: true,
            is_responses_native: false,
            chat_template_kwargs: None,
            sampling_overrides: None,
            extra_body: None,
            default_headers: BTreeMap::new(),
            audio_root: None,
            use_completions_api: false,
            render_chat_template: false,
            tokenizer: None,
            strict: false,
            retry_for: Time(RETRY_FOR),
            base_url: None,
            api_key: None,
            model: None,
            model_server: None,
            host: None,
            port: None,
            name: None,
            entrypoint: None,
            num_workers: None,
            domain: None,
        }
    }
}

/// An engine that starts with a large model takes minutes; a rollout that fails costs more than one that waits.
const RETRY_FOR: Duration = Duration::from_secs(600);

/// The rules of NeMo Gym's model servers for one alias, checked.
#[derive(Clone, Debug)]
pub struct Gym {
    /// Answers carry token ids and log-probabilities.
    pub return_token_id_information: bool,
    /// The engine is asked for the ids themselves.
    pub request_prompt_and_generation_token_ids: bool,
    /// The engine runs a reasoning parser.
    pub uses_reasoning_parser: bool,
    /// Reasoning of the history is sent back in fields of its own.
    pub uses_interleaved_reasoning: bool,
    /// `<think>` stays in the history.
    pub preserve_reasoning_in_assistant_content: bool,
    /// `developer` becomes `system`.
    pub replace_developer_role_with_system: bool,
    /// The engine may be called after a turn of nothing but reasoning.
    pub sequential_reasoning_allowed: bool,
    /// `/v1/responses` is the engine's own.
    pub is_responses_native: bool,
    /// Arguments of the chat template; empty: none are sent.
    pub chat_template_kwargs: Map<String, Value>,
    /// Members that always win.
    pub sampling_overrides: Map<String, Value>,
    /// Members used where the client is silent.
    pub extra_body: Map<String, Value>,
    /// Headers added upstream.
    pub default_headers: BTreeMap<String, Secret>,
    /// The only folder audio is read from.
    pub audio_root: Option<PathBuf>,
    /// `/v1/completions` is used upstream.
    pub use_completions_api: bool,
    /// Prompts of `/v1/completions` are rendered with the chat template.
    pub render_chat_template: bool,
    /// Gym is reproduced where we would do better.
    pub strict: bool,
    /// How long a request is retried.
    pub retry_for: Duration,
}

impl Default for Gym {
    fn default() -> Self {
        gym(RawGym::default())
    }
}

/// Fields that Gym's files may set to `null`, which is what they are when nothing is written.
const NULLABLE: [&str; 5] = ["chat_template_kwargs", "sampling_overrides", "extra_body", "audio_root", "tokenizer"];

/// Takes the `null`s of such fields out of a configuration as it was read.
pub(super) fn without_nulls(config: &mut Value) {
    let Some(Value::Object(aliases)) = config.get_mut("aliases") else { return };
    for gym in aliases.values_mut().filter_map(|alias| alias.get_mut("gym")?.as_object_mut()) {
        gym.retain(|name, value| !(value.is_null() && NULLABLE.contains(&name.as_str())));
    }
}

/// The checked form; [`breaches`] has run before.
pub(super) fn gym(raw: RawGym) -> Gym {
    let secret = |(name, value): (String, String)| (name, Secret::new(value));
    Gym {
        return_token_id_information: raw.return_token_id_information,
        request_prompt_and_generation_token_ids: raw.request_prompt_and_generation_token_ids,
        uses_reasoning_parser: raw.uses_reasoning_parser,
        uses_interleaved_reasoning: raw.uses_interleaved_reasoning,
        preserve_reasoning_in_assistant_content: raw.preserve_reasoning_in_assistant_content,
        replace_developer_role_with_system: raw.replace_developer_role_with_system,
        sequential_reasoning_allowed: raw.sequential_reasoning_allowed,
        is_responses_native: raw.is_responses_native,
        chat_template_kwargs: raw.chat_template_kwargs.unwrap_or_default(),
        sampling_overrides: raw.sampling_overrides.unwrap_or_default(),
        extra_body: raw.extra_body.unwrap_or_default(),
        default_headers: raw.default_headers.into_iter().map(secret).collect(),
        audio_root: raw.audio_root,
        use_completions_api: raw.use_completions_api,
        render_chat_template: raw.render_chat_template,
        strict: raw.strict,
        retry_for: raw.retry_for.0,
    }
}

/// What is wrong with the `gym:` block at `path`.
pub(super) fn breaches(path: &Path, raw: &RawGym, out: &mut Vec<Finding>) {
    refused(path, raw, out);
    for (name, value) in &raw.default_headers {
        let path = path.key("default_headers").key(name);
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            let reason = format!("`{name}` cannot be the name of a header.");
            out.push(Finding::new(path, reason, "Use letters, digits and dashes, such as X-Session-ID.").hidden());
        } else if !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            let reason = "The value holds characters that cannot be sent in a header.";
            out.push(Finding::new(path, reason, "Use visible ASCII characters only.").hidden());
        }
    }
    if raw.audio_root.as_ref().is_some_and(|root| !root.is_absolute()) {
        let reason = "Where a relative folder lies depends on where Enginehouse was started.";
        out.push(Finding::new(path.key("audio_root"), reason, "Write an absolute path."));
    }
}

/// Fields of Gym's servers that something else says here.
fn refused(path: &Path, raw: &RawGym, out: &mut Vec<Finding>) {
    let model = "It comes from the model the alias points at, also after that model's engines restarted elsewhere.";
    let listen = "Where an alias is reached is not a matter of Gym.";
    let fields = [
        ("base_url", &raw.base_url, model, "Take it out; `urls` or `source` of the model say where its engines are."),
        ("api_key", &raw.api_key, model, "Take it out; set `api_key` of the model if its engines need another."),
        ("model", &raw.model, model, "Take it out; `served_name` of the model is what its engines are asked for."),
        ("model_server", &raw.model_server, model, "Take it out; `model:` of the alias names what it stands for."),
        ("host", &raw.host, listen, "Take it out; write `listen: host:port` in the alias itself."),
        ("port", &raw.port, listen, "Take it out; write `listen: host:port` in the alias itself."),
        ("name", &raw.name, "The alias has a name already.", "Take it out; the alias's key is its name."),
        ("entrypoint", &raw.entrypoint, "There is no Python server to start.", "Take it out."),
        (
            "num_workers",
            &raw.num_workers,
            "All aliases share the worker threads of this process.",
            "Take it out; set `threads` at the top if the number matters.",
        ),
        ("domain", &raw.domain, "Model servers do not use it.", "Take it out."),
    ];
    for (name, value, reason, remedy) in fields {
        if value.is_some() {
            // A key of an engine may be what is written there.
            out.push(Finding::new(path.key(name), reason, remedy).hidden());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn findings(value: Value) -> Vec<String> {
        let raw: RawGym = serde_json::from_value(value).expect("fields");
        let mut out = Vec::new();
        breaches(&Path::of(["aliases", "a", "gym"]), &raw, &mut out);
        out.into_iter().map(|finding| finding.path.to_string()).collect()
    }

    #[test]
    fn defaults_are_those_of_gyms_shipped_template() {
        let gym = Gym::default();
        assert!(!gym.return_token_id_information && gym.uses_reasoning_parser && gym.uses_interleaved_reasoning);
        assert!(gym.sequential_reasoning_allowed && !gym.is_responses_native && !gym.strict);
        assert_eq!(gym.retry_for, Duration::from_secs(600));
    }

    #[test]
    fn what_the_model_says_is_refused_here() {
        let fields = ["base_url", "api_key", "model", "model_server", "host", "port", "name", "entrypoint"];
        for field in fields.into_iter().chain(["num_workers", "domain"]) {
            let mut block = Map::new();
            block.insert(field.to_owned(), json!("x"));
            assert_eq!(findings(Value::Object(block)), [format!("aliases.a.gym.{field}")]);
        }
        assert!(findings(json!({ "extra_body": { "model": "free to say" }, "tokenizer": "t" })).is_empty());
    }

    #[test]
    fn headers_that_cannot_be_sent_are_found() {
        let headers =
            json!({ "default_headers": { "a b": "x", "authorization": "overridden", "X-A": "a\nb", "X-B": "fine" } });
        assert_eq!(findings(headers).len(), 2, "Gym takes `authorization` too, and its own key replaces it");
    }

    #[test]
    fn null_is_as_good_as_nothing_where_gym_says_so() {
        let yaml = |gym: &str| format!("models: {{m: {{source: s}}}}\naliases: {{a: {{model: m, gym: {{{gym}}}}}}}\n");
        let nulls = NULLABLE.map(|name| format!("{name}: null")).join(", ");
        let config = crate::config::parse(&yaml(&nulls), &|_| None).expect("a good configuration");
        let gym = config.aliases[0].gym.as_ref().expect("its rules");
        assert!(gym.chat_template_kwargs.is_empty() && gym.sampling_overrides.is_empty() && gym.audio_root.is_none());
        let kept = crate::config::parse(&yaml("extra_body: {max_output_tokens: null}"), &|_| None).expect("good, too");
        assert_eq!(kept.aliases[0].gym.as_ref().expect("its rules").extra_body["max_output_tokens"], Value::Null);
        assert!(crate::config::parse(&yaml("strict: null"), &|_| None).is_err());
    }

    #[test]
    fn a_typo_is_no_field() {
        assert!(serde_json::from_value::<RawGym>(json!({ "use_reasoning_parser": true })).is_err());
    }
}

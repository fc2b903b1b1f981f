//! `gym:` of an alias: the fields of NeMo Gym's model servers, under their own names and with their defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::units::{Time, TimeOrZero};
use crate::secret::Secret;

/// Makes the alias behave as NeMo Gym's model server (`LocalVLLMModelProxy`, `VLLMModel`) does.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gym {
    /// Training: answers carry `prompt_token_ids`, `generation_token_ids` and `generation_log_probs`.
    pub return_token_id_information: bool,
    /// With the above, on the chat path: ask the engine for the ids themselves (`return_token_ids`) instead of deriving
    /// them from log-probabilities and `/tokenize`.
    pub request_prompt_and_generation_token_ids: bool,
    /// Whether the engine runs a reasoning parser: its reasoning is wrapped in `<think>` in answers, and taken out of
    /// the history again. If not, an answer with a reasoning field is an error.
    pub uses_reasoning_parser: bool,
    /// Whether reasoning that was taken out of the history is sent back in `reasoning_content` and `reasoning`;
    /// otherwise it is dropped.
    pub uses_interleaved_reasoning: bool,
    /// Leave `<think>` in the history as it is.
    pub preserve_reasoning_in_assistant_content: bool,
    /// On the chat path, messages of role `developer` are sent as `system`.
    pub replace_developer_role_with_system: bool,
    /// If not, a conversation that ends with an assistant turn of nothing but reasoning is answered with an empty
    /// completion (`content_filter`) instead of being sent.
    pub sequential_reasoning_allowed: bool,
    /// Whether `/v1/responses` and `/v1/messages` go to the engine's own `/v1/responses`.
    pub is_responses_native: bool,
    /// Arguments of the chat template. `metadata.chat_template_kwargs` of a request is merged over them.
    pub chat_template_kwargs: Map<String, Value>,
    /// Members put on every request to the engine, last and over everything else.
    pub sampling_overrides: Map<String, Value>,
    /// Members for what the client did not say; `metadata.extra_body` of a request is merged over them.
    pub extra_body: Map<String, Value>,
    /// Headers added to every request to the engine.
    #[schemars(with = "BTreeMap<String, String>")]
    pub default_headers: BTreeMap<String, Secret>,
    /// The folder of `metadata.audio_path`. No file outside of it is ever read; without it no file is read.
    pub audio_root: Option<PathBuf>,
    /// Send prompts to `/v1/completions` instead of messages to `/v1/chat/completions`.
    pub use_completions_api: bool,
    /// With the above: render messages with the model's chat template (the engine does it, by `/tokenize`).
    pub render_chat_template: bool,
    /// Accepted because Gym has it, and not used: the engine renders with its own tokenizer.
    pub tokenizer: Option<String>,
    /// Behave exactly as Gym does, also where Enginehouse would do better, wherever a successful answer or the engine's
    /// request shows it.
    pub strict: bool,
    /// How long a request is retried while the engine cannot be reached or is overloaded.
    #[serde(with = "Time")]
    #[schemars(with = "TimeOrZero")]
    pub retry_for: Duration,
}

/// An engine that starts with a large model takes minutes; a rollout that fails costs more than one that waits.
const RETRY_FOR: Duration = Duration::from_secs(600);

impl Default for Gym {
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
            chat_template_kwargs: Map::new(),
            sampling_overrides: Map::new(),
            extra_body: Map::new(),
            default_headers: BTreeMap::new(),
            audio_root: None,
            use_completions_api: false,
            render_chat_template: false,
            tokenizer: None,
            strict: false,
            retry_for: RETRY_FOR,
        }
    }
}

/// Fields that Gym's files may set to `null`, which is what they are when nothing is written.
const NULLABLE: [&str; 5] = ["chat_template_kwargs", "sampling_overrides", "extra_body", "audio_root", "tokenizer"];

/// Removes the `null`s of such fields from a configuration as it was read.
pub(in crate::config) fn without_nulls(config: &mut Value) {
    let Some(Value::Object(aliases)) = config.get_mut("aliases") else { return };
    for gym in aliases.values_mut().filter_map(|alias| alias.get_mut("gym")?.as_object_mut()) {
        gym.retain(|name, value| !(value.is_null() && NULLABLE.contains(&name.as_str())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn defaults_are_those_of_gyms_shipped_template() {
        let gym = Gym::default();
        assert!(!gym.return_token_id_information && gym.uses_reasoning_parser && gym.uses_interleaved_reasoning);
        assert!(gym.sequential_reasoning_allowed && !gym.is_responses_native && !gym.strict);
        assert_eq!(gym.retry_for, Duration::from_secs(600));
    }

    #[test]
    fn null_means_the_default_where_gym_says_so() {
        let read = |gym: &str| {
            let text = format!("models: {{m: {{source: s}}}}\naliases: {{a: {{model: m, gym: {{{gym}}}}}}}\n");
            parse(&text, &|_| None).map(|config| config.aliases[0].gym.as_deref().cloned().expect("its rules"))
        };
        let nulls = NULLABLE.map(|name| format!("{name}: null")).join(", ");
        assert_eq!(read(&nulls), Ok(Gym::default()));
        let kept = read("extra_body: {max_output_tokens: null}").expect("good, too");
        assert_eq!(kept.extra_body["max_output_tokens"], Value::Null);
        assert!(read("strict: null").is_err());
    }
}

//! Merges the settings of the alias into a chat request: which value wins over which.

use serde_json::{Map, Value};

use super::audio::{self, ReadFile};
use super::errors::unsupported;
use super::reasoning;
use crate::config::Gym;
use crate::openai::ApiError;

/// The engine's request for a valid chat request. All merges are shallow; lowest to highest: `extra_body`,
/// `metadata.extra_body`, the client's members, the model, template arguments and what token ids need,
/// `sampling_overrides`.
///
/// # Errors
/// Metadata that cannot be read, audio, or more than one answer with token ids.
pub(super) fn merge(
    mut body: Map<String, Value>,
    gym: &Gym,
    model: &str,
    read_file: ReadFile<'_>,
) -> Result<Map<String, Value>, ApiError> {
    if gym.replace_developer_role_with_system {
        developers_to_system(messages(&mut body));
    }
    body.insert("model".into(), model.into());
    let template = template_arguments(&body, gym)?;
    if !template.is_empty() {
        body.insert("chat_template_kwargs".into(), template.into());
    }
    let mut extra = gym.extra_body.clone();
    extra.extend(from_metadata(&body, "extra_body")?);
    if gym.return_token_id_information {
        body.insert("logprobs".into(), true.into());
        // To vLLM `null` means no log-probabilities, 0 only the chosen token's.
        body.insert("top_logprobs".into(), 0.into());
        body.insert("return_tokens_as_token_ids".into(), true.into());
        if gym.request_prompt_and_generation_token_ids {
            body.insert("return_token_ids".into(), true.into());
        }
    }
    if gym.uses_reasoning_parser && !gym.preserve_reasoning_in_assistant_content {
        reasoning::out_of_history(messages(&mut body), gym)?;
    }
    if body.get("top_logprobs").is_some_and(Value::is_null) {
        body.shift_remove("top_logprobs");
    }
    let mut merged = extra;
    // Metadata of the settings does not name audio files.
    let metadata = if body.contains_key("metadata") { None } else { merged.shift_remove("metadata") };
    merged.extend(body);
    audio::inline(&mut merged, gym, read_file)?;
    merged.extend(metadata.map(|metadata| ("metadata".to_owned(), metadata)));
    merged.extend(gym.sampling_overrides.clone());
    one_answer(&merged, gym)?;
    Ok(merged)
}

/// Turns the role `developer` into `system`; the order of the messages stays.
pub(super) fn developers_to_system(messages: &mut [Value]) {
    let developers =
        messages.iter_mut().filter_map(|message| message.get_mut("role")).filter(|role| *role == "developer");
    developers.for_each(|role| *role = "system".into());
}

fn messages(body: &mut Map<String, Value>) -> &mut [Value] {
    body.get_mut("messages").and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

/// The arguments of the chat template, lowest to highest: of the settings, of the client (Gym drops these, so in strict
/// mode there are none), of the request's metadata.
///
/// # Errors
/// The metadata's are no JSON object.
pub(super) fn template_arguments(body: &Map<String, Value>, gym: &Gym) -> Result<Map<String, Value>, ApiError> {
    let mut arguments = gym.chat_template_kwargs.clone();
    if let Some(Value::Object(own)) = body.get("chat_template_kwargs") {
        arguments.extend(own.clone());
    }
    arguments.extend(from_metadata(body, "chat_template_kwargs")?);
    Ok(arguments)
}

/// An object that a request carries as JSON text in its metadata, whose values can only be strings.
fn from_metadata(body: &Map<String, Value>, key: &str) -> Result<Map<String, Value>, ApiError> {
    let text = body.get("metadata").and_then(|metadata| metadata[key].as_str()).unwrap_or("");
    if text.is_empty() || text.trim() == "[]" {
        return Ok(Map::new());
    }
    serde_json::from_str(text).map_err(|error| {
        unsupported(format!("`metadata.{key}` must be the text of a JSON object: {error}."))
            .param(format!("metadata.{key}"))
    })
}

/// Checks that a request that wants token ids asks for one answer only.
///
/// # Errors
/// More are.
pub(super) fn one_answer(body: &Map<String, Value>, gym: &Gym) -> Result<(), ApiError> {
    let single = body.get("n").is_none_or(|n| n.is_null() || n.as_f64() == Some(1.0));
    if gym.return_token_id_information && !single {
        return Err(unsupported(
            "The alias returns token ids (`return_token_id_information`), which needs `n` to be 1.",
        )
        .param("n"));
    }
    Ok(())
}

/// Whether the conversation ends with a turn of nothing but reasoning, and the engine must not be called after one.
///
/// # Errors
/// There is no message, or (in strict mode) the last one has no `content`.
pub(super) fn ends_in_reasoning(body: &Map<String, Value>, gym: &Gym) -> Result<bool, ApiError> {
    if gym.sequential_reasoning_allowed {
        return Ok(false);
    }
    let Some(last) = body.get("messages").and_then(Value::as_array).and_then(|messages| messages.last()) else {
        return Err(unsupported("`messages` is empty.").param("messages"));
    };
    if last["role"] != "assistant" {
        return Ok(false);
    }
    if gym.strict && last.get("content").is_none() {
        return Err(unsupported("The last message has no content.").param("messages"));
    }
    Ok(is_empty(&last["content"]) && is_empty(&last["tool_calls"]))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        _ => true,
    }
}

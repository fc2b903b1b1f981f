//! The chain from what a client asks to what the engine is asked, on the chat path: who wins over whom.

use serde_json::{Map, Value};

use super::audio::{self, Files};
use super::reasoning;
use super::refuse::unsupported;
use crate::config::Gym;
use crate::openai::ApiError;

/// The engine's request for a checked chat request. All merges are shallow; lowest to highest: `extra_body`,
/// `metadata.extra_body`, the client's members, the model and template arguments and what training needs,
/// `sampling_overrides`.
///
/// # Errors
/// Metadata that cannot be read, audio, or more than one answer while training.
pub(super) fn chat(
    mut body: Map<String, Value>,
    gym: &Gym,
    model: &str,
    files: Files<'_>,
) -> Result<Map<String, Value>, ApiError> {
    if gym.replace_developer_role_with_system {
        developers_to_system(messages(&mut body));
    }
    body.insert("model".into(), model.into());
    let template = template_arguments(&body, gym)?;
    if !template.is_empty() {
        body.insert("chat_template_kwargs".into(), Value::Object(template));
    }
    let mut extra = gym.extra_body.clone();
    extra.extend(channel(&body, "extra_body")?);
    if gym.return_token_id_information {
        body.insert("logprobs".into(), true.into());
        // vLLM takes `null` for "no log-probabilities"; 0 is the chosen token's alone.
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
    let own_metadata = body.contains_key("metadata");
    let mut merged = extra;
    let inherited = (!own_metadata).then(|| merged.shift_remove("metadata")).flatten();
    merged.extend(body);
    audio::splice(&mut merged, gym, files)?;
    // What the settings put there is no channel of the client's.
    merged.extend(inherited.map(|metadata| ("metadata".to_owned(), metadata)));
    merged.extend(gym.sampling_overrides.clone());
    one_answer(&merged, gym)?;
    Ok(merged)
}

/// Messages of role `developer` become `system`, where they stand.
pub(super) fn developers_to_system(messages: &mut [Value]) {
    let developers =
        messages.iter_mut().filter_map(|message| message.get_mut("role")).filter(|role| *role == "developer");
    developers.for_each(|role| *role = "system".into());
}

fn messages(body: &mut Map<String, Value>) -> &mut [Value] {
    body.get_mut("messages").and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

/// The settings' template arguments under those of the request's metadata.
///
/// # Errors
/// The metadata's are no JSON object.
pub(super) fn template_arguments(body: &Map<String, Value>, gym: &Gym) -> Result<Map<String, Value>, ApiError> {
    let mut arguments = gym.chat_template_kwargs.clone();
    arguments.extend(channel(body, "chat_template_kwargs")?);
    Ok(arguments)
}

/// A JSON object that a request carries as a text in its metadata; values of metadata can be nothing but texts.
fn channel(body: &Map<String, Value>, key: &str) -> Result<Map<String, Value>, ApiError> {
    let text = body.get("metadata").and_then(|metadata| metadata.get(key)).and_then(Value::as_str).unwrap_or("");
    if text.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text).map_err(|error| {
        unsupported(format!("`metadata.{key}` is a text that holds a JSON object, and this one does not: {error}."))
            .param(format!("metadata.{key}"))
    })
}

/// Token ids are captured from one answer.
///
/// # Errors
/// More are asked for.
pub(super) fn one_answer(body: &Map<String, Value>, gym: &Gym) -> Result<(), ApiError> {
    let single = body.get("n").is_none_or(|n| n.is_null() || n.as_f64() == Some(1.0));
    if gym.return_token_id_information && !single {
        return Err(
            unsupported("With token ids (`return_token_id_information`) there is one answer: `n` is 1.").param("n")
        );
    }
    Ok(())
}

/// Whether the engine must not be asked: the conversation ends with a turn of nothing but reasoning.
///
/// # Errors
/// There is no message, or (in strict mode) the last one has no content at all.
pub(super) fn ends_in_thought(body: &Map<String, Value>, gym: &Gym) -> Result<bool, ApiError> {
    if gym.sequential_reasoning_allowed {
        return Ok(false);
    }
    let Some(last) = body.get("messages").and_then(Value::as_array).and_then(|messages| messages.last()) else {
        return Err(unsupported("There is no message to answer.").param("messages"));
    };
    if last.get("role").and_then(Value::as_str) != Some("assistant") {
        return Ok(false);
    }
    if gym.strict && last.get("content").is_none() {
        return Err(unsupported("The last message has no content.").param("messages"));
    }
    Ok(!full(last.get("content")) && !full(last.get("tool_calls")))
}

fn full(value: Option<&Value>) -> bool {
    match value {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(values)) => !values.is_empty(),
        _ => false,
    }
}

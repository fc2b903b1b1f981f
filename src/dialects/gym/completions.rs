//! Chat over `/v1/completions`, for models without a chat template or with one that the engine renders in advance.

use serde_json::{Map, Value, json};

use super::audio::KEYS;
use super::chat_request::{developers_to_system, one_answer, template_arguments};
use super::errors::{bad_engine_answer, unsupported};
use super::schema::BUNDLE;
use super::token_ids::same_length;
use crate::config::Gym;
use crate::openai::ApiError;

/// Where the prompt comes from.
#[derive(Debug)]
pub(super) enum Prompt {
    /// It is this text.
    Text(String),
    /// The engine renders it: the request to `/tokenize` that comes first.
    Rendered(Map<String, Value>),
}

/// Members with the same name in both APIs.
const SHARED: [&str; 11] = [
    "max_tokens",
    "temperature",
    "top_p",
    "n",
    "seed",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "response_format",
    "user",
];

/// The prompt of a valid chat request.
///
/// # Errors
/// What a prompt cannot say: tools, turns, images, audio.
pub(super) fn prompt(body: &mut Map<String, Value>, gym: &Gym, model: &str) -> Result<Prompt, ApiError> {
    let tools = body.get("tools").filter(|tools| tools.as_array().is_some_and(|tools| !tools.is_empty())).cloned();
    if tools.is_some() && !gym.render_chat_template {
        return Err(unsupported(
            "This alias uses no chat template (`gym.use_completions_api`), so it cannot offer tools. \
             Set `gym.render_chat_template`, or remove `use_completions_api`.",
        )
        .param("tools"));
    }
    let metadata = body.get("metadata").unwrap_or(&Value::Null);
    if let Some(key) = KEYS.iter().find(|key| metadata[**key].as_str().is_some_and(|text| !text.is_empty())) {
        return Err(unsupported(format!(
            "`metadata.{key}` is not supported: the alias uses `/v1/completions`, whose prompts are text only."
        )));
    }
    let mut messages = body.get_mut("messages").map(Value::take).unwrap_or_default();
    let list = messages.as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
    // Gym forgets to on this path.
    if gym.replace_developer_role_with_system && !gym.strict {
        developers_to_system(list);
    }
    if !gym.render_chat_template {
        return plain(list).map(Prompt::Text);
    }
    for message in list.iter().filter(|message| !message["content"].is_null()) {
        text_of(message)?;
    }
    let mut call = Map::new();
    call.insert("model".into(), model.into());
    call.insert("messages".into(), messages);
    call.extend(tools.map(|tools| ("tools".to_owned(), tools)));
    let arguments = template_arguments(body, gym)?;
    if !arguments.is_empty() {
        call.insert("chat_template_kwargs".into(), arguments.into());
    }
    call.insert("add_generation_prompt".into(), true.into());
    Ok(Prompt::Rendered(call))
}

/// One user message, or a system and a user message.
fn plain(messages: &[Value]) -> Result<String, ApiError> {
    let roles: Vec<&str> = messages.iter().map(|message| message["role"].as_str().unwrap_or("")).collect();
    if !matches!(roles.as_slice(), ["user"] | ["system", "user"]) {
        return Err(unsupported(format!(
            "This alias uses no chat template (`gym.use_completions_api`): it takes one user message, with or without a \
             system message before it. The roles of these messages are: {}.",
            if roles.is_empty() { "none".to_owned() } else { roles.join(", ") }
        ))
        .param("messages"));
    }
    Ok(messages.iter().map(text_of).collect::<Result<Vec<_>, _>>()?.join("\n\n"))
}

/// The text of a message that holds nothing else.
fn text_of(message: &Value) -> Result<String, ApiError> {
    let only = || {
        unsupported("This alias uses `/v1/completions` (`gym.use_completions_api`): messages must be text only.")
            .param("messages")
    };
    match &message["content"] {
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => {
            let part = |part: &Value| match part["type"].as_str() {
                Some("text" | "input_text") => Ok(part["text"].as_str().unwrap_or("").to_owned()),
                _ => Err(only()),
            };
            parts.iter().map(part).collect()
        }
        _ => Err(only()),
    }
}

/// The engine's request; `prompt`: a text or token ids.
///
/// # Errors
/// More than one answer with token ids.
pub(super) fn request(
    chat: &Map<String, Value>,
    prompt: Value,
    gym: &Gym,
    model: &str,
) -> Result<Map<String, Value>, ApiError> {
    let mut body = gym.extra_body.clone();
    body.insert("model".into(), model.into());
    body.insert("prompt".into(), prompt);
    let shared = |name: &&str| chat.get(*name).map(|value| ((*name).to_owned(), value.clone()));
    body.extend(SHARED.iter().filter_map(shared));
    if !chat.contains_key("max_tokens") {
        body.extend(chat.get("max_completion_tokens").map(|most| ("max_tokens".to_owned(), most.clone())));
    }
    let wanted = chat.get("logprobs") == Some(&Value::Bool(true)) || gym.return_token_id_information;
    let top = chat.get("top_logprobs").filter(|top| !top.is_null()).cloned().or(wanted.then(|| 0.into()));
    body.extend(top.map(|top| ("logprobs".to_owned(), top)));
    if gym.return_token_id_information {
        body.insert("return_token_ids".into(), true.into());
        body.insert("return_tokens_as_token_ids".into(), true.into());
    }
    body.extend(gym.sampling_overrides.clone());
    one_answer(&body, gym)?;
    Ok(body)
}

/// Whether the answer has the prompt's token ids.
pub(super) fn has_prompt_ids(answer: &Value) -> bool {
    answer.pointer("/choices/0/prompt_token_ids").is_some_and(|ids| !ids.is_null())
}

/// The answer as a chat completion. `prompt`: its token ids if the answer lacks them; `now`, `model`: for what an engine
/// leaves out.
///
/// # Errors
/// The answer has no choice, or lacks the token ids that are wanted.
pub(super) fn to_chat(
    answer: &Value,
    prompt: Option<Value>,
    gym: &Gym,
    model: &str,
    now: u64,
) -> Result<Value, ApiError> {
    let Some(choice) = answer.pointer("/choices/0").filter(|choice| choice.is_object()) else {
        return Err(bad_engine_answer("The engine's answer has no choice."));
    };
    let given = |name: &str| choice.get(name).filter(|value| !value.is_null());
    let text = given("text").and_then(Value::as_str).unwrap_or("");
    let mut message = json!({ "role": "assistant", "content": text, "tool_calls": null });
    if gym.return_token_id_information {
        let (ids, log_probs) = generated_tokens(choice)?;
        same_length(&ids, &log_probs)?;
        let prompt = given("prompt_token_ids").cloned().or(prompt).unwrap_or_default();
        for (member, value) in BUNDLE.iter().zip([prompt, ids, log_probs]) {
            message[*member] = value;
        }
    }
    let or = |name: &str, default: Value| answer.get(name).cloned().unwrap_or(default);
    let mut chat = json!({
        "id": or("id", "chatcmpl-completions".into()),
        "object": "chat.completion",
        "created": or("created", now.into()),
        "model": or("model", model.into()),
        "choices": [{
            "index": choice.get("index").cloned().unwrap_or_else(|| 0.into()),
            "finish_reason": given("finish_reason").cloned().unwrap_or_else(|| "stop".into()),
            "message": message,
        }],
    });
    if !answer["usage"].is_null() {
        chat["usage"] = answer["usage"].clone();
    }
    Ok(chat)
}

/// Generated ids and log-probabilities.
fn generated_tokens(choice: &Value) -> Result<(Value, Value), ApiError> {
    let missing = |what: &str| bad_engine_answer(format!("The engine sent no {what} (`return_token_id_information`)."));
    let block = &choice["logprobs"];
    let log_probs = Some(&block["token_logprobs"]).filter(|it| it.is_array());
    let log_probs = log_probs.ok_or_else(|| missing("log-probabilities"))?.clone();
    if !choice["token_ids"].is_null() {
        return Ok((choice["token_ids"].clone(), log_probs));
    }
    let tokens = block["tokens"].as_array().ok_or_else(|| missing("token ids"))?;
    let bare = |token: &Value| match token.as_str() {
        Some(text) => Value::from(text.strip_prefix("token_id:").unwrap_or(text)),
        None => token.clone(),
    };
    Ok((tokens.iter().map(bare).collect(), log_probs))
}

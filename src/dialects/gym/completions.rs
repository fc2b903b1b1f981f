//! Chat over `/v1/completions`, for models without a chat template or with one that the engine renders ahead.

use serde_json::{Map, Value, json};

use super::audio::KEYS;
use super::refuse::{bad_answer, unsupported};
use super::request::{developers_to_system, one_answer, template_arguments};
use super::schema::BUNDLE;
use super::tokens::paired;
use crate::config::Gym;
use crate::openai::ApiError;

/// How the prompt comes to be.
#[derive(Debug)]
pub(super) enum Prompt {
    /// It is this text.
    Text(String),
    /// The engine renders it: the body of the `/tokenize` call to make first.
    Rendered(Map<String, Value>),
}

/// Members that both APIs call the same.
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

/// The prompt of a checked chat request.
///
/// # Errors
/// What a prompt cannot say: tools, turns, pictures, audio.
pub(super) fn prompt(body: &mut Map<String, Value>, gym: &Gym, model: &str) -> Result<Prompt, ApiError> {
    let tools = body.get("tools").and_then(Value::as_array).is_some_and(|tools| !tools.is_empty());
    if tools && !gym.render_chat_template {
        return Err(unsupported(
            "Without a chat template (`gym.use_completions_api`) there are no tools. \
             Set `gym.render_chat_template`, or do without `use_completions_api`.",
        )
        .param("tools"));
    }
    let said = |key: &&&str| {
        body.get("metadata").and_then(|all| all.get(**key)).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
    };
    if let Some(key) = KEYS.iter().find(said) {
        return Err(unsupported(format!("`metadata.{key}`: a prompt of `/v1/completions` is text only.")));
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
    for message in list.iter().filter(|message| message.get("content").is_some_and(|content| !content.is_null())) {
        text(message)?;
    }
    let mut call = Map::new();
    call.insert("model".into(), model.into());
    call.insert("messages".into(), messages);
    if tools {
        call.extend(body.get("tools").map(|tools| ("tools".to_owned(), tools.clone())));
    }
    let arguments = template_arguments(body, gym)?;
    if !arguments.is_empty() {
        call.insert("chat_template_kwargs".into(), Value::Object(arguments));
    }
    call.insert("add_generation_prompt".into(), true.into());
    Ok(Prompt::Rendered(call))
}

/// One user message, or a system and a user message.
fn plain(messages: &[Value]) -> Result<String, ApiError> {
    let role = |message: &Value| message.get("role").and_then(Value::as_str).unwrap_or("").to_owned();
    let roles: Vec<String> = messages.iter().map(role).collect();
    if !matches!(roles.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), ["user"] | ["system", "user"]) {
        return Err(unsupported(format!(
            "Without a chat template (`gym.use_completions_api`) a prompt is one user message, with a system message \
             before it or without; these are: {}.",
            if roles.is_empty() { "none".to_owned() } else { roles.join(", ") }
        ))
        .param("messages"));
    }
    Ok(messages.iter().map(text).collect::<Result<Vec<_>, _>>()?.join("\n\n"))
}

/// The text of a message of nothing but text.
fn text(message: &Value) -> Result<String, ApiError> {
    let only =
        || unsupported("A prompt of `/v1/completions` (`gym.use_completions_api`) is text only.").param("messages");
    match message.get("content") {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let part = |part: &Value| match part.get("type").and_then(Value::as_str) {
                Some("text" | "input_text") => Ok(part.get("text").and_then(Value::as_str).unwrap_or("").to_owned()),
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
/// More than one answer while training.
pub(super) fn body(
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
    match chat.get("top_logprobs").filter(|top| !top.is_null()) {
        Some(top) => drop(body.insert("logprobs".into(), top.clone())),
        None if wanted => drop(body.insert("logprobs".into(), 0.into())),
        None => {}
    }
    if gym.return_token_id_information {
        body.insert("return_token_ids".into(), true.into());
        body.insert("return_tokens_as_token_ids".into(), true.into());
    }
    body.extend(gym.sampling_overrides.clone());
    one_answer(&body, gym)?;
    Ok(body)
}

/// Whether the answer says the prompt's token ids, which training needs.
pub(super) fn knows_prompt(answer: &Value) -> bool {
    answer.pointer("/choices/0/prompt_token_ids").is_some_and(|ids| !ids.is_null())
}

/// The answer as a chat completion. `prompt`: its token ids where the answer does not say them; `now`, `model`: for what
/// an engine leaves out.
///
/// # Errors
/// The answer lacks what training needs, or has no choice.
pub(super) fn to_chat(
    answer: &Value,
    prompt: Option<Value>,
    gym: &Gym,
    model: &str,
    now: u64,
) -> Result<Value, ApiError> {
    let Some(choice) = answer.pointer("/choices/0").filter(|choice| choice.is_object()) else {
        return Err(bad_answer("The engine's answer has no choice."));
    };
    let said = |name: &str| choice.get(name).filter(|value| !value.is_null());
    let text = said("text").and_then(Value::as_str).unwrap_or("");
    let mut message = json!({ "role": "assistant", "content": text, "tool_calls": null });
    if gym.return_token_id_information {
        let (ids, log_probs) = tokens(choice)?;
        paired(&ids, &log_probs)?;
        let prompt = said("prompt_token_ids").cloned().or(prompt).unwrap_or_default();
        for (member, value) in BUNDLE.iter().zip([prompt, ids, log_probs]) {
            message[*member] = value;
        }
    }
    let or = |name: &str, otherwise: Value| answer.get(name).cloned().unwrap_or(otherwise);
    let mut chat = json!({
        "id": or("id", "chatcmpl-completions".into()),
        "object": "chat.completion",
        "created": or("created", now.into()),
        "model": or("model", model.into()),
        "choices": [{
            "index": choice.get("index").cloned().unwrap_or_else(|| 0.into()),
            "finish_reason": said("finish_reason").cloned().unwrap_or_else(|| "stop".into()),
            "message": message,
        }],
    });
    if let Some(usage) = answer.get("usage").filter(|usage| !usage.is_null()) {
        chat["usage"] = usage.clone();
    }
    Ok(chat)
}

/// Generated ids and log-probabilities.
fn tokens(choice: &Value) -> Result<(Value, Value), ApiError> {
    let lacking = |what: &str| bad_answer(format!("The engine sent no {what} (`return_token_id_information`)."));
    let block = choice.get("logprobs");
    let log_probs = block
        .and_then(|block| block.get("token_logprobs"))
        .filter(|it| it.is_array())
        .ok_or_else(|| lacking("log-probabilities"))?;
    let ids = match choice.get("token_ids").filter(|ids| !ids.is_null()) {
        Some(ids) => ids.clone(),
        None => {
            let spelt = block
                .and_then(|block| block.get("tokens"))
                .and_then(Value::as_array)
                .ok_or_else(|| lacking("token ids"))?;
            let bare = |token: &Value| match token.as_str() {
                Some(text) => Value::from(text.strip_prefix("token_id:").unwrap_or(text)),
                None => token.clone(),
            };
            Value::Array(spelt.iter().map(bare).collect())
        }
    };
    Ok((ids, log_probs.clone()))
}

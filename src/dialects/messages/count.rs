//! Counts a prompt's tokens: `/v1/messages/count_tokens` over an engine's `/tokenize`.

use serde_json::{Value, json};

use super::request::to_chat;
use crate::config::LateSystem;
use crate::dialects::members;
use crate::openai::{ApiError, Code};

/// What a chat prompt is made of; `/tokenize` accepts other members, but has no use for them.
const PROMPT: [&str; 6] =
    ["model", "messages", "tools", "chat_template_kwargs", "add_generation_prompt", "continue_final_message"];

/// The engine's `/tokenize` request for a `/v1/messages/count_tokens` request. `model` stays as the client sent it.
///
/// # Errors
///
/// As of [`to_chat`](crate::dialects::to_chat).
pub fn to_tokenize(body: &[u8], late_system: LateSystem) -> Result<Vec<u8>, ApiError> {
    let mut chat = to_chat(members::parse(body)?, late_system)?.members;
    chat.retain(|name, _| PROMPT.contains(&name.as_str()));
    Ok(Value::Object(chat).to_string().into_bytes())
}

/// The client's JSON for an engine's answer to it.
///
/// # Errors
///
/// The engine's answer has no count: a 502.
pub fn from_tokenize(body: &[u8]) -> Result<Vec<u8>, ApiError> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    match answer["count"].as_u64() {
        Some(count) => Ok(json!({ "input_tokens": count }).to_string().into_bytes()),
        None => Err(ApiError::new(Code::EngineAnswer, "The engine's answer to /tokenize has no count.")),
    }
}

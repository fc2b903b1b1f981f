//! From chat back to the Responses API: one answer becomes reasoning, message and calls.

use serde_json::{Map, Value, json};

use super::Ids;
use super::reasoning::split;
use super::refuse::{bad_answer, misshapen};
use super::schema::{self, BUNDLE, Mode, ROUTED_EXPERTS, is_whole};
use crate::config::Gym;
use crate::openai::ApiError;

/// Members of a response that repeat the request.
const ECHOED: [&str; 16] = [
    "temperature",
    "top_p",
    "background",
    "max_output_tokens",
    "max_tool_calls",
    "previous_response_id",
    "prompt",
    "reasoning",
    "service_tier",
    "text",
    "top_logprobs",
    "truncation",
    "metadata",
    "instructions",
    "user",
    "tools",
];

/// The response for a chat answer; `params`: the request as checked, `model`: the name the engine knows.
///
/// # Errors
/// An answer that no response can hold.
pub(super) fn from_chat(
    chat: &Value,
    params: &Map<String, Value>,
    gym: &Gym,
    model: &str,
    ids: &mut Ids,
) -> Result<Value, ApiError> {
    let choice = chat.pointer("/choices/0").ok_or_else(|| bad_answer("The engine's answer has no choice."))?;
    let empty = Map::new();
    let message = choice.get("message").and_then(Value::as_object).unwrap_or(&empty);
    let output = output(message, gym, ids)?;
    let reason = match choice.get("finish_reason").and_then(Value::as_str) {
        Some("length") => Some("max_output_tokens"),
        Some("content_filter") => Some("content_filter"),
        _ => None,
    };
    let mut response = json!({
        "id": format!("resp_{}", ids()),
        "created_at": chat.get("created").and_then(Value::as_f64).unwrap_or_default(),
        "incomplete_details": reason.map(|reason| json!({ "reason": reason })),
        "model": model,
        "object": "response",
        "output": output,
        "parallel_tool_calls": params.get("parallel_tool_calls").unwrap_or(&Value::Bool(true)),
        "tool_choice": params.get("tool_choice").cloned().unwrap_or_else(|| "auto".into()),
        "tools": [],
        "status": if reason.is_some() { "incomplete" } else { "completed" },
        "usage": chat.get("usage").and_then(usage),
    });
    for member in ECHOED {
        if let Some(value) = params.get(member) {
            response[member] = value.clone();
        }
    }
    schema::response(response, Mode { strict: gym.strict, ..Mode::default() }).map_err(|misfits| misshapen(&misfits))
}

fn output(message: &Map<String, Value>, gym: &Gym, ids: &mut Ids) -> Result<Vec<Value>, ApiError> {
    let content = message.get("content").and_then(Value::as_str).unwrap_or("");
    let (blocks, text) = if gym.uses_reasoning_parser { split(content) } else { (Vec::new(), content.to_owned()) };
    let calls = message.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut output = Vec::new();
    if !blocks.is_empty() {
        let summary: Vec<Value> = blocks.iter().map(|block| json!({ "text": block, "type": "summary_text" })).collect();
        output.push(json!({
            "id": format!("rs_{}", ids()), "summary": summary, "type": "reasoning", "encrypted_content": null, "content": null,
        }));
    }
    if !text.is_empty() || (output.is_empty() && calls.is_empty()) {
        let part = json!({ "annotations": [], "text": text, "type": "output_text", "logprobs": null });
        output.push(json!({
            "id": format!("msg_{}", ids()), "content": [part], "role": "assistant", "status": "completed", "type": "message",
        }));
    }
    for made in calls {
        output.push(call(made, gym.strict)?);
    }
    let captured = gym.return_token_id_information && is_whole(message);
    if let Some(last) = output.last_mut().filter(|_| captured) {
        for member in BUNDLE.iter().chain([&ROUTED_EXPERTS]) {
            last[*member] = message.get(*member).cloned().unwrap_or_default();
        }
    }
    Ok(output)
}

fn call(made: &Value, strict: bool) -> Result<Value, ApiError> {
    let id = made.get("id").cloned().unwrap_or_default();
    if let Some(custom) = made.get("custom").filter(|_| !strict) {
        return Ok(json!({
            "call_id": id, "input": custom.get("input"), "name": custom.get("name"), "type": "custom_tool_call", "id": id,
        }));
    }
    let Some(function) = made.get("function") else {
        return Err(bad_answer("The engine called something that is no function."));
    };
    Ok(json!({
        "arguments": function.get("arguments"), "call_id": id, "name": function.get("name"),
        "type": "function_call", "id": id, "status": "completed",
    }))
}

/// Token counts; what the engine does not say is unknown, not zero.
fn usage(usage: &Value) -> Option<Value> {
    let usage = usage.as_object()?;
    let count = |value: Option<&Value>| value.filter(|value| value.is_u64()).cloned();
    let detail = |group: &str, name: &str, aliases: &[&str]| {
        let nested = count(usage.get(group).and_then(|group| group.get(name)));
        nested.or_else(|| aliases.iter().find_map(|alias| count(usage.get(*alias))))
    };
    let cached = detail("prompt_tokens_details", "cached_tokens", &["cached_input_tokens", "cache_read_input_tokens"]);
    let thought = detail("completion_tokens_details", "reasoning_tokens", &["reasoning_output_tokens"]);
    Some(json!({
        "input_tokens": usage.get("prompt_tokens"),
        "input_tokens_details": { "cached_tokens": cached },
        "output_tokens": usage.get("completion_tokens"),
        "output_tokens_details": { "reasoning_tokens": thought },
        "total_tokens": usage.get("total_tokens"),
    }))
}

//! From chat back to the Responses API: one answer becomes reasoning, message and calls.

use serde_json::{Map, Value, json};

use super::errors::{bad_engine_answer, invalid_engine_answer};
use super::reasoning::split;
use super::schema::{self, BUNDLE, Mode, ROUTED_EXPERTS, is_whole};
use super::step::Ids;
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

/// The response for a chat answer; `params`: the valid request, `model`: the name on the engine.
///
/// # Errors
/// An answer that no response can hold.
pub(super) fn response(
    chat: &Value,
    params: &Map<String, Value>,
    gym: &Gym,
    model: &str,
    ids: &mut Ids,
) -> Result<Value, ApiError> {
    let choice = chat.pointer("/choices/0").ok_or_else(|| bad_engine_answer("The engine's answer has no choice."))?;
    let empty = Map::new();
    let output = output(choice["message"].as_object().unwrap_or(&empty), gym, ids)?;
    let reason = match choice["finish_reason"].as_str() {
        Some("length") => Some("max_output_tokens"),
        Some("content_filter") => Some("content_filter"),
        _ => None,
    };
    let mut response = json!({
        "id": format!("resp_{}", ids()),
        "created_at": chat["created"].as_f64().unwrap_or_default(),
        "incomplete_details": reason.map(|reason| json!({ "reason": reason })),
        "model": model,
        "object": "response",
        "output": output,
        "parallel_tool_calls": params.get("parallel_tool_calls").unwrap_or(&Value::Bool(true)),
        "tool_choice": params.get("tool_choice").cloned().unwrap_or_else(|| "auto".into()),
        "tools": [],
        "status": if reason.is_some() { "incomplete" } else { "completed" },
        "usage": usage(&chat["usage"]),
    });
    for member in ECHOED {
        if let Some(value) = params.get(member) {
            response[member] = value.clone();
        }
    }
    let mode = Mode { strict: gym.strict, ..Mode::default() };
    schema::response(response, mode).map_err(|errors| invalid_engine_answer(&errors))
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
    for call in calls {
        output.push(call_item(call, gym.strict)?);
    }
    if let Some(last) = output.last_mut().filter(|_| gym.return_token_id_information && is_whole(message)) {
        for member in BUNDLE.iter().chain([&ROUTED_EXPERTS]) {
            last[*member] = message.get(*member).cloned().unwrap_or_default();
        }
    }
    Ok(output)
}

fn call_item(call: &Value, strict: bool) -> Result<Value, ApiError> {
    let id = &call["id"];
    if let Some(custom) = call.get("custom").filter(|_| !strict) {
        return Ok(json!({
            "call_id": id, "input": custom["input"], "name": custom["name"], "type": "custom_tool_call", "id": id,
        }));
    }
    let Some(function) = call.get("function") else {
        return Err(bad_engine_answer("The engine's answer has a tool call that is not a function call."));
    };
    Ok(json!({
        "arguments": function["arguments"], "call_id": id, "name": function["name"],
        "type": "function_call", "id": id, "status": "completed",
    }))
}

/// Token counts; what the engine does not tell is `null`, not zero.
fn usage(usage: &Value) -> Option<Value> {
    let first = |paths: &[&str]| paths.iter().find_map(|path| usage.pointer(path).filter(|count| count.is_u64()));
    let cached = first(&["/prompt_tokens_details/cached_tokens", "/cached_input_tokens", "/cache_read_input_tokens"]);
    let reasoning = first(&["/completion_tokens_details/reasoning_tokens", "/reasoning_output_tokens"]);
    usage.is_object().then(|| {
        json!({
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": { "cached_tokens": cached },
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": { "reasoning_tokens": reasoning },
            "total_tokens": usage["total_tokens"],
        })
    })
}

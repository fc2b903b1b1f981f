//! The Messages API over the Responses API, both ways, as Gym does it.

use serde_json::{Map, Value, json};

use super::refuse::{bad_answer, unsupported};
use super::{Ids, python};
use crate::openai::ApiError;

/// Media types of pictures that the Messages API knows.
const PICTURES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// A Responses request for a Messages request; it still has to pass the checks of Responses. `top_k`, `stop_sequences`,
/// `thinking` and `metadata` are not looked at.
///
/// # Errors
/// What has no counterpart.
pub(super) fn to_responses(body: &Map<String, Value>, ids: &mut Ids) -> Result<Map<String, Value>, ApiError> {
    let mut params = Map::new();
    params.insert("input".into(), Value::Array(items(body.get("messages"), ids)?));
    let system = system(body.get("system"));
    if !system.is_empty() {
        params.insert("instructions".into(), system.into());
    }
    for (theirs, ours) in
        [("model", "model"), ("max_tokens", "max_output_tokens"), ("temperature", "temperature"), ("top_p", "top_p")]
    {
        params.extend(body.get(theirs).filter(|value| !value.is_null()).map(|value| (ours.to_owned(), value.clone())));
    }
    let tools = body.get("tools").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !tools.is_empty() {
        params.insert("tools".into(), Value::Array(tools.iter().map(tool).collect::<Result<_, _>>()?));
    }
    if let Some(choice) = body.get("tool_choice").filter(|choice| !choice.is_null()) {
        params.insert("tool_choice".into(), tool_choice(choice)?);
    }
    Ok(params)
}

fn system(system: Option<&Value>) -> String {
    match system {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(blocks)) => {
            let texts = blocks.iter().filter(|block| is(block, "text")).filter_map(|block| block.get("text")?.as_str());
            texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

fn is(block: &Value, kind: &str) -> bool {
    block.get("type").is_some_and(|it| it == kind)
}

fn items(messages: Option<&Value>, ids: &mut Ids) -> Result<Vec<Value>, ApiError> {
    let mut items = Vec::new();
    for message in messages.and_then(Value::as_array).into_iter().flatten() {
        let Some(role) = message.get("role").and_then(Value::as_str) else {
            return Err(unsupported("A message has no role.").param("messages"));
        };
        match message.get("content") {
            None => items.push(json!({ "role": role, "content": "", "type": "message" })),
            Some(Value::Array(blocks)) => from_blocks(role, blocks, &mut items, ids)?,
            Some(content) => items.push(json!({ "role": role, "content": content, "type": "message" })),
        }
    }
    Ok(items)
}

/// Texts and pictures in a row are one message; everything else is an item of its own.
fn from_blocks(role: &str, blocks: &[Value], items: &mut Vec<Value>, ids: &mut Ids) -> Result<(), ApiError> {
    let mut pending: Vec<Value> = Vec::new();
    let flush = |pending: &mut Vec<Value>, items: &mut Vec<Value>| {
        let content = match pending.as_slice() {
            [] => return,
            [only] if is(only, "input_text") => only.get("text").cloned().unwrap_or_default(),
            _ => Value::Array(pending.clone()),
        };
        pending.clear();
        items.push(json!({ "role": role, "content": content, "type": "message" }));
    };
    for block in blocks {
        let text = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or("");
        match text("type") {
            "text" => pending.push(json!({ "type": "input_text", "text": text("text") })),
            "image" => pending.push(picture(block)?),
            "tool_use" => {
                flush(&mut pending, items);
                let arguments = python::dumps(block.get("input").unwrap_or(&json!({})));
                let id = block.get("id");
                items.push(json!({
                    "arguments": arguments, "call_id": id, "name": block.get("name"), "id": id,
                    "status": "completed", "type": "function_call",
                }));
            }
            "tool_result" => {
                flush(&mut pending, items);
                let output = result(block.get("content"))?;
                items.push(
                    json!({ "call_id": block.get("tool_use_id"), "output": output, "type": "function_call_output" }),
                );
            }
            "thinking" => {
                flush(&mut pending, items);
                let summary = [json!({ "text": text("thinking"), "type": "summary_text" })];
                items.push(json!({
                    "id": format!("rs_{}", ids()), "summary": summary, "encrypted_content": block.get("signature"), "type": "reasoning",
                }));
            }
            kind => return Err(unsupported(format!("A block of type `{kind}` cannot be passed on.")).param("messages")),
        }
    }
    flush(&mut pending, items);
    Ok(())
}

fn picture(block: &Value) -> Result<Value, ApiError> {
    let source =
        |name: &str| block.get("source").and_then(|source| source.get(name)).and_then(Value::as_str).unwrap_or("");
    let media = source("media_type");
    if source("type") != "base64" || !PICTURES.contains(&media) {
        let known = PICTURES.join(", ");
        return Err(unsupported(format!("A picture is sent as base64 of one of {known}.")).param("messages"));
    }
    let url = format!("data:{media};base64,{}", source("data"));
    Ok(json!({ "type": "input_image", "image_url": url, "detail": "auto" }))
}

fn result(content: Option<&Value>) -> Result<String, ApiError> {
    match content {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(blocks)) if blocks.iter().all(|block| is(block, "text")) => {
            let texts = blocks.iter().map(|block| block.get("text").and_then(Value::as_str).unwrap_or(""));
            Ok(texts.collect::<Vec<_>>().join("\n"))
        }
        Some(_) => Err(unsupported("The result of a tool is text here.").param("messages")),
    }
}

fn tool(tool: &Value) -> Result<Value, ApiError> {
    let Some(name) = tool.get("name") else { return Err(unsupported("A tool has no name.").param("tools")) };
    let schema = tool.get("input_schema").filter(|it| it.as_object().is_some_and(|it| !it.is_empty())).cloned();
    Ok(json!({
        "type": "function",
        "name": name,
        "description": tool.get("description"),
        "parameters": schema.unwrap_or_else(|| json!({ "type": "object", "properties": {} })),
        "strict": false,
    }))
}

fn tool_choice(choice: &Value) -> Result<Value, ApiError> {
    match choice.get("type").and_then(Value::as_str) {
        Some("auto") => Ok("auto".into()),
        Some("none") => Ok("none".into()),
        Some("any") => Ok("required".into()),
        Some("tool") => Ok(json!({ "type": "function", "name": choice.get("name") })),
        _ => Err(unsupported("`tool_choice` is of type auto, none, any or tool.").param("tool_choice")),
    }
}

/// The message for a response; `model`: what the client called it.
///
/// # Errors
/// An output item without counterpart.
pub(super) fn from_response(response: &Value, model: &Value, ids: &mut Ids) -> Result<Value, ApiError> {
    let mut content = Vec::new();
    let mut calls = false;
    for item in response.get("output").and_then(Value::as_array).into_iter().flatten() {
        match item.get("type").and_then(Value::as_str) {
            Some("message") => content.extend(said(item)),
            Some("reasoning") => {
                let signature = item.get("encrypted_content").and_then(Value::as_str).unwrap_or("");
                let summary = item.get("summary").and_then(Value::as_array).into_iter().flatten();
                let thought =
                    |part: &Value| json!({ "signature": signature, "thinking": part.get("text"), "type": "thinking" });
                content.extend(summary.map(thought));
            }
            Some("function_call") => {
                calls = true;
                content.push(used(item)?);
            }
            kind => {
                return Err(bad_answer(format!("The answer holds `{}`, which no message can.", kind.unwrap_or(""))));
            }
        }
    }
    let stop = match response.pointer("/incomplete_details/reason").and_then(Value::as_str) {
        Some("max_output_tokens") => "max_tokens",
        Some("content_filter") => "refusal",
        _ if calls => "tool_use",
        _ => "end_turn",
    };
    let count = |name: &str| {
        response.pointer(&format!("/usage/{name}")).filter(|it| it.is_number()).cloned().unwrap_or_else(|| 0.into())
    };
    Ok(json!({
        "id": format!("msg_{}", ids()),
        "content": content,
        "model": model,
        "role": "assistant",
        "stop_reason": stop,
        "type": "message",
        "usage": { "input_tokens": count("input_tokens"), "output_tokens": count("output_tokens") },
    }))
}

fn said(item: &Value) -> Vec<Value> {
    let text = |part: &Value| part.get("text").or_else(|| part.get("refusal")).cloned().unwrap_or_else(|| "".into());
    let parts = item.get("content").and_then(Value::as_array);
    parts.into_iter().flatten().map(|part| json!({ "text": text(part), "type": "text" })).collect()
}

fn used(item: &Value) -> Result<Value, ApiError> {
    let arguments = item.get("arguments").and_then(Value::as_str).filter(|text| !text.is_empty()).unwrap_or("{}");
    let input: Map<String, Value> = serde_json::from_str(arguments)
        .map_err(|_| bad_answer("The model called a tool with arguments that are no JSON object."))?;
    Ok(json!({ "id": item.get("call_id"), "input": input, "name": item.get("name"), "type": "tool_use" }))
}

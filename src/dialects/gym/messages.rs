//! The Messages API over the Responses API, both ways, as Gym does it.

use serde_json::{Map, Value, json};

use super::errors::{bad_engine_answer, unsupported};
use super::python_json;
use super::step::Ids;
use crate::openai::ApiError;

/// Media types of images that the Messages API knows.
const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// The Responses request for a Messages request; the schema of Responses has still to be checked. `top_k`,
/// `stop_sequences`, `thinking` and `metadata` are not looked at.
///
/// # Errors
/// What has no counterpart.
pub(super) fn to_responses(body: &Map<String, Value>, ids: &mut Ids) -> Result<Map<String, Value>, ApiError> {
    let mut params = Map::new();
    params.insert("input".into(), items(body.get("messages").unwrap_or(&Value::Null), ids)?.into());
    let system = system(body.get("system").unwrap_or(&Value::Null));
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
        params.insert("tools".into(), tools.iter().map(tool).collect::<Result<_, _>>()?);
    }
    if let Some(choice) = body.get("tool_choice").filter(|choice| !choice.is_null()) {
        params.insert("tool_choice".into(), tool_choice(choice)?);
    }
    Ok(params)
}

fn system(system: &Value) -> String {
    match system {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts =
                blocks.iter().filter(|block| block["type"] == "text").filter_map(|block| block["text"].as_str());
            texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

fn items(messages: &Value, ids: &mut Ids) -> Result<Vec<Value>, ApiError> {
    let mut items = Vec::new();
    for message in messages.as_array().into_iter().flatten() {
        let Some(role) = message["role"].as_str() else {
            return Err(unsupported("A message has no role.").param("messages"));
        };
        match message.get("content") {
            Some(Value::Array(blocks)) => add_blocks(role, blocks, &mut items, ids)?,
            content => {
                let content = content.cloned().unwrap_or_else(|| "".into());
                items.push(json!({ "role": role, "content": content, "type": "message" }));
            }
        }
    }
    Ok(items)
}

/// Texts and images in a row are one message; every other block is an item of its own.
fn add_blocks(role: &str, blocks: &[Value], items: &mut Vec<Value>, ids: &mut Ids) -> Result<(), ApiError> {
    let mut parts: Vec<Value> = Vec::new();
    for block in blocks {
        let text = |name: &str| block[name].as_str().unwrap_or("");
        let item = match text("type") {
            "text" => {
                parts.push(json!({ "type": "input_text", "text": text("text") }));
                continue;
            }
            "image" => {
                parts.push(image(block)?);
                continue;
            }
            "tool_use" => {
                let arguments = python_json::dumps(block.get("input").unwrap_or(&json!({})));
                let (id, name) = (&block["id"], &block["name"]);
                json!({
                    "arguments": arguments, "call_id": id, "name": name, "id": id, "status": "completed",
                    "type": "function_call",
                })
            }
            "tool_result" => {
                let output = tool_result(block.get("content"))?;
                json!({ "call_id": block["tool_use_id"], "output": output, "type": "function_call_output" })
            }
            "thinking" => {
                let summary = [json!({ "text": text("thinking"), "type": "summary_text" })];
                json!({
                    "id": format!("rs_{}", ids()), "summary": summary, "encrypted_content": block["signature"],
                    "type": "reasoning",
                })
            }
            kind => {
                return Err(
                    unsupported(format!("Content blocks of type `{kind}` are not supported.")).param("messages")
                );
            }
        };
        items.extend(message(role, std::mem::take(&mut parts)));
        items.push(item);
    }
    items.extend(message(role, parts));
    Ok(())
}

/// The message of these parts, if there are any; a single text needs no list.
fn message(role: &str, parts: Vec<Value>) -> Option<Value> {
    let content = match parts.as_slice() {
        [] => return None,
        [only] if only["type"] == "input_text" => only["text"].clone(),
        _ => parts.into(),
    };
    Some(json!({ "role": role, "content": content, "type": "message" }))
}

fn image(block: &Value) -> Result<Value, ApiError> {
    let source = |name: &str| block["source"][name].as_str().unwrap_or("");
    let media_type = source("media_type");
    if source("type") != "base64" || !IMAGE_TYPES.contains(&media_type) {
        let known = IMAGE_TYPES.join(", ");
        return Err(
            unsupported(format!("An image must be base64 data of one of these types: {known}.")).param("messages")
        );
    }
    let url = format!("data:{media_type};base64,{}", source("data"));
    Ok(json!({ "type": "input_image", "image_url": url, "detail": "auto" }))
}

fn tool_result(content: Option<&Value>) -> Result<String, ApiError> {
    match content {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(blocks)) if blocks.iter().all(|block| block["type"] == "text") => {
            let texts = blocks.iter().map(|block| block["text"].as_str().unwrap_or(""));
            Ok(texts.collect::<Vec<_>>().join("\n"))
        }
        Some(_) => Err(unsupported("The content of a `tool_result` must be text.").param("messages")),
    }
}

fn tool(tool: &Value) -> Result<Value, ApiError> {
    let Some(name) = tool.get("name") else { return Err(unsupported("A tool has no name.").param("tools")) };
    let schema = tool.get("input_schema").filter(|it| it.as_object().is_some_and(|it| !it.is_empty())).cloned();
    Ok(json!({
        "type": "function",
        "name": name,
        "description": tool["description"],
        "parameters": schema.unwrap_or_else(|| json!({ "type": "object", "properties": {} })),
        "strict": false,
    }))
}

fn tool_choice(choice: &Value) -> Result<Value, ApiError> {
    match choice["type"].as_str() {
        Some("auto") => Ok("auto".into()),
        Some("none") => Ok("none".into()),
        Some("any") => Ok("required".into()),
        Some("tool") => Ok(json!({ "type": "function", "name": choice["name"] })),
        _ => Err(unsupported("`tool_choice.type` must be auto, none, any or tool.").param("tool_choice")),
    }
}

/// The message for a response; `model`: the client's name for it.
///
/// # Errors
/// An output item without counterpart.
pub(super) fn from_response(response: &Value, model: &Value, ids: &mut Ids) -> Result<Value, ApiError> {
    let mut content = Vec::new();
    let mut calls = false;
    for item in response["output"].as_array().into_iter().flatten() {
        match item["type"].as_str() {
            Some("message") => content.extend(text_blocks(item)),
            Some("reasoning") => {
                let signature = item["encrypted_content"].as_str().unwrap_or("");
                let block =
                    |part: &Value| json!({ "signature": signature, "thinking": part["text"], "type": "thinking" });
                content.extend(item["summary"].as_array().into_iter().flatten().map(block));
            }
            Some("function_call") => {
                calls = true;
                content.push(tool_use(item)?);
            }
            kind => {
                let kind = kind.unwrap_or("");
                return Err(bad_engine_answer(format!(
                    "The answer has an output item of type `{kind}`, which the Messages API cannot express."
                )));
            }
        }
    }
    let stop = match response["incomplete_details"]["reason"].as_str() {
        Some("max_output_tokens") => "max_tokens",
        Some("content_filter") => "refusal",
        _ if calls => "tool_use",
        _ => "end_turn",
    };
    let count = |name: &str| Some(&response["usage"][name]).filter(|it| it.is_number()).cloned().unwrap_or(0.into());
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

fn text_blocks(item: &Value) -> impl Iterator<Item = Value> {
    let text = |part: &Value| part.get("text").or_else(|| part.get("refusal")).cloned().unwrap_or_else(|| "".into());
    let parts = item["content"].as_array().into_iter().flatten();
    parts.map(move |part| json!({ "text": text(part), "type": "text" }))
}

fn tool_use(item: &Value) -> Result<Value, ApiError> {
    let arguments = item["arguments"].as_str().filter(|text| !text.is_empty()).unwrap_or("{}");
    let input: Map<String, Value> = serde_json::from_str(arguments)
        .map_err(|_| bad_engine_answer("The model called a tool with arguments that are not a JSON object."))?;
    Ok(json!({ "id": item["call_id"], "input": input, "name": item["name"], "type": "tool_use" }))
}

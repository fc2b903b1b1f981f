//! Whole answers replayed as event streams, with the events that Gym sends.

use serde_json::{Map, Value, json};

use super::python_json;
use super::step::Ids;
use super::streaming_request::{Namespaces, with_client_name};

/// A chat answer as chunks, closed by `[DONE]`.
pub(super) fn chat(answer: &Value, include_usage: bool) -> String {
    let mut out = String::new();
    let mut send = |choices: Value, usage: &Value| {
        let mut chunk = json!({
            "id": answer["id"], "object": "chat.completion.chunk", "created": answer["created"],
            "model": answer["model"], "choices": choices,
        });
        for (name, value) in [("system_fingerprint", &answer["system_fingerprint"]), ("usage", usage)] {
            if !value.is_null() {
                chunk[name] = value.clone();
            }
        }
        out.push_str(&format!("data: {chunk}\n\n"));
    };
    for (index, choice) in answer["choices"].as_array().into_iter().flatten().enumerate() {
        for delta in deltas(&choice["message"]) {
            send(json!([{ "index": index, "delta": delta, "finish_reason": null }]), &Value::Null);
        }
        send(json!([{ "index": index, "delta": {}, "finish_reason": choice["finish_reason"] }]), &Value::Null);
    }
    if include_usage && !answer["usage"].is_null() {
        send(json!([]), &answer["usage"]);
    }
    out.push_str("data: [DONE]\n\n");
    out
}

/// The deltas of one choice, without the last, which has the finish reason.
fn deltas(message: &Value) -> Vec<Value> {
    let text = |name: &str| message[name].as_str().filter(|text| !text.is_empty());
    let mut deltas = vec![json!({ "role": text("role").unwrap_or("assistant") })];
    let reasoning = text("reasoning_content").or_else(|| text("reasoning"));
    deltas.extend(reasoning.map(|text| json!({ "reasoning_content": text })));
    deltas.extend(text("content").map(|text| json!({ "content": text })));
    let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !calls.is_empty() {
        let one = |(index, call): (usize, &Value)| {
            let function = &call["function"];
            json!({
                "index": index, "id": call["id"], "type": call.get("type").cloned().unwrap_or_else(|| "function".into()),
                "function": { "name": function["name"], "arguments": function["arguments"].as_str().unwrap_or("") },
            })
        };
        deltas.push(json!({ "tool_calls": calls.iter().enumerate().map(one).collect::<Vec<_>>() }));
    }
    deltas
}

/// A response: created, its items, completed. Gym sends `response.completed` for an incomplete one as well.
pub(super) fn response(answer: &Value, namespaces: &Namespaces, strict: bool) -> String {
    let mut answer = answer.clone();
    // Gym's classes call it so inside, and forget to rename it on this way out.
    if let Some(Value::Object(format)) = answer.pointer_mut("/text/format").filter(|_| strict) {
        let schema = format.shift_remove("schema");
        format.extend(schema.map(|schema| ("schema_".to_owned(), schema)));
    }
    let items = answer["output"].as_array().into_iter().flatten();
    let items: Vec<Value> = items.map(|item| with_client_name(item, namespaces)).collect();
    let mut created = answer.clone();
    (created["status"], created["output"]) = (json!("in_progress"), json!([]));
    let mut out = event("response.created", json!({ "response": created }));
    for (index, item) in items.iter().enumerate() {
        out.push_str(&event("response.output_item.done", json!({ "output_index": index, "item": item })));
    }
    answer["output"] = items.into();
    out + &event("response.completed", json!({ "response": answer }))
}

/// A response that failed: created, failed.
pub(super) fn failed_response(message: &str, ids: &mut Ids) -> String {
    let error = json!({ "code": "server_error", "message": message });
    let mut response = json!({
        "id": format!("resp_{}", ids()), "object": "response", "status": "in_progress", "output": [], "error": error,
    });
    let created = event("response.created", json!({ "response": response }));
    response["status"] = "failed".into();
    created + &event("response.failed", json!({ "response": response }))
}

/// A message: start, its blocks, delta, stop.
pub(super) fn message(answer: &Value) -> String {
    let mut empty = answer.clone();
    empty["content"] = json!([]);
    let mut out = event("message_start", json!({ "message": empty }));
    for (index, block) in answer["content"].as_array().into_iter().flatten().enumerate() {
        let (start, delta) = block_events(block);
        out.push_str(&event("content_block_start", json!({ "index": index, "content_block": start })));
        out.push_str(&event("content_block_delta", json!({ "index": index, "delta": delta })));
        out.push_str(&event("content_block_stop", json!({ "index": index })));
    }
    let delta = json!({ "stop_reason": answer["stop_reason"], "stop_sequence": answer["stop_sequence"] });
    let usage = json!({ "output_tokens": answer["usage"]["output_tokens"] });
    out.push_str(&event("message_delta", json!({ "delta": delta, "usage": usage })));
    out + &event("message_stop", json!({}))
}

fn block_events(block: &Value) -> (Value, Value) {
    match block["type"].as_str() {
        Some("thinking") => (
            json!({ "type": "thinking", "thinking": "" }),
            json!({ "type": "thinking_delta", "thinking": block["thinking"] }),
        ),
        Some("tool_use") => (
            json!({ "type": "tool_use", "id": block["id"], "name": block["name"], "input": {} }),
            json!({ "type": "input_json_delta", "partial_json": python_json::dumps(block.get("input").unwrap_or(&json!({}))) }),
        ),
        _ => (json!({ "type": "text", "text": "" }), json!({ "type": "text_delta", "text": block["text"] })),
    }
}

/// One event; its data begins with the type.
fn event(kind: &str, members: Value) -> String {
    let mut data = Map::new();
    data.insert("type".into(), kind.into());
    if let Value::Object(members) = members {
        data.extend(members);
    }
    format!("event: {kind}\ndata: {}\n\n", Value::Object(data))
}

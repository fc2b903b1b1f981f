//! Whole answers replayed as event streams, with the events Gym sends.

use serde_json::{Map, Value, json};

use super::stream_in::{Namespaces, renamed};
use super::{Ids, python};

/// A chat answer as chunks, closed by `[DONE]`.
pub(super) fn chat(answer: &Value, include_usage: bool) -> String {
    let mut out = String::new();
    let mut send = |choices: Value, usage: Option<&Value>| {
        let mut chunk = json!({
            "id": answer.get("id"), "object": "chat.completion.chunk", "created": answer.get("created"),
            "model": answer.get("model"), "choices": choices,
        });
        for (name, value) in [("system_fingerprint", answer.get("system_fingerprint")), ("usage", usage)] {
            if let Some(value) = value.filter(|value| !value.is_null()) {
                chunk[name] = value.clone();
            }
        }
        out.push_str(&format!("data: {chunk}\n\n"));
    };
    for (index, choice) in answer.get("choices").and_then(Value::as_array).into_iter().flatten().enumerate() {
        for (delta, reason) in deltas(choice) {
            send(json!([{ "index": index, "delta": delta, "finish_reason": reason }]), None);
        }
    }
    if include_usage {
        if let Some(usage) = answer.get("usage").filter(|usage| !usage.is_null()) {
            send(json!([]), Some(usage));
        }
    }
    out.push_str("data: [DONE]\n\n");
    out
}

/// The deltas of one choice, each with its finish reason.
fn deltas(choice: &Value) -> Vec<(Value, Value)> {
    let empty = Map::new();
    let message = choice.get("message").and_then(Value::as_object).unwrap_or(&empty);
    let text = |name: &str| message.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut deltas = vec![json!({ "role": text("role").unwrap_or("assistant") })];
    deltas.extend(text("reasoning_content").or_else(|| text("reasoning")).map(|it| json!({ "reasoning_content": it })));
    deltas.extend(text("content").map(|it| json!({ "content": it })));
    let calls = message.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !calls.is_empty() {
        let one = |(index, call): (usize, &Value)| {
            let function = |name: &str| call.get("function").and_then(|function| function.get(name));
            let arguments = function("arguments").and_then(Value::as_str).unwrap_or("");
            json!({
                "index": index, "id": call.get("id"), "type": call.get("type").cloned().unwrap_or_else(|| "function".into()),
                "function": { "name": function("name"), "arguments": arguments },
            })
        };
        deltas.push(json!({ "tool_calls": calls.iter().enumerate().map(one).collect::<Vec<_>>() }));
    }
    let mut deltas: Vec<(Value, Value)> = deltas.into_iter().map(|delta| (delta, Value::Null)).collect();
    deltas.push((json!({}), choice.get("finish_reason").cloned().unwrap_or_default()));
    deltas
}

/// A response: created, its items, completed. Gym says `response.completed` of an incomplete one as well.
pub(super) fn response(answer: &Value, namespaces: &Namespaces, strict: bool) -> String {
    let mut answer = answer.clone();
    if strict {
        // Gym's models call it so inside, and forget to rename it on this way out.
        if let Some(Value::Object(format)) = answer.pointer_mut("/text/format") {
            if let Some(schema) = format.shift_remove("schema") {
                format.insert("schema_".into(), schema);
            }
        }
    }
    let items: Vec<Value> = answer
        .get("output")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|item| renamed(item, namespaces))
        .collect();
    let mut created = answer.clone();
    (created["status"], created["output"]) = (json!("in_progress"), json!([]));
    let mut out = event("response.created", json!({ "response": created }));
    for (index, item) in items.iter().enumerate() {
        out.push_str(&event("response.output_item.done", json!({ "output_index": index, "item": item })));
    }
    answer["output"] = Value::Array(items);
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
    let mut shell = answer.clone();
    shell["content"] = json!([]);
    let mut out = event("message_start", json!({ "message": shell }));
    for (index, block) in answer.get("content").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let (start, delta) = block_events(block);
        out.push_str(&event("content_block_start", json!({ "index": index, "content_block": start })));
        out.push_str(&event("content_block_delta", json!({ "index": index, "delta": delta })));
        out.push_str(&event("content_block_stop", json!({ "index": index })));
    }
    let delta = json!({ "stop_reason": answer.get("stop_reason"), "stop_sequence": answer.get("stop_sequence") });
    let usage = json!({ "output_tokens": answer.pointer("/usage/output_tokens") });
    out.push_str(&event("message_delta", json!({ "delta": delta, "usage": usage })));
    out + &event("message_stop", json!({}))
}

fn block_events(block: &Value) -> (Value, Value) {
    match block.get("type").and_then(Value::as_str) {
        Some("thinking") => (
            json!({ "type": "thinking", "thinking": "" }),
            json!({ "type": "thinking_delta", "thinking": block.get("thinking") }),
        ),
        Some("tool_use") => (
            json!({ "type": "tool_use", "id": block.get("id"), "name": block.get("name"), "input": {} }),
            json!({ "type": "input_json_delta", "partial_json": python::dumps(block.get("input").unwrap_or(&json!({}))) }),
        ),
        _ => (json!({ "type": "text", "text": "" }), json!({ "type": "text_delta", "text": block.get("text") })),
    }
}

/// One event; its data says its type first.
fn event(kind: &str, members: Value) -> String {
    let mut data = Map::new();
    data.insert("type".into(), kind.into());
    if let Value::Object(members) = members {
        data.extend(members);
    }
    format!("event: {kind}\ndata: {}\n\n", Value::Object(data))
}

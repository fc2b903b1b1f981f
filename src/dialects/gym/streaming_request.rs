//! What a streaming client of `/v1/responses` sends beyond Gym's schema: dropped, flattened or moved, never refused.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::schema::{is_item, is_parameter, is_tool};

/// Names of flattened functions, and the client's names for them: the namespace, and the name in it.
pub(super) type Namespaces = HashMap<String, (String, String)>;

/// The body without the members, tools and items that Gym's schema does not know.
pub(super) fn sanitize(mut body: Map<String, Value>) -> (Map<String, Value>, Namespaces) {
    body.shift_remove("stream");
    let mut namespaces = Namespaces::new();
    if let Some(tools) = body.get_mut("tools") {
        let mut flat = flatten(into_list(tools.take()), &mut namespaces);
        flat.retain(is_tool);
        *tools = flat.into();
    }
    let listed = body.get_mut("input").filter(|input| input.is_array()).map(Value::take);
    if let Some(Value::Array(items)) = listed {
        let (kept, carried) = split_items(items);
        let mut carried = flatten(carried, &mut namespaces);
        carried.retain(|tool| tool["type"] == "function" && is_tool(tool));
        if !carried.is_empty() {
            let mut tools = body.shift_remove("tools").map(into_list).unwrap_or_default();
            tools.extend(carried);
            body.insert("tools".into(), tools.into());
        }
        move_to_instructions(kept, &mut body);
    }
    body.retain(|name, _| is_parameter(name));
    (body, namespaces)
}

fn into_list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        _ => Vec::new(),
    }
}

/// Functions of a namespace become functions of their own.
fn flatten(tools: Vec<Value>, namespaces: &mut Namespaces) -> Vec<Value> {
    let mut flat = Vec::new();
    for tool in tools {
        if tool["type"] != "namespace" {
            flat.push(tool);
            continue;
        }
        let namespace = tool["name"].as_str().unwrap_or("");
        for inner in tool["tools"].as_array().into_iter().flatten() {
            let Some(name) = inner["name"].as_str().filter(|name| !name.is_empty()) else { continue };
            let joined = join(namespace, name);
            let mut function = inner.clone();
            (function["type"], function["name"]) = ("function".into(), joined.clone().into());
            flat.push(function);
            namespaces.insert(joined, (namespace.to_owned(), name.to_owned()));
        }
    }
    flat
}

fn join(namespace: &str, name: &str) -> String {
    format!("{namespace}__{name}")
}

/// The items to keep, and the tools that `additional_tools` items carry.
fn split_items(items: Vec<Value>) -> (Vec<Value>, Vec<Value>) {
    let (mut kept, mut carried) = (Vec::new(), Vec::new());
    for mut item in items {
        if item["type"] == "additional_tools" {
            carried.extend(into_list(item["tools"].take()));
            continue;
        }
        // The model knows the flattened name.
        let namespace = item["namespace"].as_str().filter(|it| !it.is_empty() && item["type"] == "function_call");
        if let Some(joined) = namespace.map(|it| join(it, item["name"].as_str().unwrap_or("")))
            && let Some(call) = item.as_object_mut()
        {
            call.shift_remove("namespace");
            call.insert("name".into(), joined.into());
        }
        if is_item(&item) {
            kept.push(item);
        }
    }
    (kept, carried)
}

/// System texts that open the conversation become instructions.
fn move_to_instructions(items: Vec<Value>, body: &mut Map<String, Value>) {
    let opens = |item: &&Value| {
        (item["type"].is_null() || item["type"] == "message")
            && matches!(item["role"].as_str(), Some("system" | "developer"))
    };
    let leading = items.iter().take_while(opens).count();
    let given = body.get("instructions").and_then(Value::as_str).unwrap_or("").to_owned();
    let texts = items[..leading].iter().map(|item| text_of(&item["content"]));
    let parts: Vec<String> = std::iter::once(given).chain(texts).filter(|text| !text.is_empty()).collect();
    if !parts.is_empty() {
        body.insert("instructions".into(), parts.join("\n\n").into());
    }
    body.insert("input".into(), items.into_iter().skip(leading).collect());
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let text = |part: &&Value| matches!(part["type"].as_str(), Some("input_text" | "output_text" | "text"));
            parts.iter().filter(text).filter_map(|part| part["text"].as_str()).collect()
        }
        _ => String::new(),
    }
}

/// An output item with the client's name of the function.
pub(super) fn with_client_name(item: &Value, namespaces: &Namespaces) -> Value {
    let mut item = item.clone();
    let known = item["name"].as_str().and_then(|name| namespaces.get(name));
    if let Some((namespace, name)) = known.filter(|_| item["type"] == "function_call") {
        (item["namespace"], item["name"]) = (json!(namespace), json!(name));
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gym_does_not_know_goes_and_the_rest_stays() {
        let body = json!({
            "stream": true, "client_metadata": {}, "model": "m",
            "tools": [{ "type": "bogus" }, { "type": "namespace", "name": "n", "tools": [{ "name": "f", "parameters": {}, "strict": false }, {}, 1] }],
            "input": [
                { "type": "message", "role": "developer", "content": [{ "type": "input_text", "text": "a" }] },
                { "role": "user", "content": "b" },
                { "type": "item_reference", "id": "x" },
                { "type": "function_call", "call_id": "c", "name": "f", "namespace": "n", "arguments": "{}" },
                { "type": "additional_tools", "tools": [{ "type": "function", "name": "g", "parameters": {}, "strict": null }, { "type": "custom", "name": "exec" }] },
                7,
            ],
        });
        let (body, namespaces) = sanitize(body.as_object().expect("object").clone());
        assert_eq!(
            Value::Object(body),
            json!({
                "model": "m", "instructions": "a",
                "input": [{ "role": "user", "content": "b" }, { "type": "function_call", "call_id": "c", "name": "n__f", "arguments": "{}" }],
                "tools": [{ "name": "n__f", "parameters": {}, "strict": false, "type": "function" }, { "type": "function", "name": "g", "parameters": {}, "strict": null }],
            })
        );
        let item = json!({ "type": "function_call", "name": "n__f" });
        let expected = json!({ "type": "function_call", "name": "f", "namespace": "n" });
        assert_eq!(with_client_name(&item, &namespaces), expected);
    }
}

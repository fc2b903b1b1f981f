//! What a streaming client sends to `/v1/responses` beyond Gym's schema: dropped, flattened or hoisted, never refused.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::schema::{is_item, is_parameter, is_tool};

/// Names of flattened functions, and what the client calls them: its namespace and the name within.
pub(super) type Namespaces = HashMap<String, (String, String)>;

/// The body with nothing in it that Gym's schema does not know, as far as whole members, tools and items go.
pub(super) fn sanitize(mut body: Map<String, Value>) -> (Map<String, Value>, Namespaces) {
    body.shift_remove("stream");
    let mut namespaces = Namespaces::new();
    if let Some(tools) = body.get_mut("tools") {
        let mut flat = flatten(as_list(tools.take()), &mut namespaces);
        flat.retain(is_tool);
        *tools = Value::Array(flat);
    }
    let listed = body.get_mut("input").filter(|input| input.is_array()).map(Value::take);
    if let Some(Value::Array(items)) = listed {
        let (kept, carried) = sift(items);
        let mut carried = flatten(carried, &mut namespaces);
        carried.retain(|tool| tool.get("type").is_some_and(|kind| kind == "function") && is_tool(tool));
        if !carried.is_empty() {
            let mut tools = body.shift_remove("tools").map(as_list).unwrap_or_default();
            tools.extend(carried);
            body.insert("tools".into(), Value::Array(tools));
        }
        hoist(kept, &mut body);
    }
    body.retain(|name, _| is_parameter(name));
    (body, namespaces)
}

fn as_list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        _ => Vec::new(),
    }
}

/// Functions of a namespace become functions of their own.
fn flatten(tools: Vec<Value>, namespaces: &mut Namespaces) -> Vec<Value> {
    let mut flat = Vec::new();
    for tool in tools {
        if tool.get("type").is_none_or(|kind| kind != "namespace") {
            flat.push(tool);
            continue;
        }
        let namespace = tool.get("name").and_then(Value::as_str).unwrap_or("");
        for inner in tool.get("tools").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object) {
            let Some(name) = inner.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
                continue;
            };
            let joined = join(namespace, name);
            let mut function = inner.clone();
            function.insert("type".into(), "function".into());
            function.insert("name".into(), joined.clone().into());
            flat.push(Value::Object(function));
            namespaces.insert(joined, (namespace.to_owned(), name.to_owned()));
        }
    }
    flat
}

fn join(namespace: &str, name: &str) -> String {
    format!("{namespace}__{name}")
}

/// The items to keep, and the tools that `additional_tools` items carry.
fn sift(items: Vec<Value>) -> (Vec<Value>, Vec<Value>) {
    let (mut kept, mut carried) = (Vec::new(), Vec::new());
    for mut item in items {
        let kind = item.get("type").and_then(Value::as_str).unwrap_or("").to_owned();
        if kind == "additional_tools" {
            carried.extend(item.get_mut("tools").map(Value::take).map(as_list).unwrap_or_default());
            continue;
        }
        if let Some(call) = item.as_object_mut().filter(|_| kind == "function_call") {
            // The model knows the flattened name.
            let namespace =
                call.get("namespace").and_then(Value::as_str).filter(|it| !it.is_empty()).map(str::to_owned);
            if let Some(namespace) = namespace {
                let name = call.get("name").and_then(Value::as_str).unwrap_or("").to_owned();
                call.shift_remove("namespace");
                call.insert("name".into(), join(&namespace, &name).into());
            }
        }
        if is_item(&item) {
            kept.push(item);
        }
    }
    (kept, carried)
}

/// System texts that open the conversation become instructions.
fn hoist(items: Vec<Value>, body: &mut Map<String, Value>) {
    let opens = |item: &&Value| {
        let kind = item.get("type");
        kind.is_none_or(|kind| kind.is_null() || kind == "message")
            && matches!(item.get("role").and_then(Value::as_str), Some("system" | "developer"))
    };
    let leading = items.iter().take_while(opens).count();
    let given = body.get("instructions").and_then(Value::as_str).unwrap_or("").to_owned();
    let texts = items[..leading].iter().map(|item| spoken(item.get("content")));
    let parts: Vec<String> = std::iter::once(given).chain(texts).filter(|text| !text.is_empty()).collect();
    if !parts.is_empty() {
        body.insert("instructions".into(), parts.join("\n\n").into());
    }
    body.insert("input".into(), Value::Array(items.into_iter().skip(leading).collect()));
}

fn spoken(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let text = |part: &&Value| {
                matches!(part.get("type").and_then(Value::as_str), Some("input_text" | "output_text" | "text"))
            };
            parts.iter().filter(text).filter_map(|part| part.get("text")?.as_str()).collect()
        }
        _ => String::new(),
    }
}

/// An output item with the function's name as the client knows it.
pub(super) fn renamed(item: &Value, namespaces: &Namespaces) -> Value {
    let mut item = item.clone();
    let call = item.get("type").is_some_and(|kind| kind == "function_call");
    let known = item.get("name").and_then(Value::as_str).and_then(|name| namespaces.get(name)).filter(|_| call);
    if let Some((namespace, name)) = known {
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
        assert_eq!(renamed(&item, &namespaces), json!({ "type": "function_call", "name": "f", "namespace": "n" }));
    }
}

//! What agents send: tools that a provider runs, custom tools, namespaces, and the items of their history.

use serde_json::{Value, json};

use super::{chat, messages, reply};
use crate::dialects::testing::{Made, answered, asked, call, events, read_responses, refused, run, stream};
use crate::dialects::{ClientApi, Translator};

/// Tools as a coding agent sends them.
fn tools() -> Value {
    json!([
        { "type": "function", "name": "f0", "parameters": { "type": "object" } },
        { "type": "custom", "name": "f1", "description": "Patches files.",
          "format": { "type": "grammar", "syntax": "lark", "definition": "start: x" } },
        { "type": "web_search", "external_web_access": false },
        { "type": "image_generation" },
        { "type": "web_search_2025_08_26" },
        { "type": "local_shell" },
        { "type": "image_generation" },
        { "type": "namespace", "name": "mcp", "description": "d", "tools": [
            { "type": "function", "name": "a", "parameters": { "type": "object" }, "strict": false },
            { "type": "custom", "name": "b" },
        ]},
    ])
}

fn agent() -> (Value, Translator) {
    asked(ClientApi::Responses, &json!({ "model": "m", "input": "x", "tools": tools(), "stream": true }))
}

#[test]
fn hosted_tools_are_dropped_and_the_others_become_functions() {
    let (chat, translator) = agent();
    assert_eq!(
        translator.dropped_tools(),
        ["web_search", "image_generation", "web_search_2025_08_26", "local_shell"],
        "each once"
    );
    let functions: Vec<&Value> =
        chat["tools"].as_array().expect("tools").iter().map(|tool| &tool["function"]).collect();
    let names: Vec<&Value> = functions.iter().map(|function| &function["name"]).collect();
    assert_eq!(names, ["f0", "f1", "mcp__a", "mcp__b"]);
    assert_eq!(functions[1]["description"], "Patches files.");
    let parameters = &functions[1]["parameters"];
    assert_eq!(
        (&parameters["required"], &parameters["properties"]["input"]["type"]),
        (&json!(["input"]), &json!("string"))
    );
    let about = parameters["properties"]["input"]["description"].as_str().expect("text");
    assert!(about.contains("lark") && about.contains("start: x"), "{about}");
    assert_eq!(functions[2]["strict"], false);
    assert!(chat.get("tool_choice").is_none());
}

#[test]
fn a_choice_of_tools_is_of_those_that_are_left() {
    let with = |choice: Value| json!({ "input": "x", "tools": tools(), "tool_choice": choice });
    let named = |name: &str| json!({ "type": "function", "function": { "name": name } });
    assert_eq!(chat(&with(json!({ "type": "custom", "name": "f1" })))["tool_choice"], named("f1"));
    let member = json!({ "type": "function", "namespace": "mcp", "name": "a" });
    assert_eq!(chat(&with(member))["tool_choice"], named("mcp__a"));
    assert_eq!(chat(&with("required".into()))["tool_choice"], "required");
    let allowed = chat(&with(json!({ "type": "allowed_tools", "mode": "auto", "tools": [
        { "type": "web_search" }, { "type": "custom", "name": "f1" },
    ]})));
    assert_eq!((&allowed["tool_choice"], allowed["tools"].as_array().map(Vec::len)), (&json!("auto"), Some(1)));
    let none = chat(
        &json!({ "input": "x", "tools": [{ "type": "mcp" }], "tool_choice": "auto", "parallel_tool_calls": true }),
    );
    assert_eq!(none.as_object().expect("an object").keys().collect::<Vec<_>>(), ["messages"]);
    let only = json!({ "type": "allowed_tools", "mode": "required", "tools": [{ "type": "web_search" }] });
    refused(
        ClientApi::Responses,
        [
            (with(json!({ "type": "web_search" })), "tool_choice.type", "nobody here can run"),
            (with(only), "tool_choice", "web_search"),
            (json!({ "input": "x", "tools": [{ "type": "mcp" }], "tool_choice": "required" }), "tool_choice", "mcp"),
            (with(json!({ "type": "function", "name": "a" })), "tool_choice.name", "\"a\""),
        ],
    );
}

#[test]
fn two_tools_with_one_name_for_the_engine_are_refused() {
    let function = json!({ "type": "function", "name": "n__f" });
    let member = json!({ "type": "namespace", "name": "n", "tools": [{ "type": "function", "name": "f" }] });
    refused(
        ClientApi::Responses,
        [
            (json!({ "input": "x", "tools": [function, member] }), "tools[1].tools[0].name", "n__f"),
            (json!({ "input": "x", "tools": [member, function] }), "tools[1].name", "n__f"),
            (json!({ "input": "x", "tools": [member, member] }), "tools[1].tools[0].name", "n__f"),
        ],
    );
}

#[test]
fn calls_come_back_as_what_the_client_has() {
    let calls = json!([
        call("c0", "f0", "{\"x\":1}"),
        call("c1", "f1", "{\"input\": \"*** Begin\\nPatch\"}"),
        call("c2", "mcp__a", "{}"),
        call("c3", "mcp__b", "bare text"),
    ]);
    let message = reply(json!({ "content": null, "tool_calls": calls }), "tool_calls");
    let answer = answered(agent().1, &message);
    let mut output = answer["output"].clone();
    for item in output.as_array_mut().expect("output") {
        let item = item.as_object_mut().expect("an item");
        let id = item.shift_remove("id").expect("an id");
        let prefix = if item["type"] == "custom_tool_call" { "ctc_" } else { "fc_" };
        assert!(id.as_str().is_some_and(|id| id.starts_with(prefix)), "{id}");
        assert_eq!(item.shift_remove("status"), Some("completed".into()));
    }
    assert_eq!(
        output,
        json!([
            { "type": "function_call", "call_id": "c0", "name": "f0", "arguments": "{\"x\":1}" },
            { "type": "custom_tool_call", "call_id": "c1", "name": "f1", "input": "*** Begin\nPatch" },
            { "type": "function_call", "call_id": "c2", "name": "a", "namespace": "mcp", "arguments": "{}" },
            { "type": "custom_tool_call", "call_id": "c3", "name": "b", "namespace": "mcp", "input": "bare text" },
        ])
    );
}

#[test]
fn the_input_of_a_custom_tool_is_streamed() {
    let made = [
        Made::Begin(0),
        Made::Arguments(0, "{}".into()),
        Made::Begin(1),
        Made::Arguments(1, "{\"inp".into()),
        Made::Arguments(1, "ut\": \"a\\".into()),
        Made::Arguments(1, "nb".into()),
        Made::Arguments(1, "\"}".into()),
    ];
    let told = run(agent().1, [stream(&made, "tool_calls").as_bytes()]);
    let last = read_responses(&told);
    assert_eq!((&last["output"][1]["type"], &last["output"][1]["input"]), (&json!("custom_tool_call"), &json!("a\nb")));
    let kinds: Vec<String> = events(&told)
        .iter()
        .filter(|event| event["output_index"] == 1)
        .map(|event| format!("{} {}", event["type"].as_str().expect("a type"), event["delta"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(
        kinds,
        [
            "response.output_item.added ",
            "response.custom_tool_call_input.delta a",
            "response.custom_tool_call_input.delta \nb",
            "response.custom_tool_call_input.done ",
            "response.output_item.done ",
        ]
    );
    let torn = [Made::Begin(1), Made::Arguments(1, "{\"input\":\"half of i".into())];
    let last = read_responses(&run(agent().1, [stream(&torn, "length").as_bytes()]));
    assert_eq!(last["output"][0]["input"], "half of i");
}

#[test]
fn the_items_of_an_agents_history_are_read() {
    let input = json!([
        { "role": "user", "content": "Hi" },
        { "type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "zzz" },
        { "type": "web_search_call", "id": "ws", "status": "completed", "action": { "type": "search", "query": "x" } },
        { "type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** \"x\"" },
        { "type": "function_call", "call_id": "c2", "name": "a", "namespace": "mcp", "arguments": "{}" },
        { "type": "local_shell_call", "call_id": "c3", "status": "completed", "action": { "type": "exec", "command": ["ls"] } },
        { "type": "custom_tool_call_output", "call_id": "c1", "output": "Done" },
        { "type": "function_call_output", "call_id": "c2", "output": [{ "type": "input_text", "text": "ok" }] },
        { "type": "local_shell_call_output", "id": "c3", "output": "a.txt" },
        { "type": "mcp_list_tools", "server_label": "s", "tools": [] },
        { "type": "reasoning", "summary": [] },
        { "role": "user", "content": "More" },
    ]);
    let expected = json!([
        { "role": "user", "content": "Hi" },
        { "role": "assistant", "content": null, "tool_calls": [
            call("c1", "apply_patch", "{\"input\":\"*** \\\"x\\\"\"}"),
            call("c2", "mcp__a", "{}"),
            call("c3", "local_shell", "{\"type\":\"exec\",\"command\":[\"ls\"]}"),
        ]},
        { "role": "tool", "tool_call_id": "c1", "content": "Done" },
        { "role": "tool", "tool_call_id": "c2", "content": "ok" },
        { "role": "tool", "tool_call_id": "c3", "content": "a.txt" },
        { "role": "user", "content": "More" },
    ]);
    assert_eq!(messages(input), expected);
}

#[test]
fn tools_that_the_input_brings_are_tools() {
    let input = json!([
        { "role": "user", "content": "Hi" },
        { "type": "additional_tools", "role": "developer", "tools": [{ "type": "custom", "name": "exec" }, { "type": "web_search" }] },
    ]);
    let (chat, translator) = asked(ClientApi::Responses, &json!({ "model": "m", "input": input }));
    assert_eq!(chat["tools"][0]["function"]["name"], "exec");
    assert_eq!(chat["messages"].as_array().map(Vec::len), Some(1));
    assert_eq!(translator.dropped_tools(), ["web_search"]);
}

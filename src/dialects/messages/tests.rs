//! Messages requests and messages by example.

use serde_json::{Value, json};

use crate::config::LateSystem;
use crate::dialects::testing::{
    Made, answered, asked, call, events, interleaved, read_messages, refused, run, stream, translator,
};
use crate::dialects::{ClientApi, from_tokenize, to_chat, to_tokenize};

fn chat(body: &Value) -> Value {
    asked(ClientApi::Messages, body).0
}

fn answer(choice: Value) -> Value {
    let usage = json!({
        "prompt_tokens": 20, "completion_tokens": 4,
        "prompt_tokens_details": { "cached_tokens": 8, "created_cache_tokens": 2 },
    });
    answered(translator(ClientApi::Messages), &json!({ "choices": [choice], "usage": usage }))
}

#[test]
fn blocks_become_turns() {
    let body = json!({
        "model": "m", "max_tokens": 4,
        "system": [
            { "type": "text", "text": "x-anthropic-billing-header: 1" },
            { "type": "text", "text": "A", "cache_control": { "type": "ephemeral" } },
            { "type": "text", "text": "B" },
        ],
        "messages": [
            { "role": "user", "content": [
                { "type": "text", "text": "look" },
                { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AA" } },
                { "type": "image", "source": { "type": "url", "url": "http://x/y.png" } },
            ]},
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "hm", "signature": "s" },
                { "type": "redacted_thinking", "data": "zz" },
                { "type": "text", "text": "I call" },
                { "type": "tool_use", "id": "t1", "name": "f", "input": { "a": 1 } },
                { "type": "tool_use", "id": "t2", "name": "g", "input": "{broken" },
            ]},
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "t1", "content": [
                    { "type": "text", "text": "one" },
                    { "type": "image", "source": { "type": "url", "url": "http://x/z.png" } },
                ]},
                { "type": "tool_result", "tool_use_id": "t2", "content": "bad", "is_error": true },
                { "type": "text", "text": "go on" },
            ]},
        ],
    });
    let image = |url: &str| json!({ "type": "image_url", "image_url": { "url": url } });
    let expected = json!([
        { "role": "system", "content": "A\n\nB" },
        { "role": "user", "content": [
            { "type": "text", "text": "look" }, image("data:image/png;base64,AA"), image("http://x/y.png"),
        ]},
        { "role": "assistant", "reasoning": "hm", "content": "I call",
          "tool_calls": [call("t1", "f", "{\"a\":1}"), call("t2", "g", "{broken")] },
        { "role": "tool", "tool_call_id": "t1", "content": "one" },
        { "role": "tool", "tool_call_id": "t2", "content": "Error: bad" },
        { "role": "user", "content": [image("http://x/z.png"), { "type": "text", "text": "go on" }] },
    ]);
    assert_eq!(chat(&body)["messages"], expected);
}

#[test]
fn other_members_find_their_names() {
    let body = json!({
        "model": "m", "max_tokens": 4, "temperature": 1, "top_k": 5, "top_p": 0.9, "stop_sequences": ["x"], "stream": true,
        "metadata": { "user_id": "u" }, "service_tier": "auto", "min_p": 0.1,
        "messages": [{ "role": "user", "content": "Hi" }], "thinking": { "type": "enabled", "budget_tokens": 1024 },
        "output_config": { "effort": "low", "format": { "type": "json_schema", "schema": { "type": "object" } } },
        "tools": [{ "name": "f", "description": "d", "input_schema": { "type": "object" } }],
        "tool_choice": { "type": "any", "disable_parallel_tool_use": true },
    });
    let expected = json!({
        "model": "m", "max_tokens": 4, "temperature": 1, "top_k": 5, "top_p": 0.9, "stream": true, "min_p": 0.1,
        "messages": [{ "role": "user", "content": "Hi" }],
        "tools": [{ "type": "function", "function": { "name": "f", "description": "d", "parameters": { "type": "object" } } }],
        "tool_choice": "required", "parallel_tool_calls": false,
        "chat_template_kwargs": { "enable_thinking": true, "thinking": true }, "reasoning_effort": "low",
        "response_format": { "type": "json_schema", "json_schema": {
            "name": "output", "schema": { "type": "object" }, "strict": true,
        }},
        "stop": ["x"], "user": "u", "stream_options": { "include_usage": true, "continuous_usage_stats": true },
    });
    assert_eq!(chat(&body), expected);
}

#[test]
fn choices_of_tools_take_chats_shape() {
    let with = |choice: Value| {
        chat(&json!({ "messages": [], "tools": [{ "name": "f", "input_schema": {} }], "tool_choice": choice }))["tool_choice"].clone()
    };
    assert_eq!(with(json!({ "type": "auto" })), "auto");
    assert_eq!(with(json!({ "type": "none" })), "none");
    assert_eq!(
        with(json!({ "type": "tool", "name": "f" })),
        json!({ "type": "function", "function": { "name": "f" } })
    );
}

#[test]
fn tools_and_calls_of_anthropic_are_dropped_unless_one_is_demanded() {
    let server = json!({ "type": "web_search_20250305", "name": "web_search", "max_uses": 5 });
    let own = json!({ "name": "f", "input_schema": {} });
    let messages = json!([
        { "role": "user", "content": "Hi" },
        { "role": "assistant", "content": [
            { "type": "server_tool_use", "id": "s1", "name": "web_search", "input": { "query": "x" } },
            { "type": "web_search_tool_result", "tool_use_id": "s1", "content": [] },
            { "type": "text", "text": "Found." },
        ]},
        { "role": "user", "content": "Go on" },
    ]);
    let body = json!({ "messages": messages, "tools": [server, own, { "type": "mcp_toolset", "mcp_server_name": "x" }], "mcp_servers": [{}] });
    let (chat, translator) = asked(ClientApi::Messages, &body);
    assert_eq!(translator.dropped_tools(), ["web_search_20250305", "mcp_toolset"]);
    assert_eq!(chat["tools"].as_array().map(Vec::len), Some(1));
    assert_eq!(chat["messages"][1], json!({ "role": "assistant", "content": "Found." }));
    assert!(chat.get("mcp_servers").is_none());
    let none =
        asked(ClientApi::Messages, &json!({ "messages": [], "tools": [server], "tool_choice": { "type": "auto" } })).0;
    assert!(none.get("tools").is_none() && none.get("tool_choice").is_none(), "{none}");
    let demanded = |choice: Value| json!({ "messages": [], "tools": [server], "tool_choice": choice });
    refused(
        ClientApi::Messages,
        [
            (demanded(json!({ "type": "any" })), "tool_choice", "web_search_20250305"),
            (demanded(json!({ "type": "tool", "name": "web_search" })), "tool_choice.name", "nobody here can run"),
        ],
    );
}

#[test]
fn tools_of_anthropic_that_the_client_runs_are_functions() {
    let tools = json!([
        { "type": "bash_20250124", "name": "bash" },
        { "type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 100 },
        { "type": "memory_20250818", "name": "memory" },
        { "type": "computer_20250124", "name": "computer", "display_width_px": 1 },
    ]);
    let choice = json!({ "type": "tool", "name": "bash" });
    let (chat, translator) =
        asked(ClientApi::Messages, &json!({ "messages": [], "tools": tools, "tool_choice": choice }));
    assert_eq!(translator.dropped_tools(), ["computer_20250124"]);
    let function = |at: usize| chat["tools"][at]["function"].clone();
    assert_eq!(function(0)["parameters"]["properties"]["command"]["type"], "string");
    assert_eq!(function(1)["name"], "str_replace_based_edit_tool");
    assert_eq!(function(2)["parameters"]["required"], json!(["command"]));
    assert_eq!(chat["tool_choice"]["function"]["name"], "bash");
}

/// Claude Code sends them after the user's message; templates of Qwen and others refuse them there.
#[test]
fn system_messages_in_the_middle_become_what_strict_templates_take() {
    let system = |text: &str| json!({ "role": "system", "content": text });
    let result = |id: &str| json!({ "type": "tool_result", "tool_use_id": id, "content": "ok" });
    let calls = json!([
        { "type": "tool_use", "id": "t1", "name": "f", "input": {} }, { "type": "tool_use", "id": "t2", "name": "f", "input": {} },
    ]);
    let body = json!({ "model": "m", "max_tokens": 4, "system": "A", "messages": [
        { "role": "user", "content": "Hi" }, system("B"),
        { "role": "assistant", "content": calls },
        { "role": "user", "content": [result("t1")] }, system("C"), { "role": "user", "content": [result("t2")] },
        { "role": "assistant", "content": "Done" }, system("D"), { "role": "user", "content": "More" }, system("E"),
    ]});
    let with = |late_system| {
        let (chat, _) = to_chat(ClientApi::Messages, body.to_string().as_bytes(), late_system).expect("a request");
        let chat: Value = serde_json::from_slice(&chat).expect("JSON");
        let shown = |message: &Value| {
            let text = match &message["content"] {
                Value::Array(parts) => {
                    parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("+")
                }
                content => content.as_str().unwrap_or("-").to_owned(),
            };
            format!("{} {}", message["role"].as_str().unwrap_or_default(), text.replace("\n\n", "/"))
        };
        chat["messages"].as_array().expect("messages").iter().map(shown).collect::<Vec<_>>()
    };
    let calls = ["assistant -", "tool ok", "tool ok"];
    let user = [&["system A", "user Hi+B"][..], &calls, &["user C", "assistant Done", "user D+More+E"]].concat();
    assert_eq!(with(LateSystem::User), user);
    let first = [&["system A/B/C/D/E", "user Hi"][..], &calls, &["assistant Done", "user More"]].concat();
    assert_eq!(with(LateSystem::First), first);
    assert_eq!(with(LateSystem::Keep).iter().filter(|shown| shown.starts_with("system")).count(), 5);
}

#[test]
fn thinking_leaves_what_the_caller_set() {
    let body = json!({
        "messages": [], "thinking": { "type": "disabled" }, "chat_template_kwargs": { "enable_thinking": true, "x": 1 },
    });
    assert_eq!(chat(&body)["chat_template_kwargs"], json!({ "enable_thinking": true, "x": 1 }));
    let body = json!({ "messages": [], "thinking": { "type": "disabled" } });
    assert_eq!(chat(&body)["chat_template_kwargs"], json!({ "enable_thinking": false, "thinking": false }));
}

#[test]
fn a_begun_answer_is_continued() {
    let begun = chat(&json!({ "messages": [
        { "role": "user", "content": "Hi" }, { "role": "assistant", "content": "The answer is" },
    ]}));
    assert_eq!(begun["messages"][1], json!({ "role": "assistant", "content": "The answer is" }));
    assert_eq!((&begun["continue_final_message"], &begun["add_generation_prompt"]), (&json!(true), &json!(false)));
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let user = |block: Value| json!({ "messages": [{ "role": "user", "content": [block] }] });
    let bodies = [
        (json!({}), "messages", "missing"),
        (json!({ "messages": [{ "role": "tool", "content": "x" }] }), "messages[0].role", "tool"),
        (json!({ "messages": [{ "role": "user" }] }), "messages[0].content", "missing"),
        (user(json!({ "type": "search_result" })), "messages[0].content[0].type", "search_result"),
        (
            user(json!({ "type": "document", "source": { "type": "base64", "data": "x" } })),
            "messages[0].content[0].source.type",
            "base64",
        ),
        (
            user(json!({ "type": "image", "source": { "type": "file", "file_id": "x" } })),
            "messages[0].content[0].source.type",
            "file",
        ),
        (json!({ "messages": [], "tools": [{ "type": "web_search", "name": "x" }] }), "tools[0].type", "web_search"),
        (
            json!({ "messages": [], "tools": [{ "type": "web_surf_20250305", "name": "x" }] }),
            "tools[0].type",
            "web_surf_20250305",
        ),
        (json!({ "messages": [], "tool_choice": { "type": "any" } }), "tool_choice", "empty"),
        (json!({ "messages": [], "tool_choice": { "type": "tool", "name": "x" } }), "tool_choice.name", "\"x\""),
        (json!({ "messages": [], "container": "c" }), "container", "not supported"),
        (json!({ "messages": [], "mcp_servers": {} }), "mcp_servers", "an array"),
        (json!({ "messages": [], "thinking": { "type": "maybe" } }), "thinking.type", "adaptive"),
    ];
    refused(ClientApi::Messages, bodies);
}

#[test]
fn a_message_has_blocks_and_usage_that_adds_up() {
    let message = answer(json!({
        "message": { "content": "Hi", "reasoning": "hm", "tool_calls": [call("c1", "f", "{\"a\":1}"), call("", "g", "")] },
        "finish_reason": "tool_calls",
    }));
    let blocks = message["content"].as_array().expect("content");
    assert_eq!((&blocks[0]["type"], &blocks[0]["thinking"]), (&json!("thinking"), &json!("hm")));
    assert_eq!(blocks[1], json!({ "type": "text", "text": "Hi" }));
    assert_eq!(blocks[2], json!({ "type": "tool_use", "id": "c1", "name": "f", "input": { "a": 1 } }));
    assert_eq!(blocks[3]["input"], json!({}));
    assert!(blocks[3]["id"].as_str().is_some_and(|id| id.starts_with("toolu_")));
    assert_eq!((&message["stop_reason"], &message["model"]), (&json!("tool_use"), &json!("m")));
    assert_eq!(
        message["usage"],
        json!({
            "input_tokens": 10, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 8, "output_tokens": 4,
        })
    );
}

#[test]
fn stop_reasons_are_anthropics() {
    let calls = json!({ "tool_calls": [call("c1", "f", "{}")] });
    for (message, finish, stop, reason, sequence) in [
        (json!({}), "stop", Value::Null, "end_turn", Value::Null),
        (json!({}), "stop", json!(151_645), "end_turn", Value::Null),
        (json!({}), "stop", json!("\n\n"), "stop_sequence", json!("\n\n")),
        (json!({}), "length", Value::Null, "max_tokens", Value::Null),
        (json!({}), "content_filter", Value::Null, "refusal", Value::Null),
        (calls.clone(), "tool_calls", Value::Null, "tool_use", Value::Null),
        (calls.clone(), "stop", Value::Null, "tool_use", Value::Null),
        (calls, "length", Value::Null, "max_tokens", Value::Null),
    ] {
        let message = answer(json!({ "message": message, "finish_reason": finish, "stop_reason": stop }));
        assert_eq!((&message["stop_reason"], &message["stop_sequence"]), (&json!(reason), &sequence));
    }
}

#[test]
fn a_call_that_is_no_json_loses_nothing() {
    let message =
        answer(json!({ "message": { "tool_calls": [call("c", "f", "{\"a\":")] }, "finish_reason": "length" }));
    assert_eq!(message["content"][0]["input"], "{\"a\":");
}

#[test]
fn calls_that_interleave_wait_for_each_other() {
    let told = run(translator(ClientApi::Messages), [stream(&interleaved(), "tool_calls").as_bytes()]);
    let message = read_messages(&told);
    let kinds: Vec<&Value> =
        message["content"].as_array().expect("content").iter().map(|block| &block["type"]).collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use", "tool_use", "text"]);
    assert_eq!((&message["content"][2]["input"], &message["content"][3]["input"]), (&json!({}), &json!({ "b": 2 })));
}

#[test]
fn tokens_are_counted_of_the_same_prompt() {
    let body = json!({
        "model": "m", "system": "S", "messages": [{ "role": "user", "content": "Hi" }], "thinking": { "type": "disabled" },
        "tools": [{ "name": "f", "input_schema": {} }], "tool_choice": { "type": "auto" }, "betas": ["x"], "max_tokens": 3,
    });
    let asked = to_tokenize(body.to_string().as_bytes(), LateSystem::default()).expect("a request");
    let mut expected = chat(&body);
    for name in ["tool_choice", "max_tokens"] {
        expected.as_object_mut().expect("an object").shift_remove(name);
    }
    assert_eq!(serde_json::from_slice::<Value>(&asked).expect("JSON"), expected);
    assert_eq!(
        from_tokenize(br#"{"count":13,"max_model_len":512,"tokens":[1]}"#).expect("a count"),
        br#"{"input_tokens":13}"#
    );
    for text in ["", "{}", r#"{"count":-1}"#] {
        assert_eq!(from_tokenize(text.as_bytes()).expect_err(text).status, 502);
    }
}

#[test]
fn the_events_are_those_of_the_real_api() {
    let mut translator = translator(ClientApi::Messages);
    translator.set_model("alias");
    let first = r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":{"prompt_tokens":13,"completion_tokens":0}}"#;
    let rest = stream(&[Made::Text("a".into()), Made::Text("b".into())], "stop");
    let text = format!("{first}\n\n{rest}");
    let told = events(&run(translator, [text.as_bytes()]));
    let message = &told[0]["message"];
    assert_eq!((&message["usage"]["input_tokens"], &message["usage"]["output_tokens"]), (&json!(13), &json!(0)));
    assert_eq!((&message["model"], &message["content"]), (&json!("alias"), &json!([])));
    let usage = json!({
        "input_tokens": 1, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 16, "output_tokens": 7,
    });
    assert_eq!(
        told[1..],
        [
            json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
            json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "a" } }),
            json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "b" } }),
            json!({ "type": "content_block_stop", "index": 0 }),
            json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null }, "usage": usage }),
            json!({ "type": "message_stop" }),
        ]
    );
}

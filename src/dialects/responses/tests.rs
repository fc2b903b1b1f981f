//! Responses requests and responses by example.

mod agents;

use serde_json::{Value, json};

use crate::dialects::ClientApi;
use crate::dialects::testing::{
    Made, answered, asked, call, events, interleaved, read_responses, refused, run, stream, translator,
};

fn chat(body: &Value) -> Value {
    asked(ClientApi::Responses, body).0
}

fn messages(input: Value) -> Value {
    chat(&json!({ "model": "m", "input": input }))["messages"].clone()
}

fn answer(body: &Value, reply: &Value) -> Value {
    answered(asked(ClientApi::Responses, body).1, reply)
}

fn reply(message: Value, finish: &str) -> Value {
    json!({ "created": 5, "choices": [{ "index": 0, "message": message, "finish_reason": finish }] })
}

#[test]
fn a_text_is_the_users() {
    let body = json!({ "model": "m", "instructions": "Be brief.", "input": "Hi", "max_output_tokens": 5, "top_k": 3 });
    let expected = json!({
        "model": "m", "top_k": 3,
        "messages": [{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "Hi" }],
        "max_tokens": 5,
    });
    assert_eq!(chat(&body), expected);
}

#[test]
fn items_become_turns() {
    let input = json!([
        { "role": "developer", "content": "A" },
        { "type": "message", "role": "system", "content": [{ "type": "input_text", "text": "B" }] },
        { "role": "user", "content": [
            { "type": "input_text", "text": "look" },
            { "type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "high" },
        ]},
        { "type": "reasoning", "id": "rs_1", "summary": [{ "type": "summary_text", "text": "short" }],
          "content": [{ "type": "reasoning_text", "text": "long" }] },
        { "type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
          "content": [{ "type": "output_text", "text": "I ", "annotations": [] }, { "type": "output_text", "text": "call" }] },
        { "type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{\"a\":1}" },
        { "type": "function_call", "call_id": "c2", "name": "g", "arguments": "" },
        { "type": "function_call_output", "call_id": "c1", "output": "one" },
        { "type": "function_call_output", "call_id": "c2", "output": [
            { "type": "input_text", "text": "two" }, { "type": "input_image", "image_url": "http://x/y.png" },
        ]},
        { "type": "reasoning", "summary": [{ "type": "summary_text", "text": "hm" }] },
        { "role": "assistant", "content": "done" },
        { "role": "user", "content": [{ "type": "input_text", "text": "more" }] },
    ]);
    let expected = json!([
        { "role": "system", "content": "A\n\nB" },
        { "role": "user", "content": [
            { "type": "text", "text": "look" },
            { "type": "image_url", "image_url": { "url": "data:image/png;base64,AA", "detail": "high" } },
        ]},
        { "role": "assistant", "reasoning": "long", "content": "I call",
          "tool_calls": [call("c1", "f", "{\"a\":1}"), call("c2", "g", "")] },
        { "role": "tool", "tool_call_id": "c1", "content": "one" },
        { "role": "tool", "tool_call_id": "c2", "content": "two" },
        { "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "http://x/y.png" } }] },
        { "role": "assistant", "reasoning": "hm", "content": "done" },
        { "role": "user", "content": "more" },
    ]);
    assert_eq!(messages(input), expected);
}

#[test]
fn tools_and_choices_take_chats_shape() {
    let tool = json!({ "type": "function", "name": "f", "description": "d", "parameters": { "type": "object" }, "strict": true });
    let other = json!({ "type": "function", "name": "g", "parameters": null });
    let with = |choice: Value| {
        chat(&json!({ "input": "x", "tools": [tool, other], "tool_choice": choice, "parallel_tool_calls": false }))
    };
    let named = with(json!({ "type": "function", "name": "g" }));
    let f = json!({ "type": "function", "function": {
        "name": "f", "description": "d", "parameters": { "type": "object" }, "strict": true,
    }});
    assert_eq!(named["tools"], json!([f, { "type": "function", "function": { "name": "g" } }]));
    assert_eq!(named["tool_choice"], json!({ "type": "function", "function": { "name": "g" } }));
    assert_eq!(named["parallel_tool_calls"], false);
    for word in ["auto", "none", "required"] {
        assert_eq!(with(word.into())["tool_choice"], word);
    }
    let allowed =
        with(json!({ "type": "allowed_tools", "mode": "required", "tools": [{ "type": "function", "name": "f" }] }));
    assert_eq!((&allowed["tools"], &allowed["tool_choice"]), (&json!([f]), &json!("required")));
    let none = chat(&json!({ "input": "x", "tools": [], "tool_choice": "auto", "parallel_tool_calls": true }));
    assert_eq!(none.as_object().expect("an object").keys().collect::<Vec<_>>(), ["messages"]);
}

#[test]
fn other_members_find_their_names() {
    let body = json!({
        "model": "m", "input": "x", "stream": true, "temperature": 0.5, "top_p": 0.9, "user": "u", "seed": 3,
        "reasoning": { "effort": "low", "summary": "auto" }, "metadata": { "a": "b" }, "store": true,
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"], "top_logprobs": 2, "truncation": "auto",
        "text": { "verbosity": "low", "format": { "type": "json_schema", "name": "n", "schema": {}, "strict": true } },
        "chat_template_kwargs": { "enable_thinking": false }, "previous_response_id": null, "background": false,
    });
    let expected = json!({
        "model": "m", "stream": true, "temperature": 0.5, "top_p": 0.9, "user": "u", "seed": 3,
        "chat_template_kwargs": { "enable_thinking": false }, "messages": [{ "role": "user", "content": "x" }],
        "response_format": { "type": "json_schema", "json_schema": { "name": "n", "schema": {}, "strict": true } },
        "reasoning_effort": "low", "logprobs": true, "top_logprobs": 2, "truncate_prompt_tokens": -1,
        "stream_options": { "include_usage": true },
    });
    assert_eq!(chat(&body), expected);
    let format = |format: Value| chat(&json!({ "input": "x", "text": { "format": format } }));
    assert_eq!(format(json!({ "type": "json_object" }))["response_format"], json!({ "type": "json_object" }));
    assert!(format(json!({ "type": "text" })).get("response_format").is_none());
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let bodies = [
        (json!({ "previous_response_id": "resp_1" }), "previous_response_id", "stored"),
        (json!({ "conversation": "conv_1" }), "conversation", "stored"),
        (json!({ "prompt": { "id": "p" } }), "prompt", "stored"),
        (json!({ "background": true }), "background", "stored"),
        (json!({ "tools": [{ "type": "web_surf" }] }), "tools[0].type", "web_surf"),
        (json!({ "tools": [{ "type": "web_search_x" }] }), "tools[0].type", "web_search_x"),
        (json!({ "tools": [{ "type": "custom" }] }), "tools[0].name", "missing"),
        (
            json!({ "tools": [{ "type": "namespace", "name": "n", "tools": [{ "type": "namespace", "name": "o" }] }] }),
            "tools[0].tools[0].type",
            "namespace",
        ),
        (json!({ "tools": [{ "type": "function", "function": { "name": "x" } }] }), "tools[0]", "Chat Completions"),
        (json!({ "tool_choice": "required" }), "tool_choice", "empty"),
        (json!({ "tool_choice": { "type": "mcp" } }), "tool_choice.type", "mcp"),
        (json!({ "tool_choice": { "type": "function", "name": "x" } }), "tool_choice.name", "\"x\""),
        (json!({ "text": { "format": { "type": "grammar" } } }), "text.format.type", "grammar"),
        (json!({ "truncation": "some" }), "truncation", "some"),
        (json!({ "input": null }), "input", "missing"),
        (json!({ "input": 3 }), "input", "a number"),
        (json!({ "input": [{ "type": "item_reference", "id": "x" }] }), "input[0].type", "stored"),
        (json!({ "input": [{ "type": "web_surf_call" }] }), "input[0].type", "web_surf_call"),
        (json!({ "input": [{ "type": "function_call", "name": "f" }] }), "input[0].call_id", "missing"),
        (json!({ "input": [{ "role": "tool", "content": "x" }] }), "input[0].role", "function_call_output"),
        (
            json!({ "input": [{ "role": "user", "content": [{ "type": "input_file", "file_id": "x" }] }] }),
            "input[0].content[0].type",
            "file",
        ),
        (
            json!({ "input": [{ "role": "user", "content": [{ "type": "input_image", "file_id": "x" }] }] }),
            "input[0].content[0].file_id",
            "URL",
        ),
        (json!({ "stream": "yes" }), "stream", "a string"),
    ];
    let with_input = bodies.map(|(mut body, param, word)| {
        if body.get("input").is_none() {
            body["input"] = "x".into();
        }
        (body, param, word)
    });
    refused(ClientApi::Responses, with_input);
}

#[test]
fn a_response_repeats_what_was_asked() {
    let body = json!({
        "model": "m", "input": "x", "metadata": { "a": "b" }, "store": true, "temperature": 0.5, "instructions": "i",
        "tools": [{ "type": "function", "name": "f" }], "tool_choice": "auto", "max_output_tokens": 4,
    });
    let mut said = reply(json!({ "role": "assistant", "content": "Hello", "reasoning": "hm" }), "length");
    said["usage"] =
        json!({ "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "prompt_tokens_details": null });
    let answer = answer(&body, &said);
    for name in
        ["metadata", "store", "temperature", "instructions", "tools", "tool_choice", "max_output_tokens", "model"]
    {
        assert_eq!(answer[name], body[name], "{name}");
    }
    assert_eq!((&answer["object"], &answer["created_at"]), (&json!("response"), &json!(5)));
    assert_eq!(
        (&answer["status"], &answer["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    assert_eq!(answer["output"][0]["content"], json!([{ "type": "reasoning_text", "text": "hm" }]));
    assert_eq!(answer["output"][0]["status"], "completed");
    assert_eq!(answer["output"][1]["status"], "incomplete");
    let text = json!([{ "type": "output_text", "annotations": [], "logprobs": [], "text": "Hello" }]);
    assert_eq!(answer["output"][1]["content"], text);
    assert_eq!(
        answer["usage"],
        json!({
            "input_tokens": 3, "input_tokens_details": { "cached_tokens": 0, "cache_write_tokens": 0 },
            "output_tokens": 4, "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 7,
        })
    );
}

#[test]
fn calls_keep_their_ids_and_arguments() {
    let call = call("c1", "f", "{\"a\": 1.50}");
    let answer = answer(
        &json!({ "model": "m", "input": "x" }),
        &reply(json!({ "content": null, "tool_calls": [call] }), "tool_calls"),
    );
    let item = &answer["output"][0];
    assert_eq!((&item["type"], &item["call_id"], &item["name"]), (&json!("function_call"), &json!("c1"), &json!("f")));
    assert_eq!((&item["arguments"], &answer["status"]), (&json!("{\"a\": 1.50}"), &json!("completed")));
    assert_ne!(item["id"], item["call_id"]);
}

#[test]
fn silence_is_an_empty_message() {
    let answer = answer(&json!({ "model": "m", "input": "x" }), &reply(json!({ "content": "" }), "stop"));
    assert_eq!(answer["output"][0]["content"][0]["text"], "");
}

#[test]
fn log_probabilities_come_with_their_text() {
    let token = |text: &str| json!({ "token": text, "logprob": -0.5, "bytes": [97], "top_logprobs": [] });
    let chunk = |text: &str, tokens: Value, finish: Value| {
        let choice = json!({
            "index": 0, "delta": { "content": text }, "logprobs": { "content": tokens }, "finish_reason": finish,
        });
        format!("data: {}\n\n", json!({ "choices": [choice] }))
    };
    let text = [
        chunk("a", json!([token("a")]), Value::Null),
        chunk("", json!([token("half a character")]), Value::Null),
        chunk("é", json!([token("its rest")]), Value::Null),
        chunk("", json!([token("the end")]), "stop".into()),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let told = run(translator(ClientApi::Responses), [text.as_bytes()]);
    let last = read_responses(&told);
    let all = json!([token("a"), token("half a character"), token("its rest"), token("the end")]);
    assert_eq!(last["output"][0]["content"][0]["logprobs"], all);
    let deltas: Vec<Value> = events(&told)
        .iter()
        .filter(|event| event["type"] == "response.output_text.delta")
        .map(|event| event["logprobs"].clone())
        .collect();
    assert_eq!(deltas, [json!([token("a")]), json!([token("half a character"), token("its rest")])]);
}

#[test]
fn calls_that_interleave_are_told_at_once_and_text_may_follow() {
    let mut translator = translator(ClientApi::Responses);
    translator.set_model("alias");
    let told = run(translator, [stream(&interleaved(), "tool_calls").as_bytes()]);
    let last = read_responses(&told);
    let kinds: Vec<&Value> = last["output"].as_array().expect("output").iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call", "function_call", "message"]);
    assert_eq!((&last["output"][2]["arguments"], &last["output"][3]["arguments"]), (&json!("{}"), &json!("{\"b\":2}")));
    assert_eq!(last["model"], "alias");
    let order: Vec<String> = events(&told)
        .iter()
        .filter(|event| event["type"] == "response.function_call_arguments.delta")
        .map(|event| format!("{}{}", event["output_index"], event["delta"]))
        .collect();
    assert_eq!(order, ["2\"{\"", "3\"{\\\"b\\\":\"", "2\"}\"", "3\"2}\""]);
}

#[test]
fn the_events_are_those_of_the_real_api() {
    let told = run(translator(ClientApi::Responses), [stream(&[Made::Text("a".into())], "length").as_bytes()]);
    let kinds: Vec<Value> = events(&told).iter().map(|event| event["type"].clone()).collect();
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ];
    assert_eq!(kinds, expected);
}

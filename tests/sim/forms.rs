//! What is asked for in a certain form comes in that form: structured outputs, forced tools, thoughts; plain and streamed, in
//! every API.

use enginehouse::sim::{Args, Running, start};
use reqwest::Client;
use serde_json::{Value, json};

async fn engine(flags: &[&str]) -> Running {
    let common = ["tiny", "--port", "0", "--ttft", "0", "--gap", "0"];
    start(Args::parse(common.iter().chain(flags)).unwrap()).await.unwrap()
}

async fn ask(engine: &Running, path: &str, body: &Value) -> Value {
    let reply = Client::new().post(engine.url() + path).json(body).send().await.unwrap();
    assert_eq!(reply.status(), 200, "{path} {body}");
    reply.json().await.unwrap()
}

/// The data of a stream's events.
async fn stream(engine: &Running, path: &str, body: &Value) -> Vec<Value> {
    let mut body = body.clone();
    body["stream"] = true.into();
    let reply = Client::new().post(engine.url() + path).json(&body).send().await.unwrap();
    assert_eq!(reply.status(), 200, "{path} {body}");
    let text = reply.text().await.unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
}

/// As pydantic writes it, of a class that has a list of another one.
fn schema() -> Value {
    json!({
        "$defs": {
            "Place": {
                "type": "object", "additionalProperties": false, "required": ["city", "visited", "stars"],
                "properties": {
                    "city": { "type": "string", "minLength": 3 }, "visited": { "type": "string", "format": "date" },
                    "stars": { "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 5 }, { "type": "null" }] },
                },
            },
        },
        "type": "object", "additionalProperties": false, "required": ["places", "kind"],
        "properties": {
            "places": { "type": "array", "items": { "$ref": "#/$defs/Place" }, "minItems": 2 },
            "kind": { "enum": ["holiday", "work"] },
        },
    })
}

#[track_caller]
fn conforms(text: &str) {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|why| panic!("{why}: {text}"));
    assert!(jsonschema::is_valid(&schema(), &value), "{value}");
}

/// A request of each API that asks for the form.
fn asked() -> [(&'static str, Value); 4] {
    let messages = json!([{ "role": "user", "content": "Where?" }]);
    let named = json!({ "type": "json_schema", "name": "trip", "schema": schema() });
    [
        (
            "/v1/chat/completions",
            json!({
                "messages": messages,
                "response_format": { "type": "json_schema", "json_schema": { "name": "trip", "schema": schema() } },
            }),
        ),
        (
            "/v1/completions",
            json!({
                "prompt": "Where?", "structured_outputs": { "json": schema() }, "max_tokens": 500,
            }),
        ),
        ("/v1/responses", json!({ "input": "Where?", "text": { "format": named } })),
        (
            "/v1/messages",
            json!({
                "model": "tiny", "messages": messages, "max_tokens": 500,
                "output_config": { "format": { "type": "json_schema", "schema": schema() } },
            }),
        ),
    ]
}

/// What was said in a plain answer.
fn said(path: &str, whole: &Value) -> String {
    let text = match path {
        "/v1/chat/completions" => &whole["choices"][0]["message"]["content"],
        "/v1/completions" => &whole["choices"][0]["text"],
        "/v1/responses" => &whole["output"].as_array().unwrap().last().unwrap()["content"][0]["text"],
        _ => &whole["content"].as_array().unwrap().last().unwrap()["text"],
    };
    text.as_str().unwrap_or_else(|| panic!("{whole}")).to_owned()
}

/// What was said in a stream.
fn said_in(path: &str, events: &[Value]) -> String {
    let of = |event: &Value| match path {
        "/v1/chat/completions" => event["choices"][0]["delta"]["content"].as_str().map(str::to_owned),
        "/v1/completions" => event["choices"][0]["text"].as_str().map(str::to_owned),
        "/v1/responses" if event["type"] == "response.output_text.delta" => event["delta"].as_str().map(str::to_owned),
        "/v1/messages" => event["delta"]["text"].as_str().map(str::to_owned),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

#[tokio::test]
async fn structured_outputs_conform_in_every_api() {
    for flags in [&[][..], &["--reasoning-parser", "qwen3"]] {
        let engine = engine(flags).await;
        for (path, body) in asked() {
            conforms(&said(path, &ask(&engine, path, &body).await));
            let events = stream(&engine, path, &body).await;
            assert!(events.len() > 8, "{path}: it comes in pieces");
            conforms(&said_in(path, &events));
        }
    }
}

#[tokio::test]
async fn other_forms_have_their_texts() {
    let engine = engine(&[]).await;
    let chat = |more: Value| {
        let mut body = json!({ "messages": [{ "role": "user", "content": "Hi" }] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (more, text) in [
        (json!({ "structured_outputs": { "choice": ["red", "green"] } }), "red"),
        (json!({ "structured_outputs": { "regex": "[a-c]{3}-\\d{2}" } }), "aaa-11"),
        (json!({ "response_format": { "type": "json_object" } }), r#"{"answer":"You said: Hi"}"#),
    ] {
        let whole = ask(&engine, "/v1/chat/completions", &chat(more)).await;
        assert_eq!(said("/v1/chat/completions", &whole), text);
        assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    }
    let cut = chat(json!({ "response_format": { "type": "json_object" }, "max_tokens": 2 }));
    let whole = ask(&engine, "/v1/chat/completions", &cut).await;
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
    assert_eq!(whole["usage"]["completion_tokens"], 2);
    assert!(serde_json::from_str::<Value>(&said("/v1/chat/completions", &whole)).is_err());
}

/// The names and arguments of the calls in a plain answer of the Responses API or of Anthropic's.
fn calls(whole: &Value) -> Vec<(String, Value)> {
    let items = whole["output"].as_array().or(whole["content"].as_array()).unwrap();
    let of = |item: &Value| match item["type"].as_str()? {
        "function_call" => {
            let arguments = serde_json::from_str(item["arguments"].as_str()?).unwrap();
            Some((item["name"].as_str()?.to_owned(), arguments))
        }
        "custom_tool_call" => Some((item["name"].as_str()?.to_owned(), item["input"].clone())),
        "tool_use" => Some((item["name"].as_str()?.to_owned(), item["input"].clone())),
        _ => None,
    };
    items.iter().filter_map(of).collect()
}

#[tokio::test]
async fn a_forced_tool_is_called_in_the_engines_own_dialects() {
    let engine = engine(&["--reasoning-parser", "qwen3"]).await;
    let parameters = json!({
        "type": "object", "properties": { "city": { "enum": ["Paris", "Rome"] } }, "required": ["city"],
    });
    let responses = |choice: Value| {
        json!({ "input": "Hi", "tool_choice": choice, "tools": [
            { "type": "function", "name": "weather", "parameters": parameters }, { "type": "custom", "name": "note" },
        ]})
    };
    let messages = |choice: Value| {
        json!({
            "model": "tiny", "max_tokens": 99, "messages": [{ "role": "user", "content": "Hi" }],
            "tool_choice": choice, "tools": [{ "name": "weather", "input_schema": parameters }],
        })
    };
    let paris = json!({ "city": "Paris" });
    for (path, body, name, arguments) in [
        ("/v1/responses", responses(json!("required")), "weather", paris.clone()),
        ("/v1/responses", responses(json!({ "type": "function", "name": "weather" })), "weather", paris.clone()),
        ("/v1/responses", responses(json!({ "type": "custom", "name": "note" })), "note", json!("some text")),
        ("/v1/messages", messages(json!({ "type": "any" })), "weather", paris.clone()),
        ("/v1/messages", messages(json!({ "type": "tool", "name": "weather" })), "weather", paris),
    ] {
        let expected = vec![(name.to_owned(), arguments.clone())];
        let whole = ask(&engine, path, &body).await;
        assert_eq!(calls(&whole), expected, "{body}");
        let events = stream(&engine, path, &body).await;
        if path == "/v1/responses" {
            let last = events.last().unwrap();
            assert_eq!(last["type"], "response.completed");
            assert_eq!(calls(&last["response"]), expected, "{body}");
            assert_eq!(last["response"]["output"][0]["type"], "reasoning", "it thinks first");
        } else {
            let json: String = events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
            assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), arguments, "{body}");
            assert_eq!(whole["stop_reason"], "tool_use");
            assert!(events.iter().any(|event| event["delta"]["stop_reason"] == "tool_use"), "{body}");
            assert_eq!(whole["content"][0]["type"], "thinking", "it thinks first");
        }
    }
    let auto = ask(&engine, "/v1/responses", &responses(json!("auto"))).await;
    assert!(calls(&auto).is_empty(), "what is not forced is answered in words: {auto}");
}

#[tokio::test]
async fn thoughts_come_apart_in_the_engines_own_dialects() {
    let engine = engine(&["--reasoning-parser", "qwen3"]).await;
    let body = json!({ "input": "Hi" });
    let whole = ask(&engine, "/v1/responses", &body).await;
    let kinds = |output: &Value| -> Vec<String> {
        output.as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&whole["output"]), ["reasoning", "message"]);
    assert!(whole["output"][0]["content"][0]["text"].as_str().unwrap().starts_with("The user"));
    assert_eq!(whole["usage"]["output_tokens_details"]["reasoning_tokens"], 8);
    let events = stream(&engine, "/v1/responses", &body).await;
    assert_eq!(kinds(&events.last().unwrap()["response"]["output"]), ["reasoning", "message"]);
    let numbers: Vec<usize> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap() as usize).collect();
    assert_eq!(numbers, (0..events.len()).collect::<Vec<_>>());

    let body = json!({ "model": "tiny", "max_tokens": 30, "messages": [{ "role": "user", "content": "Hi" }] });
    let whole = ask(&engine, "/v1/messages", &body).await;
    assert_eq!(kinds(&whole["content"]), ["thinking", "text"]);
    let events = stream(&engine, "/v1/messages", &body).await;
    let blocks: Vec<&Value> = events.iter().filter(|event| event["type"] == "content_block_start").collect();
    assert_eq!(blocks.len(), 2);
    assert_eq!((&blocks[0]["content_block"]["type"], &blocks[1]["index"]), (&json!("thinking"), &json!(1)));
    assert!(events.iter().any(|event| event["delta"]["type"] == "signature_delta"));

    let mut off = body.clone();
    off["thinking"] = json!({ "type": "disabled" });
    assert_eq!(kinds(&ask(&engine, "/v1/messages", &off).await["content"]), ["text"]);
    let off = json!({ "input": "Hi", "reasoning": { "effort": "none" } });
    assert_eq!(kinds(&ask(&engine, "/v1/responses", &off).await["output"]), ["message"]);
}

//! A scripted engine's answers, and readers of both APIs' events as strict as their libraries.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ClientApi, Translator, to_chat};
use crate::config::LateSystem;

/// What an engine generates.
#[derive(Clone, Debug)]
pub(super) enum Made {
    Reasoning(String),
    Text(String),
    /// The beginning of call `0`, or a part of its arguments.
    Begin(u64),
    Arguments(u64, String),
}

/// An engine's stream of `made`, ended by `finish`.
pub(super) fn stream(made: &[Made], finish: &str) -> String {
    let chunk = |delta: Value, finish: Value| {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "engine",
            "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish, "stop_reason": null }],
        })
    };
    let mut events = vec![chunk(json!({ "role": "assistant", "content": "" }), Value::Null)];
    events.extend(made.iter().map(|made| chunk(delta(made), Value::Null)));
    events.push(chunk(json!({}), finish.into()));
    events.push(json!({ "id": "chatcmpl-1", "created": 1_700_000_000, "choices": [], "usage": usage() }));
    let lines: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    lines + "data: [DONE]\n\n"
}

fn delta(made: &Made) -> Value {
    match made {
        Made::Reasoning(text) => json!({ "reasoning": text }),
        Made::Text(text) => json!({ "content": text }),
        Made::Begin(call) => json!({ "tool_calls": [{
            "index": call, "id": format!("call-{call}"), "type": "function",
            "function": { "name": format!("f{call}"), "arguments": "" },
        }]}),
        Made::Arguments(call, more) => {
            json!({ "tool_calls": [{ "index": call, "function": { "arguments": more } }] })
        }
    }
}

fn usage() -> Value {
    json!({
        "prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27,
        "prompt_tokens_details": { "cached_tokens": 16, "created_cache_tokens": 3 },
        "completion_tokens_details": { "reasoning_tokens": 2 },
    })
}

/// The JSON answer of an engine that made the same.
pub(super) fn whole(made: &[Made], finish: &str) -> String {
    let (mut thoughts, mut text, mut calls) = (String::new(), String::new(), Vec::<Value>::new());
    for made in made {
        match made {
            Made::Reasoning(more) => thoughts.push_str(more),
            Made::Text(more) => text.push_str(more),
            Made::Begin(call) => calls.push(json!({
                "id": format!("call-{call}"), "type": "function",
                "function": { "name": format!("f{call}"), "arguments": "" },
            })),
            Made::Arguments(call, more) => {
                let call = &mut calls[usize::try_from(*call).expect("small")]["function"]["arguments"];
                *call = format!("{}{more}", call.as_str().expect("text")).into();
            }
        }
    }
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "engine",
        "choices": [{
            "index": 0, "finish_reason": finish, "stop_reason": null, "logprobs": null,
            "message": { "role": "assistant", "content": text, "reasoning": thoughts, "tool_calls": calls },
        }],
        "usage": usage(),
    })
    .to_string()
}

/// Answers as models give them: thoughts, text, calls with whole arguments; in that order.
pub(super) fn plain() -> impl Strategy<Value = Vec<Made>> {
    let words = || prop::collection::vec("[a-z \"\\\\{}é\n]{1,6}", 0..4);
    (words(), words(), 0..4_u64).prop_map(|(thoughts, texts, calls)| {
        let mut made: Vec<Made> = thoughts.into_iter().map(Made::Reasoning).collect();
        made.extend(texts.into_iter().map(Made::Text));
        for call in 0..calls {
            made.push(Made::Begin(call));
            made.extend(["{\"a\":", " \"}{\",", "\"b\": [1]}"].map(|part| Made::Arguments(call, part.to_owned())));
        }
        made
    })
}

/// Anything an engine could make, in any order: calls that interleave, text between, arguments that are no JSON.
pub(super) fn wild() -> impl Strategy<Value = Vec<Made>> {
    let part = prop::sample::select(vec!["{", "}", "\"", "{\"a\":1}", " ", "[", "1", "\\"]);
    let made = prop_oneof![
        "[a-z ]{1,4}".prop_map(Made::Reasoning),
        "[a-z ]{1,4}".prop_map(Made::Text),
        (0..4_u64, part).prop_map(|(call, part)| Made::Arguments(call, part.to_owned())),
    ];
    prop::collection::vec(made, 0..24).prop_map(|list| {
        // A call begins with its name, and calls are counted.
        let (mut begun, mut made) = (Vec::new(), Vec::new());
        for one in list {
            match one {
                Made::Arguments(wanted, part) => {
                    let call = begun.iter().position(|seen| *seen == wanted).unwrap_or_else(|| {
                        made.push(Made::Begin(begun.len() as u64));
                        begun.push(wanted);
                        begun.len() - 1
                    });
                    made.push(Made::Arguments(call as u64, part));
                }
                other => made.push(other),
            }
        }
        made
    })
}

/// The request to Chat Completions that `body` becomes, and who translates the answer.
pub(super) fn asked(api: ClientApi, body: &Value) -> (Value, Translator) {
    let (chat, translator) = to_chat(api, body.to_string().as_bytes(), LateSystem::default()).expect("a request");
    (serde_json::from_slice(&chat).expect("JSON"), translator)
}

/// Each body is refused with 400, for the member of that name, in a message with that word.
pub(super) fn refused(api: ClientApi, bodies: impl IntoIterator<Item = (Value, &'static str, &'static str)>) {
    for (body, param, word) in bodies {
        let error = to_chat(api, body.to_string().as_bytes(), LateSystem::default()).expect_err("refused");
        assert_eq!((error.status, error.param.as_deref()), (400, Some(param)), "{body}");
        assert!(error.message.contains(word), "{}", error.message);
    }
}

/// What the client is answered for the engine's `reply`.
pub(super) fn answered(mut translator: Translator, reply: &Value) -> Value {
    let answer = translator.answer(reply.to_string().as_bytes()).expect("an answer");
    serde_json::from_slice(&answer).expect("JSON")
}

/// A call as Chat Completions has it.
pub(super) fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
}

/// Two calls whose arguments come by turns, between texts.
pub(super) fn interleaved() -> [Made; 9] {
    [
        Made::Reasoning("t".into()),
        Made::Text("a".into()),
        Made::Begin(0),
        Made::Arguments(0, "{".into()),
        Made::Begin(1),
        Made::Arguments(1, "{\"b\":".into()),
        Made::Arguments(0, "}".into()),
        Made::Arguments(1, "2}".into()),
        Made::Text("z".into()),
    ]
}

/// A translator of a plain request.
pub(super) fn translator(api: ClientApi) -> Translator {
    let body = match api {
        ClientApi::Responses => json!({ "model": "m", "input": "hi", "stream": true }),
        ClientApi::Messages => {
            json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "hi" }], "stream": true })
        }
    };
    asked(api, &body).1
}

/// The client's stream for the engine's, given in `pieces`.
pub(super) fn run<'a>(mut translator: Translator, pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut out = Vec::new();
    for piece in pieces {
        translator.feed(piece, &mut out);
    }
    translator.end(&mut out);
    assert!(translator.done());
    String::from_utf8(out).expect("UTF-8")
}

/// The events of a stream; every one has its type as its name.
pub(super) fn events(text: &str) -> Vec<Value> {
    text.split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once('\n').expect("two lines");
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
            assert_eq!(data["type"], name.strip_prefix("event: ").expect("a name"));
            data
        })
        .collect()
}

/// Reads a Responses stream as OpenAI's library does, checks every `done` against its deltas; returns the last response.
pub(super) fn read_responses(text: &str) -> Value {
    let mut items: Vec<Value> = Vec::new();
    let mut last = Value::Null;
    for (number, event) in events(text).iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{event}");
        assert!(last.is_null(), "{event} after the end");
        let at = event["output_index"].as_u64().unwrap_or(0) as usize;
        match event["type"].as_str().expect("a type") {
            "response.created" => assert_eq!(number, 0),
            "response.in_progress" => assert_eq!(number, 1),
            "response.output_item.added" => {
                assert_eq!(at, items.len(), "items are added in order");
                items.push(event["item"].clone());
            }
            kind @ ("response.completed" | "response.incomplete" | "response.failed") => {
                let all_closed = items.iter().all(|item| item["closed"] == true);
                assert!(kind == "response.failed" || all_closed, "every item is closed");
                last = event["response"].clone();
            }
            kind => read_item_event(kind, event, &mut items[at]),
        }
    }
    for (item, read) in last["output"].as_array().expect("output").iter().zip(&mut items) {
        read.as_object_mut().expect("an object").shift_remove("closed");
        read["status"] = item["status"].clone();
        assert_eq!(item, read);
    }
    last
}

fn read_item_event(kind: &str, event: &Value, item: &mut Value) {
    assert!(item["closed"].is_null(), "{event} after its item was closed");
    if kind == "response.output_item.done" {
        item["status"] = event["item"]["status"].clone();
        assert_eq!(*item, event["item"]);
        item["closed"] = true.into();
        return;
    }
    assert_eq!(event["item_id"], item["id"], "{event}");
    let part = event["content_index"].as_u64().unwrap_or(0) as usize;
    match kind {
        "response.content_part.added" => {
            let content = item["content"].as_array_mut().expect("content");
            assert_eq!(part, content.len());
            content.push(event["part"].clone());
        }
        "response.output_text.delta" | "response.reasoning_text.delta" => {
            append(&mut item["content"][part]["text"], &event["delta"]);
            if let Some(read) = logprobs(&mut item["content"][part]) {
                read.extend_from_slice(event["logprobs"].as_array().expect("log probabilities"));
            }
        }
        "response.refusal.delta" => append(&mut item["content"][part]["refusal"], &event["delta"]),
        "response.function_call_arguments.delta" => append(&mut item["arguments"], &event["delta"]),
        "response.custom_tool_call_input.delta" => append(&mut item["input"], &event["delta"]),
        "response.custom_tool_call_input.done" => assert_eq!(item["input"], event["input"]),
        "response.output_text.done" | "response.reasoning_text.done" => {
            assert_eq!(item["content"][part]["text"], event["text"]);
            if let Some(read) = logprobs(&mut item["content"][part]) {
                // Those of the last tokens, which have no text, come at the end.
                let all = event["logprobs"].as_array().expect("log probabilities");
                assert!(all.starts_with(read));
                read.clone_from(all);
            }
        }
        "response.refusal.done" => assert_eq!(item["content"][part]["refusal"], event["refusal"]),
        "response.content_part.done" => assert_eq!(item["content"][part], event["part"]),
        "response.function_call_arguments.done" => {
            assert_eq!((&item["arguments"], &item["name"]), (&event["arguments"], &event["name"]));
            assert_eq!(item["type"], "function_call");
        }
        other => panic!("{other}"),
    }
}

/// Reads a Messages stream as Anthropic's library does, one block at a time; returns the message.
pub(super) fn read_messages(text: &str) -> Value {
    let mut message = Value::Null;
    let (mut open, mut json, mut stopped) = (None, String::new(), false);
    for event in events(text) {
        assert!(!stopped, "{event} after the end");
        let count = message["content"].as_array().map_or(0, Vec::len);
        match event["type"].as_str().expect("a type") {
            "message_start" => {
                assert!(message.is_null());
                message = event["message"].clone();
            }
            "content_block_start" => {
                assert_eq!((open, &event["index"]), (None, &count.into()), "one block at a time, counted");
                open = Some(count);
                json.clear();
                message["content"].as_array_mut().expect("content").push(event["content_block"].clone());
            }
            "content_block_delta" => {
                let at = open.expect("a block");
                assert_eq!(event["index"], at);
                let (block, delta) = (&mut message["content"][at], &event["delta"]);
                match delta["type"].as_str().expect("a type") {
                    "text_delta" => append(&mut block["text"], &delta["text"]),
                    "thinking_delta" => append(&mut block["thinking"], &delta["thinking"]),
                    "signature_delta" => block["signature"] = delta["signature"].clone(),
                    "input_json_delta" => json.push_str(delta["partial_json"].as_str().expect("text")),
                    other => panic!("{other}"),
                }
            }
            "content_block_stop" => {
                let at = open.take().expect("a block");
                if !json.trim().is_empty() {
                    let input = serde_json::from_str(&json).unwrap_or_else(|_| json.clone().into());
                    message["content"][at]["input"] = input;
                }
            }
            "message_delta" => {
                assert_eq!(open, None);
                for name in ["stop_reason", "stop_sequence"] {
                    message[name] = event["delta"][name].clone();
                }
                message["usage"] = event["usage"].clone();
            }
            "message_stop" | "error" => stopped = true,
            other => panic!("{other}"),
        }
    }
    assert!(stopped, "a stream says that it is over");
    message
}

fn logprobs(part: &mut Value) -> Option<&mut Vec<Value>> {
    part.get_mut("logprobs")?.as_array_mut()
}

fn append(text: &mut Value, more: &Value) {
    assert_ne!(more, "", "no empty deltas");
    *text = format!("{}{}", text.as_str().expect("text"), more.as_str().expect("text")).into();
}

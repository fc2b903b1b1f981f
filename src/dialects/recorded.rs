//! Recordings of a real vLLM: its chat answers translated have the events and members of its own Responses and Messages.

use std::collections::BTreeSet;

use serde_json::Value;

use super::testing::{events, read_messages, read_responses, run, translator};
use super::{ClientApi, Translator};

macro_rules! recording {
    ($name:literal) => {
        body(include_str!(concat!("../../tests/vectors/vllm/", $name, ".http")))
    };
}

/// The body of a recorded reply.
fn body(recording: &str) -> &str {
    let (_, body) = recording.split_once("### RESPONSE BODY").expect("a body");
    let (_, body) = body.split_once('\n').expect("a line");
    body.split_once("\n\n### CAPTURE").map_or(body, |(body, _)| body)
}

fn whole(api: ClientApi, body: &str) -> Value {
    let answer = translator(api).answer(body.trim().as_bytes()).expect("an answer");
    serde_json::from_slice(&answer).expect("JSON")
}

fn streamed(translator: Translator, body: &str) -> String {
    run(translator, body.as_bytes().chunks(7))
}

/// Paths of the members of `value`, without the elements' numbers.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = format!("{path}.{name}");
                found.insert(path.clone());
                paths(value, &path, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| paths(value, path, found)),
        _ => {}
    }
}

/// Members of `theirs` that `ours` lacks.
fn lacking(theirs: &Value, ours: &Value) -> Vec<String> {
    let (mut all, mut own) = (BTreeSet::new(), BTreeSet::new());
    paths(theirs, "", &mut all);
    paths(ours, "", &mut own);
    // vLLM's own, in no reference of either API.
    let private = [
        "phase",
        "presence_penalty",
        "frequency_penalty",
        "kv_transfer_params",
        "ec_transfer_params",
        "input_messages",
        "output_messages",
        "tool_output_tokens",
        "input_tokens_per_turn",
        "cached_tokens_per_turn",
        "output_tokens_per_turn",
        "tool_output_tokens_per_turn",
    ];
    let told = |path: &String| !private.iter().any(|name| path.ends_with(&format!(".{name}")));
    all.difference(&own).filter(|path| told(path)).cloned().collect()
}

/// Types of the events, a run of deltas counted as one.
fn kinds(events: &[Value]) -> Vec<String> {
    let mut kinds: Vec<String> =
        events.iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect();
    kinds.dedup();
    kinds
}

#[test]
fn every_recorded_answer_is_translated() {
    for (text, reasoning, said, status) in [
        (recording!("chat_plain"), false, true, None),
        (recording!("chat_stop"), false, true, Some("stop_sequence")),
        (recording!("chat_logprobs"), false, true, Some("max_tokens")),
        (recording!("chat_reasoning_parser"), true, false, Some("max_tokens")),
        (recording!("chat_tools_forced"), false, false, Some("tool_use")),
    ] {
        let chat: Value = serde_json::from_str(text.trim()).expect("JSON");
        let choice = &chat["choices"][0];
        let response = whole(ClientApi::Responses, text);
        let message = whole(ClientApi::Messages, text);
        let find = |kind: &str| response["output"].as_array().expect("output").iter().find(|item| item["type"] == kind);
        let block =
            |kind: &str| message["content"].as_array().expect("content").iter().find(|item| item["type"] == kind);
        if reasoning {
            assert_eq!(find("reasoning").expect("thoughts")["content"][0]["text"], choice["message"]["reasoning"]);
            assert_eq!(block("thinking").expect("thoughts")["thinking"], choice["message"]["reasoning"]);
        }
        if said {
            assert_eq!(find("message").expect("text")["content"][0]["text"], choice["message"]["content"]);
            assert_eq!(block("text").expect("text")["text"], choice["message"]["content"]);
        }
        if let Some(status) = status {
            assert_eq!(message["stop_reason"], status);
        }
        assert_eq!(response["usage"]["input_tokens"], chat["usage"]["prompt_tokens"]);
        assert_eq!(response["usage"]["output_tokens"], chat["usage"]["completion_tokens"]);
        assert_eq!(response["created_at"], chat["created"]);
    }
}

#[test]
fn every_recorded_stream_is_translated() {
    for text in [
        recording!("chat_stream_usage"),
        recording!("chat_stream_no_usage"),
        recording!("chat_stream_continuous_usage"),
        recording!("chat_reasoning_parser_stream"),
        recording!("chat_logprobs_stream"),
        recording!("chat_return_token_ids_stream"),
        recording!("chat_stream_n2"),
    ] {
        let last = read_responses(&streamed(translator(ClientApi::Responses), text));
        assert_ne!(last["status"], "failed");
        let message = read_messages(&streamed(translator(ClientApi::Messages), text));
        assert!(message["stop_reason"].is_string());
        let told = |part: &Value| part["text"].as_str().or(part["thinking"].as_str()).unwrap_or_default().to_owned();
        let responses: String =
            last["output"].as_array().expect("output").iter().map(|item| told(&item["content"][0])).collect();
        let messages: String = message["content"].as_array().expect("content").iter().map(told).collect();
        assert!(!responses.is_empty());
        assert_eq!(responses, messages);
    }
}

#[test]
fn the_events_have_all_members_of_vllms_own() {
    let ours = events(&streamed(translator(ClientApi::Responses), recording!("chat_stream_usage")));
    let theirs = events(recording!("responses_stream").trim());
    let (mut own, all) = (kinds(&ours), kinds(&theirs));
    // vLLM says "completed" of an answer that was cut, too.
    if let Some(last) = own.last_mut().filter(|last| *last == "response.incomplete") {
        *last = "response.completed".to_owned();
    }
    assert_eq!(own, all);
    for event in &theirs {
        let kind = event["type"].as_str().expect("a type").replace("completed", "");
        let mine = ours.iter().find(|own| {
            own["type"].as_str().is_some_and(|own| own.replace("incomplete", "").replace("completed", "") == kind)
        });
        let lacks = lacking(event, mine.expect("the same event"));
        // Details are there where an answer is incomplete.
        assert!(lacks.iter().all(|path| path.ends_with("incomplete_details.reason")), "{kind}: {lacks:?}");
    }

    let ours = events(&streamed(translator(ClientApi::Messages), recording!("chat_stream_usage")));
    let theirs = events(recording!("messages_anthropic_stream").trim());
    assert_eq!(kinds(&ours), kinds(&theirs));
    for event in &theirs {
        let mine = ours.iter().find(|own| own["type"] == event["type"]).expect("the same event");
        assert_eq!(lacking(event, mine), Vec::<String>::new(), "{event}");
    }
}

#[test]
fn the_answers_have_all_members_of_vllms_own() {
    for (api, theirs) in
        [(ClientApi::Responses, recording!("responses")), (ClientApi::Messages, recording!("messages_anthropic"))]
    {
        let theirs: Value = serde_json::from_str(theirs.trim()).expect("JSON");
        let lacks = lacking(&theirs, &whole(api, recording!("chat_logprobs")));
        assert!(lacks.is_empty(), "{lacks:?}");
    }
}

#[test]
fn recorded_errors_keep_their_words() {
    for text in [recording!("err_context_length"), recording!("err_max_tokens_zero"), recording!("apikey_wrong")] {
        let theirs: Value = serde_json::from_str(text.trim()).expect("JSON");
        let words = theirs["error"]["message"].as_str().or(theirs["error"].as_str()).expect("words");
        for api in [ClientApi::Responses, ClientApi::Messages] {
            let error: Value =
                serde_json::from_slice(&translator(api).error(400, text.trim().as_bytes())).expect("JSON");
            assert_eq!(error["error"]["message"], words);
        }
    }
}

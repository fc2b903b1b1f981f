//! Properties of both translations, whatever the engine sends and however it is split.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::{Made, events, plain, read_messages, read_responses, run, stream, translator, whole, wild};
use super::{ClientApi, to_chat};
use crate::config::LateSystem;
use crate::openai::{ApiError, Code};

const BOTH: [ClientApi; 2] = [ClientApi::Responses, ClientApi::Messages];

fn read(api: ClientApi, text: &str) -> Value {
    match api {
        ClientApi::Responses => read_responses(text),
        ClientApi::Messages => read_messages(text),
    }
}

fn finishes() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["stop", "length", "tool_calls", "content_filter"])
}

/// `bytes` cut at `cuts`.
fn split<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// Some JSON, made of the words of both APIs.
fn some_json() -> impl Strategy<Value = Value> {
    const WORDS: &str = "type role content text message user assistant system input messages tools function name call_id \
        arguments function_call function_call_output output reasoning summary tool_choice allowed_tools mode \
        auto input_text input_image image_url url tool_use tool_result tool_use_id id source base64 data \
        media_type thinking format json_schema schema stream include any tool choices delta tool_calls index \
        usage finish_reason stop reasoning_content refusal logprobs error code";
    let words: Vec<&str> = WORDS.split(' ').collect();
    let word = prop::sample::select(words.clone());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.prop_map(Value::from),
        Just(Value::from("")),
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        let member = (prop::sample::select(words.clone()).prop_map(str::to_owned), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            prop::collection::vec(member, 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(
        made in wild(), finish in finishes(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let text = stream(&made, finish);
        for api in BOTH {
            let translator = translator(api);
            let whole = run(translator.clone(), [text.as_bytes()]);
            prop_assert_eq!(&run(translator.clone(), split(text.as_bytes(), &cuts)), &whole);
            prop_assert_eq!(&run(translator, text.as_bytes().chunks(1)), &whole);
        }
    }

    #[test]
    fn deltas_add_up_to_the_end(made in wild(), finish in finishes()) {
        let text = stream(&made, finish);
        for api in BOTH {
            let last = read(api, &run(translator(api), [text.as_bytes()]));
            prop_assert_ne!(&last["status"], "failed");
        }
    }

    #[test]
    fn a_stream_ends_as_the_json_answer(made in plain(), finish in finishes()) {
        for api in BOTH {
            let mut translator = translator(api);
            let streamed = read(api, &run(translator.clone(), [stream(&made, finish).as_bytes()]));
            let answer = translator.answer(whole(&made, finish).as_bytes()).expect("an answer");
            let mut answer: Value = serde_json::from_slice(&answer).expect("JSON");
            prop_assert_eq!(&streamed, &answer);
            prop_assert_eq!(answer["model"].take(), json!("m"));
        }
    }

    #[test]
    fn a_stream_that_breaks_anywhere_ends_with_one_error(
        made in wild(), cut in any::<prop::sample::Index>(),
    ) {
        let text = stream(&made, "stop");
        let text = &text[..cut.index(text.len() - "[DONE]\n\ndata: {}".len())];
        let text = text.rsplit_once("\"finish_reason\":\"stop\"").map_or(text, |(before, _)| before);
        for api in BOTH {
            let told = events(&run(translator(api), [text.as_bytes()]));
            let last = told.last().expect("an event");
            let ends = |event: &&Value| event["type"] == "error" || event["type"] == "response.failed";
            prop_assert!(ends(&last));
            prop_assert_eq!(told.iter().filter(ends).count(), 1);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        before in prop::collection::vec(any::<u8>(), 0..64), event in some_json(),
        after in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        for api in BOTH {
            let mut one = translator(api);
            let _ = one.answer(&before);
            let _ = one.error(500, &before);
            let _ = translator(api).answer(event.to_string().as_bytes());
            let _ = one.error(400, event.to_string().as_bytes());
            let text = [b"data: ", &before[..], b"\n\n"].concat();
            let event = format!("data: {event}\n\n");
            run(translator(api), [&text[..], event.as_bytes(), &after[..]]);
            run(translator(api), [event.as_bytes(), event.as_bytes(), b"data: [DONE]\n\n"]);
            let _ = to_chat(api, &before, LateSystem::default());
        }
    }

    #[test]
    fn chunks_of_any_shape_never_panic(deltas in prop::collection::vec(some_json(), 0..6)) {
        for api in BOTH {
            let mut text = String::new();
            for delta in &deltas {
                let chunk = json!({ "choices": [{ "index": 0, "delta": delta, "logprobs": delta }], "usage": delta });
                text += &format!("data: {chunk}\n\n");
            }
            text += "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
            read(api, &run(translator(api), [text.as_bytes()]));
            for delta in &deltas {
                let body = json!({ "choices": [{ "message": delta, "logprobs": delta }], "usage": delta });
                let _ = translator(api).answer(body.to_string().as_bytes());
            }
        }
    }

    #[test]
    fn any_request_is_translated_or_refused_with_400(mut body in some_json(), list in some_json()) {
        if let Value::Object(members) = &mut body {
            for name in ["input", "messages"] {
                members.insert(name.to_owned(), json!([list, list]));
            }
        }
        for api in BOTH {
            match to_chat(api, body.to_string().as_bytes(), LateSystem::default()) {
                Ok((chat, _)) => {
                    let chat: Value = serde_json::from_slice(&chat).expect("JSON");
                    prop_assert!(chat["messages"].is_array());
                }
                Err(error) => prop_assert_eq!(error.status, 400, "{:?}", error),
            }
        }
    }
}

#[test]
fn an_event_is_written_as_soon_as_its_delta_is_there() {
    let made = [
        Made::Reasoning("hm".into()),
        Made::Text("a".into()),
        Made::Begin(0),
        Made::Arguments(0, "{\"x\":".into()),
        Made::Arguments(0, "1}".into()),
        Made::Begin(1),
        Made::Arguments(1, "{".into()),
    ];
    for api in BOTH {
        let mut translator = translator(api);
        let text = stream(&made, "tool_calls");
        // Without the last three events and the closing one, every event of the engine leads to one.
        let chunks: Vec<&str> = text.split_inclusive("\n\n").collect();
        for chunk in &chunks[..chunks.len() - 3] {
            let mut out = Vec::new();
            translator.feed(chunk.as_bytes(), &mut out);
            assert!(!out.is_empty(), "{api:?} {chunk}");
            assert!(out.ends_with(b"\n\n"));
        }
    }
}

#[test]
fn an_engines_error_in_a_stream_takes_the_clients_shape() {
    let error = r#"{"error":{"message":"boom","type":"InternalServerError","param":null,"code":500}}"#;
    let text = stream(&[Made::Text("a".into())], "stop");
    let torn: String = text.split_inclusive("\n\n").take(2).collect();
    let text = format!("{torn}data: {error}\n\ndata: [DONE]\n\n");
    let last = read_responses(&run(translator(ClientApi::Responses), [text.as_bytes()]));
    assert_eq!((&last["status"], &last["error"]["code"]), (&json!("failed"), &json!("server_error")));
    assert!(last["error"]["message"].as_str().expect("text").starts_with("boom"));
    assert_eq!(last["output"][0]["content"][0]["text"], "a", "what was said stays");
    let told = events(&run(translator(ClientApi::Messages), [text.as_bytes()]));
    let last = told.last().expect("an event");
    assert_eq!((&last["error"]["type"], &last["error"]["message"]), (&json!("api_error"), &json!("boom")));
}

#[test]
fn a_stream_fails_once_and_writes_nothing_after() {
    let error = ApiError::new(Code::ShuttingDown, "The gateway stops.");
    for api in BOTH {
        let mut translator = translator(api);
        let mut out = Vec::new();
        translator.fail(&error, &mut out);
        let told = out.len();
        assert!(told > 0 && translator.done());
        translator.fail(&error, &mut out);
        translator.feed(stream(&[], "stop").as_bytes(), &mut out);
        translator.end(&mut out);
        assert_eq!(out.len(), told);
        events(&String::from_utf8(out).expect("UTF-8"));
    }
}

#[test]
fn an_endless_event_fails_the_stream() {
    for api in BOTH {
        let mut translator = translator(api);
        let (mut out, piece) = (Vec::new(), vec![b'x'; 1 << 20]);
        translator.feed(b"data: \"", &mut out);
        for _ in 0..17 {
            translator.feed(&piece, &mut out);
        }
        assert!(translator.done());
        assert!(String::from_utf8(out).expect("UTF-8").contains("16 MiB"));
    }
}

#[test]
fn an_engine_that_gave_up_is_an_error() {
    for api in BOTH {
        let text = whole(&[Made::Text("a".into())], "abort");
        let error = translator(api).answer(text.as_bytes()).expect_err("given up");
        assert_eq!((error.status, error.code), (502, "engine_gave_up"));
        let told = events(&run(translator(api), [stream(&[Made::Text("a".into())], "abort").as_bytes()]));
        let kind = &told.last().expect("an event")["type"];
        assert!(kind == "error" || kind == "response.failed");
    }
}

#[test]
fn what_is_no_answer_is_the_engines_fault() {
    for api in BOTH {
        for text in ["", "[]", "{}", "{\"choices\":[]}", "<html>"] {
            assert_eq!(translator(api).answer(text.as_bytes()).expect_err(text).status, 502);
        }
        let text = r#"{"error":{"message":"no","code":400}}"#;
        assert_eq!(translator(api).answer(text.as_bytes()).expect_err(text).status, 400);
    }
}

//! Whole answers, errors among them.

use serde_json::{Value, json};

use crate::fixture::{Fixture, chat};
use crate::support::http;

/// The list and each card: ours merged with what vLLM says.
pub async fn models(fixture: &Fixture) -> String {
    let list = fixture.get("/v1/models").await;
    assert_eq!(list.status, 200);
    let cards = list.body["data"].as_array().expect("a list");
    let ids: Vec<&str> = cards.iter().filter_map(|card| card["id"].as_str()).collect();
    for id in ["tiny", "tiny-think", "tiny-instant", "tiny-short"] {
        let card = cards.iter().find(|card| card["id"] == id).unwrap_or_else(|| panic!("no {id} in {ids:?}"));
        assert_eq!((&card["object"], &card["max_model_len"]), (&json!("model"), &json!(512)), "{card}");
        assert!(card["root"].as_str().is_some_and(|root| root.starts_with('/')), "the path that was loaded: {card}");
        let one = fixture.get(&format!("/v1/models/{id}")).await;
        assert_eq!((one.status, &one.body), (200, card));
    }
    ids.join(", ")
}

/// Prompt tokens, completion tokens and requests of chats, as our metrics have them.
async fn counted(fixture: &Fixture) -> [f64; 3] {
    let labels = [("model", "tiny"), ("alias", "")];
    let requests = [("model", "tiny"), ("endpoint", "/v1/chat/completions"), ("status", "200")];
    [
        fixture.metric("enginehouse_prompt_tokens_total", &labels).await,
        fixture.metric("enginehouse_completion_tokens_total", &labels).await,
        fixture.metric("enginehouse_requests_total", &requests).await,
    ]
}

/// A chat answer; its tokens are counted as the engine counted them.
pub async fn plain(fixture: &Fixture) -> String {
    let before = counted(fixture).await;
    let answer = fixture.ok("/v1/chat/completions", &chat("tiny", 12)).await;
    let prompt = fixture.prompt_tokens(true).await;
    assert_eq!(answer["usage"]["prompt_tokens"], prompt, "{answer}");
    assert_eq!(answer["usage"]["completion_tokens"], 12, "{answer}");
    assert_eq!(answer["choices"][0]["finish_reason"], "length", "{answer}");
    let after = counted(fixture).await;
    let added: Vec<f64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(added, [f64::from(prompt), 12.0, 1.0], "prompt tokens, completion tokens, requests");
    format!("{prompt} + 12 tokens, {}", answer["choices"][0]["message"]["content"])
}

/// The older API.
pub async fn completions(fixture: &Fixture) {
    let body = json!({ "model": "tiny", "prompt": "One two three", "max_tokens": 6, "ignore_eos": true });
    let answer = fixture.ok("/v1/completions", &body).await;
    assert_eq!((&answer["object"], &answer["usage"]["completion_tokens"]), (&json!("text_completion"), &json!(6)));
}

/// The Responses API.
pub async fn responses(fixture: &Fixture) -> String {
    let body = json!({ "model": "tiny", "input": "How are you?", "max_output_tokens": 9 });
    let answer = fixture.ok("/v1/responses", &body).await;
    assert_eq!(answer["object"], "response", "{answer}");
    assert!(answer["usage"]["output_tokens"].as_u64().is_some_and(|tokens| (1..=9).contains(&tokens)), "{answer}");
    format!("{}, {} tokens", answer["status"], answer["usage"]["output_tokens"])
}

/// Anthropic's API.
pub async fn messages(fixture: &Fixture) -> String {
    let messages = json!([{ "role": "user", "content": "Hello, what is the capital of France?" }]);
    let body = json!({ "model": "tiny", "messages": messages, "max_tokens": 9 });
    let answer = fixture.ok("/v1/messages", &body).await;
    assert_eq!((&answer["type"], &answer["role"]), (&json!("message"), &json!("assistant")), "{answer}");
    let count = fixture.ok("/v1/messages/count_tokens", &json!({ "model": "tiny", "messages": messages })).await;
    assert_eq!(count["input_tokens"], answer["usage"]["input_tokens"], "{count} {answer}");
    format!("{} tokens", count["input_tokens"])
}

/// `/tokenize` and back.
pub async fn tokens(fixture: &Fixture) -> String {
    let text = "The quick brown fox";
    let answer = fixture.ok("/tokenize", &json!({ "model": "tiny-think", "prompt": text })).await;
    assert_eq!(answer["max_model_len"], 512, "{answer}");
    let back = fixture.ok("/detokenize", &json!({ "model": "tiny", "tokens": answer["tokens"] })).await;
    assert_eq!(back["prompt"], text, "{back}");
    answer["tokens"].to_string()
}

/// `chat_template_kwargs` of an alias change the prompt, whatever the caller says.
pub async fn thinking(fixture: &Fixture) -> String {
    let (on, off) = (fixture.prompt_tokens(true).await, fixture.prompt_tokens(false).await);
    assert!(off > on, "the model's template does not know `enable_thinking`: {off} tokens without, {on} with");
    for (model, said, expected) in [
        ("tiny-think", None, on),
        ("tiny-instant", None, off),
        ("tiny-think", Some(false), on),
        ("tiny-instant", Some(true), off),
        ("tiny", Some(false), off),
    ] {
        let mut body = chat(model, 3);
        if let Some(on) = said {
            body["chat_template_kwargs"] = json!({ "enable_thinking": on, "unused": [1, 2] });
        }
        let answer = fixture.ok("/v1/chat/completions", &body).await;
        assert_eq!(answer["usage"]["prompt_tokens"], expected, "{model}, caller says {said:?}");
    }
    let alias = fixture.metric("enginehouse_prompt_tokens_total", &[("alias", "tiny-instant")]).await;
    assert!((alias - f64::from(2 * off)).abs() < 0.5, "{alias} prompt tokens of two requests counted for the alias");
    format!("{on} prompt tokens with thinking, {off} without")
}

/// An alias caps `max_tokens`.
pub async fn limits(fixture: &Fixture) {
    for (asked, expected) in [(64, 8), (8, 8), (5, 5)] {
        let answer = fixture.ok("/v1/chat/completions", &chat("tiny-short", asked)).await;
        assert_eq!(answer["usage"]["completion_tokens"], expected, "{asked} asked for: {answer}");
    }
}

/// Fields of vLLM's own, and ones that nobody knows.
pub async fn unknown_fields(fixture: &Fixture) {
    let prompt = fixture.prompt_tokens(false).await;
    let mut body = chat("tiny-instant", 4);
    body["return_token_ids"] = true.into();
    body["min_tokens"] = 4.into();
    body["nobody_knows_this"] = json!({ "a": [1, 2.50, null], "model": "no-model" });
    let answer = fixture.ok("/v1/chat/completions", &body).await;
    assert_eq!(answer["choices"][0]["token_ids"].as_array().map(Vec::len), Some(4), "{answer}");
    assert_eq!(answer["prompt_token_ids"].as_array().map(Vec::len), Some(prompt as usize), "{answer}");
}

/// A refusal of vLLM arrives as it gave it: status, type and bytes; also for a stream.
pub async fn engines_errors(fixture: &Fixture) -> String {
    let mut said = Value::Null;
    let long = json!([{ "role": "user", "content": "word ".repeat(1000) }]);
    for (field, value) in [("messages", long), ("temperature", json!(-1)), ("max_tokens", json!(100_000))] {
        for stream in [false, true] {
            let mut body = chat("tiny", 5);
            body["stream"] = stream.into();
            body[field] = value.clone();
            let mut answers = Vec::new();
            for base in [fixture.gateway.url(""), fixture.engine.clone()] {
                let url = format!("{base}/v1/chat/completions");
                let reply = http().post(url).json(&body).send().await.expect("answered");
                let kind = reply.headers()["content-type"].clone();
                answers.push((reply.status().as_u16(), kind, reply.text().await.expect("text")));
            }
            assert_eq!(answers[0], answers[1], "through the gateway and directly");
            assert_eq!(answers[0].0, 400);
            said = serde_json::from_str(&answers[0].2).expect("JSON");
            assert!(said["error"]["message"].is_string(), "{said}");
        }
    }
    said["error"]["message"].to_string()
}

/// 404 with near names: ours, as its code is a word; vLLM never saw the request.
pub async fn unknown_model(fixture: &Fixture) -> String {
    let answer = fixture.post("/v1/chat/completions", &chat("tiny-instan", 5)).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (404, &json!("model_not_found")), "{}", answer.body);
    let message = answer.body["error"]["message"].as_str().expect("text").to_owned();
    assert!(message.contains("`tiny-instant`"), "{message}");
    message
}

/// What steers an engine is not offered.
pub async fn control_routes(fixture: &Fixture) {
    for path in ["/metrics", "/load", "/openapi.json", "/docs"] {
        assert_eq!(fixture.get(path).await.status, 404, "{path}");
    }
    for path in ["/sleep", "/wake_up", "/v1/load_lora_adapter", "/collective_rpc"] {
        assert_eq!(fixture.post(path, &chat("tiny", 5)).await.status, 404, "{path}");
    }
}

/// The adapter of `lora:` is a name of its own, with its own answers.
pub async fn adapter(fixture: &Fixture) -> String {
    if fixture.lora.is_none() {
        return "skipped: ENGINEHOUSE_VLLM_LORA is not set".into();
    }
    let card = fixture.get("/v1/models/poet").await;
    assert_eq!((card.status, &card.body["parent"]), (200, &json!("tiny")), "{}", card.body);
    let text = [fixture.words("tiny").await, fixture.words("poet").await];
    assert_ne!(text[0], text[1], "the adapter changes nothing");
    format!("{text:?}")
}

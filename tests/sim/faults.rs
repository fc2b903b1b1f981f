//! The simulated engine misbehaves exactly as it is told to, and sees clients go.

use std::time::Duration;

use enginehouse::sim::{Args, Running, Stats, fnv1a64, start};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

/// A hang is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

async fn engine(flags: &[&str]) -> Running {
    let common = ["tiny", "--port", "0", "--ttft", "0", "--gap", "0"];
    start(Args::parse(common.iter().chain(flags)).unwrap()).await.unwrap()
}

fn chat(engine: &Running, body: &Value) -> RequestBuilder {
    Client::new().post(engine.url() + "/v1/chat/completions").json(body)
}

fn question(more: &Value) -> Value {
    let mut body = json!({ "model": "tiny", "messages": [{ "role": "user", "content": "How are you?" }] });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn until(stats: &Stats, what: impl Fn(&Stats) -> bool) {
    crate::until("it to be counted", async || what(stats)).await;
}

/// What comes before the stream ends or breaks, and whether it broke.
async fn drain(mut response: Response) -> (String, bool) {
    let mut text = String::new();
    loop {
        match tokio::time::timeout(PATIENCE, response.chunk()).await.unwrap() {
            Ok(Some(chunk)) => text += std::str::from_utf8(&chunk).unwrap(),
            Ok(None) => return (text, false),
            Err(_) => return (text, true),
        }
    }
}

#[tokio::test]
async fn settings_that_arrived_are_in_the_answer() {
    let engine = engine(&["--reasoning-parser", "qwen3"]).await;
    let asked = json!({ "temperature": 0.6, "max_tokens": 99, "chat_template_kwargs": { "enable_thinking": false } });
    let answer: Value = chat(&engine, &question(&asked)).send().await.unwrap().json().await.unwrap();
    let said = answer["choices"][0]["message"]["content"].as_str().unwrap();
    for part in
        ["How are you?", "temperature=0.6", "max_tokens=99", r#"chat_template_kwargs={"enable_thinking":false}"#]
    {
        assert!(said.contains(part), "{part} is missing from {said}");
    }
    assert!(answer["choices"][0]["message"]["reasoning"].is_null());
    assert_eq!(answer["usage"]["completion_tokens"], 32);
    let thinking: Value = chat(&engine, &question(&json!({}))).send().await.unwrap().json().await.unwrap();
    assert!(thinking["choices"][0]["message"]["reasoning"].is_string());
}

#[tokio::test]
async fn what_arrived_can_be_read_back_byte_for_byte() {
    let engine = engine(&["--max-model-len", "100000000"]).await;
    let body = format!(r#"{{"messages" :[ {{"role":"user","content":"{}"}} ], "x":1e2}}"#, "ä ".repeat(2_000_000));
    let sent = Client::new()
        .post(engine.url() + "/v1/chat/completions?a=b")
        .header("content-type", "application/json")
        .header("x-mine", "1")
        .body(body.clone());
    assert_eq!(sent.send().await.unwrap().status(), StatusCode::OK);
    let seen: Value = reqwest::get(engine.url() + "/sim/last_request").await.unwrap().json().await.unwrap();
    assert_eq!(seen["target"], "/v1/chat/completions?a=b");
    assert_eq!(seen["body_length"], body.len());
    assert_eq!(seen["body_fnv1a64"], format!("{:016x}", fnv1a64(body.as_bytes())));
    assert!(seen["headers"].as_array().unwrap().contains(&json!(["x-mine", "1"])));
}

#[tokio::test]
async fn a_client_that_leaves_is_seen_at_once() {
    let engine = engine(&["--gap", "10s"]).await;
    let stats = engine.stats();
    let mut stream = chat(&engine, &question(&json!({ "stream": true }))).send().await.unwrap();
    stream.chunk().await.unwrap();
    assert_eq!(stats.counts().in_flight(), 1);
    let left = std::time::Instant::now();
    drop(stream);
    until(&stats, |stats| stats.counts().aborted == 1).await;
    assert!(left.elapsed() < Duration::from_millis(100), "a stream: {:?}", left.elapsed());

    let plain = tokio::spawn(chat(&engine, &question(&json!({}))).send());
    until(&stats, |stats| stats.counts().started == 2).await;
    let left = std::time::Instant::now();
    plain.abort();
    until(&stats, |stats| stats.counts().aborted == 2).await;
    assert!(left.elapsed() < Duration::from_millis(100), "a plain request: {:?}", left.elapsed());
    assert_eq!(stats.counts().completed, 0);
}

#[tokio::test]
async fn streams_break_after_so_many_events() {
    let engine = engine(&[]).await;
    let ask = |fault: &str| chat(&engine, &question(&json!({ "stream": true }))).header("x-sim-fault", fault).send();
    let (text, broke) = drain(ask("die-after:3").await.unwrap()).await;
    assert!(broke && text.matches("data: ").count() == 3 && !text.contains("[DONE]"), "{text}");
    let (text, broke) = drain(ask("malformed").await.unwrap()).await;
    assert!(!broke && text.contains("no JSON at all"));
    let mut hanging = ask("hang-after:2").await.unwrap();
    let mut text = String::new();
    while text.matches("\n\n").count() < 2 {
        text += std::str::from_utf8(&hanging.chunk().await.unwrap().unwrap()).unwrap();
    }
    assert_eq!(engine.stats().counts().in_flight(), 1);
    drop(hanging);
    until(&engine.stats(), |stats| stats.counts().aborted == 2).await;
}

#[tokio::test]
async fn plain_answers_break_in_the_middle() {
    let engine = engine(&[]).await;
    let ask = |fault: &str| chat(&engine, &question(&json!({}))).header("x-sim-fault", fault).send();
    let half = ask("die-after:1").await.unwrap();
    let announced = half.content_length().unwrap() as usize;
    let (text, broke) = drain(half).await;
    assert!(broke && text.len() == announced / 2, "{} of {announced}", text.len());
    assert!(ask("reset").await.is_err());
    assert!(ask("malformed").await.unwrap().json::<Value>().await.is_err());
    let slow = std::time::Instant::now();
    assert_eq!(ask("slow-header:50ms").await.unwrap().status(), StatusCode::OK);
    assert!(slow.elapsed() >= Duration::from_millis(50));
    assert_eq!(ask("nonsense").await.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn planned_faults_strike_the_next_requests() {
    let engine = engine(&[]).await;
    let client = Client::new();
    let plan = |order: Value| client.post(engine.url() + "/sim/fault").json(&order).send();
    let planned: Value =
        plan(json!({ "kind": "status:503;retry-after:2", "times": 2 })).await.unwrap().json().await.unwrap();
    assert_eq!(planned["waiting"], 2);
    plan(json!({ "kind": "status:500", "path": "/health" })).await.unwrap();
    let health = || client.get(engine.url() + "/health").send();
    assert_eq!(health().await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(health().await.unwrap().status(), StatusCode::OK);
    for _ in 0..2 {
        let refused = chat(&engine, &question(&json!({}))).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()["retry-after"], "2");
    }
    assert_eq!(chat(&engine, &question(&json!({}))).send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn idle_connections_close_and_a_dropped_engine_refuses() {
    let engine = engine(&["--keep-alive", "30ms"]).await;
    let (stats, health) = (engine.stats(), engine.url() + "/health");
    let client = Client::new();
    client.get(&health).send().await.unwrap();
    until(&stats, |stats| stats.counts().connections == 1 && stats.counts().open_connections == 0).await;
    client.get(&health).send().await.unwrap();
    assert_eq!(stats.counts().connections, 2);
    let addr = engine.addr();
    drop(engine);
    until(&stats, |stats| stats.counts().open_connections == 0).await;
    until(&stats, |_| std::net::TcpStream::connect(addr).is_err()).await;
}

#[tokio::test]
async fn every_other_endpoint_answers() {
    let engine = engine(&[]).await;
    let client = Client::new();
    for (path, body) in [
        ("/v1/completions", json!({ "prompt": "x" })),
        ("/v1/embeddings", json!({ "input": ["a", "b"] })),
        ("/classify", json!({ "input": "a" })),
        ("/v2/rerank", json!({ "query": "a", "documents": ["b", "a"], "top_n": 1 })),
        ("/score", json!({ "text_1": "a", "text_2": ["b", "c"] })),
        ("/v1/messages/count_tokens", json!({ "model": "tiny", "messages": [{ "role": "user", "content": "x" }] })),
    ] {
        let reply = client.post(engine.url() + path).json(&body).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK, "{path}: {}", reply.text().await.unwrap());
    }
    let form = reqwest::multipart::Form::new()
        .text("model", "tiny")
        .part("file", reqwest::multipart::Part::bytes(vec![7; 12_345]).file_name("a.wav"));
    let heard = client.post(engine.url() + "/v1/audio/transcriptions").multipart(form).send().await.unwrap();
    let heard: Value = heard.json().await.unwrap();
    assert!(heard["text"].as_str().unwrap().starts_with("I heard 12345 bytes of a.wav (model=tiny"), "{heard}");
}

#[tokio::test]
async fn a_stop_without_patience_aborts_streams_properly() {
    let engine = engine(&["--gap", "60s"]).await;
    let mut stream = chat(&engine, &question(&json!({ "stream": true }))).send().await.unwrap();
    stream.chunk().await.unwrap();
    let began = std::time::Instant::now();
    let (_, (text, broke)) = tokio::join!(engine.stop(Duration::ZERO), drain(stream));
    assert!(!broke && text.contains(r#""finish_reason":"abort""#) && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// As a process that ended: other requests die with it, and its port refuses.
#[tokio::test]
async fn a_deadly_prompt_cuts_every_connection() {
    let engine = engine(&["--die-on", "poison", "--gap", "1h"]).await;
    let streaming = chat(&engine, &question(&json!({ "stream": true }))).send().await.unwrap();
    let poison = json!({ "messages": [{ "role": "user", "content": "poison" }] });
    assert!(chat(&engine, &poison).send().await.is_err());
    assert!(drain(streaming).await.1, "the stream broke");
    assert!(chat(&engine, &question(&json!({}))).send().await.unwrap_err().is_connect());
    assert_eq!((engine.stats().counts().started, engine.stats().counts().completed), (2, 0));
}

/// For clients that read slowly: an answer that no socket buffer holds.
#[tokio::test]
async fn embeddings_can_be_as_large_as_one_likes() {
    let engine = engine(&["--dimensions", "65536"]).await;
    let body = json!({ "input": vec!["text"; 16] });
    let mut answer = Client::new().post(engine.url() + "/v1/embeddings").json(&body).send().await.unwrap();
    let length = answer.content_length().unwrap();
    assert!(length > 8 << 20, "{length}");
    // It waits for a reader, who may take his time.
    let first = answer.chunk().await.unwrap().unwrap();
    until(&engine.stats(), |stats| stats.counts().open_connections == 1).await;
    let mut read = first.len() as u64;
    while let Some(chunk) = answer.chunk().await.unwrap() {
        read += chunk.len() as u64;
    }
    assert_eq!(read, length);
}

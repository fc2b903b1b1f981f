//! Streams that do not come to their end: what was sent before, and how it ends, is vLLM's way.

use std::time::Duration;

use enginehouse::sim::{Args, Running, start};
use reqwest::{Client, Response};
use serde_json::{Value, json};

/// A hang is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

async fn engine(flags: &[&str]) -> Running {
    let common = ["tiny", "--port", "0", "--gap", "0", "--dev-mode"];
    start(Args::parse(common.iter().chain(flags)).unwrap()).await.unwrap()
}

async fn streamed(engine: &Running, path: &str, fault: Option<&str>) -> Response {
    let messages = json!([{ "role": "user", "content": "Hi" }]);
    let body = json!({ "model": "tiny", "messages": messages, "input": "Hi", "prompt": "Hi", "max_tokens": 9, "stream": true });
    let asked = Client::new().post(engine.url() + path).json(&body);
    let asked = match fault {
        Some(fault) => asked.header("x-sim-fault", fault),
        None => asked,
    };
    let reply = tokio::time::timeout(PATIENCE, asked.send()).await.unwrap().unwrap();
    assert_eq!(reply.status(), 200, "{path}");
    reply
}

async fn plan(engine: &Running, kind: &str) {
    let order = json!({ "kind": kind });
    let reply = Client::new().post(engine.url() + "/sim/fault").json(&order).send().await.unwrap();
    assert_eq!(reply.status(), 200);
}

/// What comes until there is so much of it, or until the end, and whether the connection broke.
async fn read(stream: &mut Response, enough: impl Fn(&str) -> bool) -> (String, bool) {
    let mut text = String::new();
    while !enough(&text) {
        match tokio::time::timeout(PATIENCE, stream.chunk()).await.unwrap() {
            Ok(Some(chunk)) => text += std::str::from_utf8(&chunk).unwrap(),
            Ok(None) => return (text, false),
            Err(_) => return (text, true),
        }
    }
    (text, false)
}

const CREATED: [&str; 2] = ["event: response.created", "event: response.in_progress"];

fn names(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("event: ")).collect()
}

#[tokio::test]
async fn a_response_is_created_before_its_first_token_and_nothing_else_is() {
    let engine = engine(&["--ttft", "1h"]).await;
    let mut stream = streamed(&engine, "/v1/responses", None).await;
    let (text, _) = read(&mut stream, |text| names(text).len() >= 2).await;
    assert_eq!(names(&text), CREATED);
    // The others send their heads at once, too, and no event.
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/messages"] {
        let mut stream = streamed(&engine, path, None).await;
        assert!(tokio::time::timeout(Duration::from_millis(50), stream.chunk()).await.is_err(), "{path}");
    }
}

/// Refused by a fault, refused by a core that is dead already, and by one that dies in the middle.
#[tokio::test]
async fn a_stream_that_is_given_up_says_so_in_its_apis_way() {
    let slow = engine(&["--ttft", "1h"]).await;
    let dead = engine(&[]).await;
    plan(&dead, "core-dead").await;
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"] {
        let mut streams = [
            streamed(&slow, path, Some("refuse:503")).await,
            streamed(&dead, path, None).await,
            streamed(&slow, path, None).await,
        ];
        plan(&slow, "core-dead").await;
        for (stream, code) in streams.iter_mut().zip([503, 500, 500]) {
            let (text, broke) = read(stream, |_| false).await;
            match path {
                "/v1/responses" => {
                    assert!(broke, "{text}");
                    assert_eq!(names(&text), CREATED);
                }
                "/v1/messages" => {
                    assert!(!broke && names(&text) == ["event: error"], "{text}");
                    assert!(text.contains(&format!("'code': {code}")) && text.contains("internal_error"), "{text}");
                }
                _ => {
                    assert!(!broke && text.ends_with("\n\ndata: [DONE]\n\n"), "{text}");
                    let event = text.strip_prefix("data: ").and_then(|rest| rest.lines().next()).unwrap();
                    assert_eq!(serde_json::from_str::<Value>(event).unwrap()["error"]["code"], code, "{text}");
                }
            }
        }
        plan(&slow, "none").await;
    }
}

#[tokio::test]
async fn a_stream_tears_in_the_middle_of_an_event() {
    let engine = engine(&["--ttft", "0"]).await;
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"] {
        let mut stream = streamed(&engine, path, Some("tear-after:3")).await;
        let (text, broke) = read(&mut stream, |_| false).await;
        assert!(broke && text.matches("\n\n").count() == 3, "{text}");
        let half = text.rsplit("data: ").next().unwrap();
        assert!(half.starts_with('{') && serde_json::from_str::<Value>(half).is_err(), "{half}");
    }
    assert_eq!(engine.stats().counts().completed, 0);
}

/// As an API server shows it whose EngineCore was stopped by SIGSTOP while it had nothing to do.
#[tokio::test]
async fn an_engine_whose_core_is_stopped_counts_nothing_more() {
    let engine = engine(&["--ttft", "0"]).await;
    plan(&engine, "core-stopped").await;
    let stream = streamed(&engine, "/v1/chat/completions", None).await;
    let get = |path: &str| reqwest::get(engine.url() + path);
    let stats: Value = get("/sim/stats").await.unwrap().json().await.unwrap();
    assert_eq!(stats["in_flight"], 1);
    let page = get("/metrics").await.unwrap().text().await.unwrap();
    for gauge in ["vllm:num_requests_running{", "vllm:num_requests_waiting{"] {
        let line = page.lines().find(|line| line.starts_with(gauge)).unwrap();
        assert!(line.ends_with(" 0.0"), "{line}");
    }
    assert_eq!(get("/health").await.unwrap().status(), 200);
    let asked = tokio::time::timeout(Duration::from_millis(50), get("/is_paused"));
    assert!(asked.await.is_err(), "only the core could answer");
    plan(&engine, "unwedge").await;
    assert!(stream.text().await.unwrap().ends_with("data: [DONE]\n\n"));
    assert_eq!(get("/is_paused").await.unwrap().status(), 200);
}

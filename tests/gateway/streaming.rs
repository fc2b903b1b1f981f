//! Streams: every event when it comes, and an end that can be told from a failure.

use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::{Value, json};

use crate::support::{Gateway, Sim, Wire, eventually, http};

fn streaming(path: &str, model: &str) -> Value {
    let messages = json!([{ "role": "user", "content": "hi" }]);
    match path {
        "/v1/responses" => json!({ "model": model, "input": "hi", "stream": true }),
        _ => json!({ "model": model, "messages": messages, "max_tokens": 30, "stream": true }),
    }
}

async fn start(sim: &Sim, more: &str) -> Gateway {
    Gateway::ready(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}\n{more}", sim.url())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_forwarded_when_it_comes() {
    let gap = Duration::from_millis(40);
    let sim = Sim::start(&["--gap", "40ms", "--ttft", "5ms", "--tokens", "20"]);
    let gateway = start(&sim, "").await;
    let body = streaming("/v1/chat/completions", "tiny");
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&body).send().await.expect("answered");
    assert_eq!(reply.headers()["content-type"], "text/event-stream; charset=utf-8");
    let (mut arrivals, mut text) = (Vec::new(), String::new());
    let mut pieces = reply.bytes_stream();
    while let Some(piece) = pieces.next().await {
        arrivals.push(Instant::now());
        text += std::str::from_utf8(&piece.expect("piece")).expect("UTF-8");
    }
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(arrivals.len() >= 20, "{} pieces for 20 tokens: something gathers them", arrivals.len());
    let gaps: Vec<_> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let apart = gaps.iter().filter(|between| **between > gap / 2).count();
    assert!(apart >= 15, "tokens came in bunches: {gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_dies_mid_stream_ends_it_with_an_error_event_in_the_callers_dialect() {
    let sim = Sim::start(&["--gap", "5ms"]);
    let gateway = start(&sim, "").await;
    let h2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("client");
    for (client, path, head, tail) in [
        (http(), "/v1/chat/completions", "data: {\"error\":", "data: [DONE]\n\n"),
        (http(), "/v1/responses", "event: error\ndata: {\"type\":\"error\"", "}\n\n"),
        (http(), "/v1/messages", "event: error\ndata: {\"type\":\"error\"", "}\n\n"),
        (h2, "/v1/chat/completions", "data: {\"error\":", "data: [DONE]\n\n"),
    ] {
        let request = client.post(gateway.url(path)).header("x-sim-fault", "die-after:4");
        let reply = request.json(&streaming(path, "tiny")).send().await.expect("answered");
        assert_eq!(reply.status(), 200, "{path}");
        let text = reply.text().await.expect("a whole stream, not a torn one");
        let event = text.split("\n\n").find(|event| event.starts_with(head));
        let data =
            event.unwrap_or_else(|| panic!("{path}: no error event in {text}")).split("data: ").nth(1).expect("data");
        let data: Value = serde_json::from_str(data).expect("JSON");
        let code = data["error"]["code"].as_str().or(data["code"].as_str());
        assert_eq!(code, Some("engine_died"), "{path}: {data}");
        assert!(text.ends_with(tail), "{path}: {text}");
    }
    eventually("the line in the access log", async || gateway.access_log().contains("error=engine_died").then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_on_after_a_stream_that_we_had_to_end() {
    let sim = Sim::start(&["--gap", "1ms"]);
    let gateway = start(&sim, "").await;
    let (fatal, fine) = (streaming("", "tiny").to_string(), crate::support::chat("tiny").to_string());
    let mut wire = Wire::to(gateway.address).await;
    for round in 0..20 {
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\n";
        wire.send(format!("{head}x-sim-fault: die-after:3\r\ncontent-length: {}\r\n\r\n{fatal}", fatal.len())).await;
        let reply = wire.reply().await;
        assert!(String::from_utf8_lossy(&reply.body).contains("engine_died"), "{round}: {reply:?}");
        // As soon as the answer has ended a client may use the connection again.
        wire.post("/v1/chat/completions", fine.as_bytes()).await;
        assert_eq!(wire.reply().await.status, 200, "{round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_falls_silent_is_given_up() {
    let sim = Sim::start(&["--gap", "1ms"]);
    let gateway = start(&sim, "timeouts: { read: 300ms }").await;
    let url = gateway.url("/v1/chat/completions");
    let request = http().post(&url).header("x-sim-fault", "hang-after:3");
    let text = request.json(&streaming("", "tiny")).send().await.expect("answered").text().await.expect("whole");
    assert!(text.contains("engine_timeout") && text.ends_with("data: [DONE]\n\n"), "{text}");
    let reply = http().post(&url).header("x-sim-fault", "hang").json(&streaming("", "tiny")).send().await;
    let reply = reply.expect("answered");
    assert_eq!(reply.status(), 504);
    assert_eq!(reply.json::<Value>().await.expect("JSON")["error"]["code"], "engine_timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_answer_that_is_cut_stays_visibly_short() {
    let sim = Sim::start(&[]);
    let gateway = start(&sim, "").await;
    let mut body = streaming("", "tiny");
    body["stream"] = json!(false);
    let request = http().post(gateway.url("/v1/chat/completions")).header("x-sim-fault", "die-after:1");
    match request.json(&body).send().await {
        Ok(reply) if reply.status() == 200 => assert!(reply.text().await.is_err(), "a torn answer must not look whole"),
        Ok(reply) => assert_eq!(reply.status(), 502),
        Err(_) => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_lets_the_engine_go() {
    let sim = Sim::start(&["--gap", "0ms", "--ttft", "0ms", "--tokens", "5000000", "--max-model-len", "100000000"]);
    let gateway = start(&sim, "timeouts: { client_write: 300ms }").await;
    let mut wire = Wire::to(gateway.address).await;
    let body = json!({ "model": "tiny", "prompt": "x", "max_tokens": 5_000_000, "stream": true }).to_string();
    wire.post("/v1/completions", body.as_bytes()).await;
    wire.read_until(b"data: ").await;
    // From here on nothing is read: socket buffers fill, and the gateway must not wait for ever.
    crate::support::eventually("the engine to be let go", || async { (sim.stat("aborted").await == 1).then_some(()) })
        .await;
    drop(wire);
}

//! Streamed answers: piece by piece, whole, and ended when nobody listens.

use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::{Value, json};

use crate::fixture::{Fixture, chat as request, ms};
use crate::support::http;

/// A stream as it arrived: its text, and when each piece came.
struct Arrived {
    text: String,
    pieces: Vec<Instant>,
}

impl Arrived {
    /// The JSON of every `data:` line but `[DONE]`.
    fn data(&self) -> Vec<Value> {
        let lines = self.text.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.filter(|line| *line != "[DONE]").map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// From the first piece to the last.
    fn spread(&self) -> Duration {
        self.pieces.last().zip(self.pieces.first()).map_or(Duration::ZERO, |(last, first)| *last - *first)
    }
}

async fn stream(fixture: &Fixture, path: &str, body: &Value) -> Arrived {
    let reply = http().post(fixture.gateway.url(path)).json(body).send().await.expect("answered");
    assert_eq!(reply.status(), 200);
    let kind = reply.headers()["content-type"].to_str().expect("text").to_owned();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    let (mut bytes, mut pieces, mut stream) = (Vec::new(), Vec::new(), reply.bytes_stream());
    while let Some(piece) = stream.next().await {
        pieces.push(Instant::now());
        bytes.extend_from_slice(&piece.expect("a piece"));
    }
    Arrived { text: String::from_utf8(bytes).expect("UTF-8"), pieces }
}

/// Chunks arrive one by one with gaps, then usage, then `[DONE]`; tokens and first token are counted.
pub async fn chat(fixture: &Fixture) -> String {
    let of = [("model", "tiny")];
    let first_tokens = fixture.metric("enginehouse_time_to_first_token_seconds_count", &of).await;
    let seconds = fixture.metric("enginehouse_time_to_first_token_seconds_sum", &of).await;
    let gaps = fixture.metric("enginehouse_inter_token_latency_seconds_count", &of).await;
    let tokens = fixture.metric("enginehouse_completion_tokens_total", &of).await;
    let mut body = request("tiny", 100);
    body["stream"] = true.into();
    body["stream_options"] = json!({ "include_usage": true });
    let arrived = stream(fixture, "/v1/chat/completions", &body).await;
    assert!(arrived.text.ends_with("data: [DONE]\n\n"), "{}", arrived.text);
    let data = arrived.data();
    assert_eq!(data[0]["choices"][0]["delta"]["role"], "assistant");
    let last = data.last().expect("chunks");
    assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &json!(100)), "{last}");
    assert!(data.len() > 50, "{} chunks for 100 tokens", data.len());
    assert!(arrived.pieces.len() > data.len() / 2, "{} chunks came in {} pieces", data.len(), arrived.pieces.len());
    assert!(arrived.spread() > Duration::from_millis(50), "all came within {:?}", arrived.spread());
    let added = fixture.metric("enginehouse_time_to_first_token_seconds_count", &of).await - first_tokens;
    assert!((added - 1.0).abs() < 0.5, "{added} first tokens were counted");
    let first = fixture.metric("enginehouse_time_to_first_token_seconds_sum", &of).await - seconds;
    assert!(first > 0.0 && first < 5.0, "{first} s to the first token");
    assert!(fixture.metric("enginehouse_inter_token_latency_seconds_count", &of).await - gaps > 50.0);
    let made = fixture.metric("enginehouse_completion_tokens_total", &of).await - tokens;
    assert!((made - 100.0).abs() < 0.5, "{made} tokens were counted, not 100");
    let (pieces, spread) = (arrived.pieces.len(), ms(arrived.spread()));
    format!("{} chunks in {pieces} pieces over {spread}, first after {:.1} ms", data.len(), first * 1000.0)
}

/// The Responses API: named events, numbered, no `[DONE]`.
pub async fn responses(fixture: &Fixture) -> String {
    let tokens = fixture.metric("enginehouse_completion_tokens_total", &[("model", "tiny")]).await;
    let body = json!({ "model": "tiny", "input": "How are you?", "max_output_tokens": 12, "stream": true });
    let arrived = stream(fixture, "/v1/responses", &body).await;
    let data = arrived.data();
    assert_eq!(data[0]["type"], "response.created");
    let last = data.last().expect("events");
    let used = last["response"]["usage"]["output_tokens"].as_f64().unwrap_or_else(|| panic!("no usage in {last}"));
    for (number, event) in data.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{event}");
        let line = format!("event: {}\n", event["type"].as_str().expect("text"));
        assert!(arrived.text.contains(&line), "{line}");
    }
    let counted = fixture.metric("enginehouse_completion_tokens_total", &[("model", "tiny")]).await - tokens;
    assert!((counted - used).abs() < 0.5, "{counted} tokens were counted, {used} were used");
    format!("{} events, {used} tokens", data.len())
}

/// Anthropic's API: `message_start` to `message_stop`.
pub async fn messages(fixture: &Fixture) -> String {
    let messages = json!([{ "role": "user", "content": "How are you?" }]);
    let body = json!({ "model": "tiny", "messages": messages, "max_tokens": 12, "stream": true });
    let arrived = stream(fixture, "/v1/messages", &body).await;
    let data = arrived.data();
    let kind = |event: Option<&Value>| event.map(|event| event["type"].clone());
    assert_eq!(kind(data.first()), Some(json!("message_start")), "{}", arrived.text);
    assert_eq!(kind(data.last()), Some(json!("message_stop")), "{}", arrived.text);
    format!("{} events", data.len())
}

/// More streams than vLLM runs at once: it queues, and every one is whole.
pub async fn many(fixture: &Fixture) -> String {
    const STREAMS: usize = 12;
    let since = Instant::now();
    let one = |at: usize| async move {
        let mut body = request(if at.is_multiple_of(2) { "tiny" } else { "tiny-instant" }, 30);
        body["stream"] = true.into();
        body["stream_options"] = json!({ "include_usage": true });
        let arrived = stream(fixture, "/v1/chat/completions", &body).await;
        assert!(arrived.text.ends_with("data: [DONE]\n\n"), "{}", arrived.text);
        assert_eq!(arrived.data().last().expect("chunks")["usage"]["completion_tokens"], 30);
    };
    futures::future::join_all((0..STREAMS).map(one)).await;
    format!("{STREAMS} streams of 30 tokens in {}", ms(since.elapsed()))
}

/// Waits until the engine, which was to make 450 tokens, is idle; it must not have made them all.
async fn stopped(fixture: &Fixture, before: f64, since: Instant) -> String {
    fixture.idle().await;
    let took = since.elapsed();
    let made = fixture.engines_metric("vllm:generation_tokens_total").await - before;
    assert!(made < 440.0, "{made} of 450 tokens were made: nobody stopped it");
    assert!(took < Duration::from_secs(1), "the engine went on for {took:?}");
    format!("idle after {}, {made} of 450 tokens made", ms(took))
}

/// The caller closes its connection in the middle of a stream.
pub async fn leaving(fixture: &Fixture) -> String {
    let before = fixture.engines_metric("vllm:generation_tokens_total").await;
    let mut body = request("tiny", 450);
    body["stream"] = true.into();
    let mut wire = fixture.wire("/v1/chat/completions", &body).await;
    wire.read_until(b"\n\n").await;
    fixture.running(1.0).await;
    drop(wire);
    stopped(fixture, before, Instant::now()).await
}

/// The caller closes its connection before there is an answer.
pub async fn leaving_early(fixture: &Fixture) -> String {
    let before = fixture.engines_metric("vllm:generation_tokens_total").await;
    let wire = fixture.wire("/v1/chat/completions", &request("tiny", 450)).await;
    fixture.running(1.0).await;
    drop(wire);
    stopped(fixture, before, Instant::now()).await
}

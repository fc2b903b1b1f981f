//! Engines that keep their callers waiting: what happens meanwhile, and when another engine takes over.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Gateway, Sim, chat, eventually, http};

const QUICK: &str = "health: { interval: 200ms, timeout: 300ms, failures: 2, successes: 1 }";

/// A gateway in front of `urls`, and everybody ready.
async fn gateway(urls: &[String], more: &str) -> Gateway {
    let urls = urls.iter().map(|url| format!("\"{url}\"")).collect::<Vec<_>>().join(", ");
    let gateway = Gateway::start(&format!("models: {{ tiny: {{ urls: [{urls}], {QUICK} }} }}\n{more}"));
    eventually("the engines to be ready", || async {
        gateway.engines().await.iter().all(|engine| engine["state"] == "ready").then_some(())
    })
    .await;
    gateway
}

async fn post(sim: &Sim, path: &str) {
    assert!(http().post(sim.url() + path).send().await.expect("answered").status().is_success(), "{path}");
}

/// The pieces of a stream with the time at which each came, and how it ended.
async fn pieces(request: reqwest::RequestBuilder) -> (Duration, Vec<(Duration, String)>) {
    let since = Instant::now();
    let mut reply = request.send().await.expect("answered");
    assert_eq!(reply.status(), 200);
    let (head, mut pieces) = (since.elapsed(), Vec::new());
    while let Some(piece) = reply.chunk().await.expect("a whole answer") {
        pieces.push((since.elapsed(), String::from_utf8_lossy(&piece).into_owned()));
    }
    (head, pieces)
}

fn stream_of(gateway: &Gateway, path: &str, model: &str) -> reqwest::RequestBuilder {
    let body = match path {
        "/v1/responses" => json!({ "model": model, "stream": true, "input": "hello" }),
        "/v1/completions" => json!({ "model": model, "stream": true, "prompt": "hello" }),
        _ => {
            let mut body = chat(model);
            (body["stream"], body["max_tokens"]) = (json!(true), json!(8));
            body
        }
    };
    http().post(gateway.url(path)).json(&body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_gets_its_head_after_a_while_and_comments_until_its_events_come() {
    let sim = Sim::start(&["--gap", "0"]);
    let timeouts = "timeouts: { head_hold: 300ms, keepalive_comment: 300ms }\n\
        aliases: { other: { model: tiny, dialect: { responses: chat, messages: chat } } }";
    let gateway = gateway(&[sim.url()], timeouts).await;
    let cases = [
        ("/v1/chat/completions", "tiny"),
        ("/v1/completions", "tiny"),
        ("/v1/messages", "tiny"),
        ("/v1/responses", "other"),
        ("/v1/messages", "other"),
    ];
    for (path, model) in cases {
        let (head, pieces) = pieces(stream_of(&gateway, path, model).header("x-sim-ttft", "1200ms")).await;
        assert!((0.25..1.0).contains(&head.as_secs_f64()), "{path} {model}: the head after {head:?}");
        let text: String = pieces.iter().map(|(_, piece)| piece.as_str()).collect();
        let comments = text.matches(": keep-alive\n\n").count();
        assert!((2..=4).contains(&comments), "{path} {model}: {comments} comments in {text}");
        assert!(text.starts_with(": keep-alive\n\n") && !text.contains("engine_"), "{path} {model}: {text}");
        assert!(text.contains("[DONE]") || text.contains("stop") || text.contains("response.completed"), "{text}");
    }
    // Where the first event comes in time, nothing is added.
    let (_, quick) = pieces(stream_of(&gateway, "/v1/chat/completions", "tiny")).await;
    assert!(quick.iter().all(|(_, piece)| !piece.contains("keep-alive")), "{quick:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_between_events_is_filled_with_comments() {
    let sim = Sim::start(&["--tokens", "3", "--gap", "900ms"]);
    let gateway = gateway(&[sim.url()], "timeouts: { keepalive_comment: 200ms }").await;
    let (_, pieces) = pieces(stream_of(&gateway, "/v1/chat/completions", "tiny")).await;
    let text: String = pieces.into_iter().map(|(_, piece)| piece).collect();
    assert!(text.matches(": keep-alive\n\n").count() >= 3, "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    for event in text.split("\n\n").filter(|event| !event.is_empty() && *event != ": keep-alive") {
        let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("torn: {event}"));
        assert!(data == "[DONE]" || serde_json::from_str::<Value>(data).is_ok(), "torn: {event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_reach_http_2_too() {
    let sim = Sim::start(&["--gap", "0"]);
    let gateway = gateway(&[sim.url()], "timeouts: { head_hold: 200ms, keepalive_comment: 200ms }").await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    let mut body = chat("tiny");
    body["stream"] = json!(true);
    let request = client.post(gateway.url("/v1/chat/completions")).header("x-sim-ttft", "900ms").json(&body);
    let text = request.send().await.expect("answered").text().await.expect("whole");
    assert!(text.starts_with(": keep-alive\n\n: keep-alive\n\n") && text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_which_only_comments_were_sent_is_taken_over_or_ends_with_an_error_event() {
    let (first, second) = (Sim::start(&["--ttft", "900ms", "--gap", "0"]), Sim::start(&["--gap", "0"]));
    let more = "timeouts: { head_hold: 100ms, keepalive_comment: 200ms }\nretry: { budget: 5 }\n\
        aliases: { other: { model: tiny, dialect: { responses: chat, messages: chat } } }";
    for (path, model) in [
        ("/v1/chat/completions", "tiny"),
        ("/v1/completions", "tiny"),
        ("/v1/messages", "tiny"),
        ("/v1/responses", "other"),
        ("/v1/messages", "other"),
    ] {
        // Only the slow one is there at first, so that the request begins there.
        let mut slow = Sim::start(&["--ttft", "5s", "--gap", "0"]);
        let gateway = gateway(&[slow.url()], more).await;
        let reply = stream_of(&gateway, path, model).send().await.expect("answered");
        assert_eq!(reply.status(), 200, "{path}");
        slow.kill();
        let text = reply.text().await.expect("whole");
        assert!(text.starts_with(": keep-alive\n\n"), "{path} {model}: {text}");
        assert!(text.contains("engine_") && text.contains("error"), "{path} {model}: {text}");
        let done = path != "/v1/chat/completions" && path != "/v1/completions" || text.ends_with("data: [DONE]\n\n");
        assert!(done, "{path} {model}: {text}");
    }
    let gateway = gateway(&[first.url(), second.url()], more).await;
    for kind in ["refuse:500", "refuse:503"] {
        for _ in 0..3 {
            let fault = json!({ "kind": kind, "times": 1 });
            http().post(first.url() + "/sim/fault").json(&fault).send().await.expect("planned");
            for _ in 0..2 {
                let (_, pieces) = pieces(stream_of(&gateway, "/v1/chat/completions", "tiny")).await;
                let text: String = pieces.into_iter().map(|(_, piece)| piece).collect();
                assert!(!text.contains("\"error\"") && text.ends_with("data: [DONE]\n\n"), "{kind}: {text}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_somebody_else_put_to_sleep_or_paused_gets_no_requests_and_loses_those_that_wait() {
    let args = ["--dev-mode", "--enable-sleep-mode", "--gap", "0", "--tokens", "2"];
    let (first, second) = (Sim::start(&args), Sim::start(&args));
    for (rest, state, end) in [("/sleep?level=1", "asleep", "/wake_up"), ("/pause?mode=keep", "unhealthy", "/resume")] {
        let gateway = gateway(&[first.url(), second.url()], "retry: { budget: 5 }").await;
        post(&first, rest).await;
        // Before anybody could know: some of them wait there, and go elsewhere once it is known.
        let since = Instant::now();
        let asked = (0..6).map(|number| {
            let mut body = chat("tiny");
            body["stream"] = json!(number % 2 == 0);
            http().post(gateway.url("/v1/chat/completions")).json(&body).send()
        });
        for reply in futures::future::join_all(asked).await {
            let reply = reply.expect("answered");
            let (status, text) = (reply.status(), reply.text().await.expect("whole"));
            assert!(status == 200 && !text.contains("\"error\""), "{rest}: {status} {text}");
        }
        assert!(since.elapsed() < Duration::from_secs(4), "{rest}: {:?}", since.elapsed());
        eventually("the gateway to know", || async { (gateway.engines().await[0]["state"] == state).then_some(()) })
            .await;
        let before = first.stat("started").await;
        for _ in 0..4 {
            assert_eq!(gateway.ask("tiny").await.0, 200, "{rest}");
        }
        assert_eq!(first.stat("started").await, before, "{rest}: it got a request");
        post(&first, end).await;
        eventually("it to serve again", || async { (gateway.engines().await[0]["state"] == "ready").then_some(()) })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_leave_an_engine_that_stands_still_and_stay_where_there_is_no_other() {
    let (first, second) = (Sim::start(&["--ttft", "300ms"]), Sim::start(&["--ttft", "300ms"]));
    let gateway = gateway(&[first.url(), second.url()], "retry: { budget: 5 }").await;
    first.signal(Signal::STOP);
    let since = Instant::now();
    let asked = (0..20).map(|_| http().post(gateway.url("/v1/chat/completions")).json(&chat("tiny")).send());
    for reply in futures::future::join_all(asked).await {
        assert_eq!(reply.expect("answered").status(), 200);
    }
    // Twice the interval and the time-out of a check, and what the answer takes.
    assert!(since.elapsed() < Duration::from_millis(1000 + 1000 + 300), "{:?}", since.elapsed());
    let left = gateway.metric("enginehouse_retries_total{model=\"tiny\",reason=\"engine_left\"}").await;
    assert!(left > 0.0, "nobody was there: the test proves nothing");
    // Now it is the only one: whoever waits there may wait until it goes on.
    first.signal(Signal::CONT);
    eventually("it to serve again", || async {
        gateway.engines().await.iter().all(|engine| engine["state"] == "ready").then_some(())
    })
    .await;
    drop(second);
    eventually("the other one to be gone", || async { (gateway.engines().await[1]["state"] != "ready").then_some(()) })
        .await;
    let waiting = tokio::spawn(http().post(gateway.url("/v1/chat/completions")).json(&chat("tiny")).send());
    first.signal(Signal::STOP);
    eventually("it to be unhealthy", || async { (gateway.engines().await[0]["state"] == "unhealthy").then_some(()) })
        .await;
    first.signal(Signal::CONT);
    let reply = waiting.await.expect("a task").expect("answered");
    assert_eq!(reply.status(), 200, "it was answered after all");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_for_a_request_ends_plain_answers_and_streams_without_an_event() {
    let sim = Sim::start(&["--tokens", "30", "--gap", "40ms", "--ttft", "10ms"]);
    let gateway = gateway(&[sim.url()], "timeouts: { request: 600ms, head_hold: 200ms }").await;
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&chat("tiny")).send().await.expect("answered");
    assert_eq!(reply.status(), 504);
    let error: Value = reply.json().await.expect("JSON");
    assert!(error["error"]["message"].as_str().is_some_and(|it| it.contains("timeouts.request")), "{error}");
    // A stream that has begun takes as long as it takes.
    let (_, pieces) = pieces(stream_of(&gateway, "/v1/chat/completions", "tiny").header("x-sim-tokens", "30")).await;
    assert!(pieces.last().is_some_and(|(_, piece)| piece.ends_with("data: [DONE]\n\n")), "{pieces:?}");
    let late = stream_of(&gateway, "/v1/chat/completions", "tiny").header("x-sim-ttft", "5s");
    let text = late.send().await.expect("answered").text().await.expect("whole");
    assert!(text.contains("timeouts.request") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(gateway.engines().await[0]["ejected"] != true, "that was not the engine's fault");
}

/// Interval and time-out of a check twice, and a second.
const KNOWN_WITHIN: Duration = Duration::from_millis(2 * (200 + 300) + 1000);

#[tokio::test(flavor = "multi_thread")]
async fn fifty_clients_lose_little_time_by_an_engine_that_stands_still() {
    let normal = Duration::from_millis(300);
    let args = ["--ttft", "300ms", "--gap", "0", "--concurrency", "64"];
    let (first, second) = (Sim::start(&args), Sim::start(&args));
    let gateway = gateway(&[first.url(), second.url()], "retry: { budget: 10 }").await;
    let clients = (0..50).map(|number| {
        let gateway = &gateway;
        async move {
            let mut longest = Duration::ZERO;
            for _ in 0..8 {
                let mut body = chat("tiny");
                (body["stream"], body["max_tokens"]) = (json!(number % 2 == 0), json!(4));
                let since = Instant::now();
                let reply =
                    http().post(gateway.url("/v1/chat/completions")).json(&body).send().await.expect("answered");
                let (status, text) = (reply.status(), reply.text().await.expect("whole"));
                assert!(status == 200 && !text.contains("\"error\""), "{status} {text}");
                longest = longest.max(since.elapsed());
            }
            longest
        }
    });
    let stopped = async {
        eventually("the load to be there", || async { (first.stat("started").await > 40).then_some(()) }).await;
        first.signal(Signal::STOP);
    };
    let (times, ()) = tokio::join!(futures::future::join_all(clients), stopped);
    let longest = times.into_iter().max().expect("clients");
    println!("the longest of 400 answers took {longest:?}");
    assert!(longest < normal + KNOWN_WITHIN, "{longest:?}");
    first.signal(Signal::CONT);
}

//! Engines that get stuck are ended and started again; slow ones are not.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::deployment::{Deployment, model};
use crate::support::load::Load;
use crate::support::processes::signal;
use crate::support::{Gateway, chat, eventually, http, port_of, time_passes};

const EAGER: &str =
    "stall_timeout: 2s, stop_timeout: 1s, restart: { initial_backoff: 10ms }, health: { interval: 200ms }";

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_makes_no_progress_is_ended_and_started_again() {
    let speed = "args: { ttft: 5ms, gap: 1ms, tokens: 10 }";
    let (deployment, mut gateway) =
        Deployment::open(&format!("models:\n{}", model("own", &format!("replicas: 2, {EAGER}, {speed}"))));
    let pids = gateway.all_ready().await;
    let load = Load::start(gateway.address, "own", 4);
    load.answered(20).await;
    let url = format!("http://127.0.0.1:{}/sim/fault", port_of(&gateway.engine("own/0").await));
    let wedged = http().post(url).json(&json!({ "kind": "wedge" })).send().await.expect("planned");
    assert_eq!(wedged.status(), 200);
    let since = Instant::now();
    let fresh = gateway.ready_again("own/0", pids[0]).await;
    let took = since.elapsed();
    println!("a stuck engine was replaced after {took:.1?}");
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(10), "{took:?}");
    load.answered(20).await;
    // What was stuck went to the other one, or was told; nothing waited for ever.
    load.stop_unharmed().await;
    assert_eq!(gateway.all_ready().await, [fresh, pids[1]]);
    let log = gateway.log();
    assert!(log.contains("own/0") && log.contains("progress"), "the log says why");
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_closes_its_port_and_does_not_end_is_ended_and_started_again() {
    // Long before `stall_timeout`: it never opens its port again.
    let own = "replicas: 2, stop_timeout: 2s, restart: { initial_backoff: 10ms }, health: { interval: 200ms }, args: { hang-at-end: true }";
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", model("own", own)));
    let pids = gateway.all_ready().await;
    let load = Load::start(gateway.address, "own", 4);
    load.answered(20).await;
    let since = Instant::now();
    signal(pids[0], rustix::process::Signal::TERM);
    gateway.ready_again("own/0", pids[0]).await;
    let took = since.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(20), "{took:?}");
    load.answered(20).await;
    load.stop_unharmed().await;
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_stream_is_no_hang() {
    let slow = "args: { ttft: 1s, gap: 700ms, tokens: 7 }";
    let (deployment, mut gateway) =
        Deployment::open(&format!("models:\n{}", model("own", &format!("{EAGER}, {slow}"))));
    let pids = gateway.all_ready().await;
    let mut body = chat("own");
    body["stream"] = json!(true);
    let since = Instant::now();
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&body).send().await.expect("begun");
    let text = reply.text().await.expect("whole");
    assert!(text.ends_with("data: [DONE]\n\n") && !text.contains("\"error\""), "{text}");
    assert!(since.elapsed() > Duration::from_secs(4), "longer than stall_timeout: {:?}", since.elapsed());
    // And with nothing to do it need not make progress.
    let idle = Instant::now();
    eventually("it to be idle for longer than stall_timeout", async || {
        (idle.elapsed() > Duration::from_millis(2500)).then_some(())
    })
    .await;
    assert_eq!(gateway.all_ready().await, pids);
    gateway.stop().await;
    deployment.assert_empty();
}

/// A scripted engine without any counters: it answers `/health` and `/v1/models`, and keeps every request waiting; one that says
/// "large" gets a large answer, and one for a stream the head of it, as from vLLM's server whose engine core is stuck.
const WITHOUT_COUNTERS: &str = r#"
import json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        models = {"object": "list", "data": [{"id": sys.argv[2], "object": "model"}]}
        known = {"/health": b"", "/v1/models": json.dumps(models).encode()}
        body = known.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("content-length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if b'"stream":true' in body:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            if self.path == "/v1/responses":
                event = b'event: response.created\ndata: {"type":"response.created"}\n\n'
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
        if b"large" not in body:
            time.sleep(3600)
        self.send_response(200)
        self.send_header("content-length", str(64 << 20))
        self.end_headers()
        self.wfile.write(b" " * (64 << 20))
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

fn without_counters(settings: &str) -> (Deployment, Gateway) {
    let deployment = Deployment::new();
    let script = deployment.path().join("engine.py");
    std::fs::write(&script, WITHOUT_COUNTERS).expect("a script");
    let command = format!("command: [python3, {script:?}, \"{{port}}\", \"{{name}}\"]");
    deployment.write(&format!("models:\n  own: {{ source: x, {command}, {settings} }}\n"), None);
    let gateway = deployment.gateway();
    (deployment, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_counters_is_not_blamed_for_a_client_that_takes_nothing() {
    let settings =
        "stall_timeout: 1s, stop_timeout: 1s, restart: { initial_backoff: 10ms }, health: { interval: 200ms }";
    let (deployment, mut gateway) = without_counters(settings);
    let pids = gateway.all_ready().await;
    let mut large = chat("own");
    large["user"] = json!("large");
    let slow = http().post(gateway.url("/v1/chat/completions")).json(&large).send().await.expect("begun");
    assert_eq!(slow.status(), 200);
    // It might wait in the engine for the slow one.
    let other = tokio::spawn(http().post(gateway.url("/v1/chat/completions")).json(&chat("own")).send());
    let since = Instant::now();
    eventually("a client to take nothing for much longer than stall_timeout", async || {
        (since.elapsed() > Duration::from_secs(5)).then_some(())
    })
    .await;
    assert_eq!(gateway.all_ready().await, pids);
    assert_eq!(gateway.engine("own/0").await["stalls"], 0);
    drop(slow);
    gateway.ready_again("own/0", pids[0]).await;
    other.abort();
    gateway.stop().await;
    deployment.assert_empty();
}

/// A bug: engines without vLLM's counters (`disable-log-stats`, SGLang, llama-server) could hang for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_counters_that_answers_nothing_is_ended_and_started_again() {
    let (deployment, mut gateway) = without_counters(EAGER);
    let pids = gateway.all_ready().await;
    let idle = Instant::now();
    eventually("it to be idle for longer than stall_timeout", async || {
        (idle.elapsed() > Duration::from_millis(2500)).then_some(())
    })
    .await;
    assert_eq!(gateway.all_ready().await, pids, "nobody waits for it");
    let asked = tokio::spawn(http().post(gateway.url("/v1/chat/completions")).json(&chat("own")).send());
    gateway.ready_again("own/0", pids[0]).await;
    assert_eq!(gateway.engine("own/0").await["stalls"], 1);
    asked.abort();
    gateway.stop().await;
    deployment.assert_empty();
}

/// A process that does not run at all (SIGSTOP) answers neither requests nor `/health` nor `/metrics`.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_process_is_ended_and_started_again_with_or_without_health_checks() {
    for health in ["interval: 200ms, timeout: 500ms", "off"] {
        let health = if health == "off" { "health: off".to_owned() } else { format!("health: {{ {health} }}") };
        let settings = format!("stall_timeout: 1s, stop_timeout: 1s, restart: {{ initial_backoff: 10ms }}, {health}");
        let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", model("own", &settings)));
        let pids = gateway.all_ready().await;
        let pid = rustix::process::Pid::from_raw(i32::try_from(pids[0]).expect("a pid")).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("stopped");
        let asked = tokio::spawn(http().post(gateway.url("/v1/chat/completions")).json(&chat("own")).send());
        gateway.ready_again("own/0", pids[0]).await;
        asked.abort();
        gateway.stop().await;
        deployment.assert_empty();
    }
}

/// A bug: an answer that waited for a slow client counted as one that its engine does not give, and a healthy engine was
/// killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_gets_no_healthy_engine_killed() {
    let settings = "stall_timeout: 1s, stop_timeout: 1s, health: { interval: 200ms }, args: { ttft: 0ms, gap: 0ms }";
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", model("own", settings)));
    let pids = gateway.all_ready().await;
    // Some 20 MiB, more than all buffers on the way hold.
    let body = json!({ "model": "own", "input": vec!["x"; 20_000] });
    let mut reply = http().post(gateway.url("/v1/embeddings")).json(&body).send().await.expect("begun");
    assert_eq!(reply.status(), 200);
    let since = Instant::now();
    let mut read = 0;
    // Four times as long as an engine may make no progress.
    while since.elapsed() < Duration::from_secs(4) {
        read += reply.chunk().await.expect("read").map_or(0, |piece| piece.len());
        time_passes(Duration::from_millis(20)).await;
    }
    while let Some(piece) = reply.chunk().await.expect("the answer comes whole") {
        read += piece.len();
    }
    assert!(read > 8 << 20, "a large answer: {read}");
    assert_eq!(gateway.all_ready().await, pids, "the engine was not restarted");
    assert_eq!(gateway.engine("own/0").await["stalls"], 0);
    gateway.stop().await;
    deployment.assert_empty();
}

/// A bug: the head of a stream was taken for an answer, so that an engine which only promises could hang for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_promises_streams_and_sends_no_event_is_ended_and_started_again() {
    let (deployment, mut gateway) = without_counters(EAGER);
    let mut pids = gateway.all_ready().await;
    let mut chat = chat("own");
    chat["stream"] = json!(true);
    let response = json!({ "model": "own", "stream": true, "input": "hi" });
    for (path, body) in [("/v1/chat/completions", chat), ("/v1/responses", response)] {
        let asked = tokio::spawn(http().post(gateway.url(path)).json(&body).send());
        let fresh = gateway.ready_again("own/0", pids[0]).await;
        let reply = asked.await.expect("a task").expect("answered");
        assert!(
            reply.status().is_server_error(),
            "{path}: nothing had come of it, so it is no stream: {}",
            reply.status()
        );
        pids = vec![fresh];
    }
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_an_engine_that_stands_still_ends_with_an_error() {
    let settings = "stall_timeout: 2s, stop_timeout: 1s, restart: { initial_backoff: 10ms }, args: { ttft: 5ms, gap: 50ms }, \
                    health: { interval: 200ms, timeout: 300ms, failures: 2 }";
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", model("own", settings)));
    let pids = gateway.all_ready().await;
    let mut body = chat("own");
    (body["stream"], body["max_tokens"], body["ignore_eos"]) = (json!(true), json!(400), json!(true));
    let mut reply = http().post(gateway.url("/v1/chat/completions")).json(&body).send().await.expect("begun");
    let mut text = String::from_utf8_lossy(&reply.chunk().await.expect("a piece").expect("more")).into_owned();
    signal(pids[0], rustix::process::Signal::STOP);
    while let Some(piece) = reply.chunk().await.expect("a stream that ends well") {
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    assert!(text.contains("engine_died") && text.ends_with("data: [DONE]\n\n"), "{text}");
    gateway.ready_again("own/0", pids[0]).await;
    gateway.stop().await;
    deployment.assert_empty();
}

/// `ENGINEHOUSE_SLOW_SECONDS` sets for how long (6, if not set).
#[tokio::test(flavor = "multi_thread")]
async fn twenty_slow_clients_get_no_engine_touched() {
    let seconds = std::env::var("ENGINEHOUSE_SLOW_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let settings = "stall_timeout: 3s, stop_timeout: 1s, health: { interval: 200ms }, args: { ttft: 0ms, gap: 0ms }";
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", model("own", settings)));
    let pids = gateway.all_ready().await;
    // Some 6 MiB each: more than the buffers on the way hold.
    let body = json!({ "model": "own", "input": vec!["x"; 6_000] }).to_string();
    let address = gateway.address;
    let client = |number: usize| {
        let body = body.clone();
        async move {
            let mut socket = tokio::net::TcpStream::connect(address).await.expect("connected");
            let head = "POST /v1/embeddings HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\n";
            let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
            tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes()).await.expect("sent");
            let mut piece = [0; 1000];
            let mut clock = tokio::time::interval(Duration::from_secs(1));
            for _ in 0..seconds {
                clock.tick().await;
                let read = tokio::io::AsyncReadExt::read(&mut socket, &mut piece).await.expect("read");
                assert!(read > 0, "client {number} was given up");
            }
        }
    };
    futures::future::join_all((0..20).map(client)).await;
    assert_eq!(gateway.all_ready().await, pids, "the engine was not restarted");
    assert_eq!(gateway.engine("own/0").await["stalls"], 0);
    gateway.stop().await;
    deployment.assert_empty();
}

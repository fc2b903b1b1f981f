//! HTTP/2 as clients really speak it, frame by frame where libraries hide what comes.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::{Request, Response, Version};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{Gateway, Sim, chat, eventually, http, time_passes};

const CHAT: &str = "/v1/chat/completions";
const SOON: Duration = Duration::from_secs(10);

/// A connection.
struct Client {
    sender: SendRequest<Bytes>,
    /// How it ended.
    end: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    async fn to(gateway: &Gateway) -> Self {
        Self::with(gateway, h2::client::Builder::new().initial_window_size(16 << 20)).await
    }

    async fn with(gateway: &Gateway, options: &h2::client::Builder) -> Self {
        let stream = TcpStream::connect(gateway.address).await.expect("connected");
        let (sender, connection) = options.handshake(stream).await.expect("HTTP/2");
        Self { sender, end: tokio::spawn(connection) }
    }

    /// Sends a head, and `body` with it if there is one; else the body is to follow.
    async fn send(&mut self, head: Request<()>, body: Option<&str>) -> (ResponseFuture, h2::SendStream<Bytes>) {
        let mut sender = self.sender.clone().ready().await.expect("open");
        let (response, mut stream) = sender.send_request(head, body == Some("")).expect("sent");
        if let Some(body) = body.filter(|body| !body.is_empty()) {
            stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).expect("sent");
        }
        (response, stream)
    }

    /// Asks for something; what is answered.
    async fn ask(&mut self, head: Request<()>, body: &str) -> (Response<()>, Vec<u8>) {
        let (response, _stream) = self.send(head, Some(body)).await;
        whole(response.await.expect("answered")).await
    }

    async fn is_alive(&mut self) -> bool {
        self.ask(get("/livez"), "").await.0.status() == 200
    }
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://gateway{path}")).body(()).expect("a request")
}

fn post(path: &str) -> http::request::Builder {
    Request::post(format!("http://gateway{path}")).header("content-type", "application/json")
}

/// A head without `:authority`.
fn nameless(method: &str, path: &str) -> http::request::Builder {
    Request::builder().version(Version::HTTP_11).method(method).uri(path)
}

async fn whole(response: Response<RecvStream>) -> (Response<()>, Vec<u8>) {
    let (head, mut body) = response.into_parts();
    let mut all = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.expect("a whole body");
        body.flow_control().release_capacity(piece.len()).expect("room");
        all.extend_from_slice(&piece);
    }
    (Response::from_parts(head, ()), all)
}

/// The next interim answer; `None`: the answer itself has come.
async fn interim(response: &mut ResponseFuture) -> Option<u16> {
    let told = timeout(SOON, poll_fn(|cx| response.poll_informational(cx))).await.expect("in time");
    told.map(|interim| interim.expect("an interim answer").status().as_u16())
}

fn is_ours(head: &Response<()>, body: &[u8], status: u16, code: &str) {
    let told: Value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {head:?}"));
    assert_eq!((head.status().as_u16(), told["error"]["code"].as_str()), (status, Some(code)), "{told}");
    assert_eq!(head.headers()["content-type"], "application/json");
    assert!(head.headers().contains_key("x-request-id") && head.headers().contains_key("date"), "{head:?}");
}

async fn start(args: &[&str], more: &str) -> (Sim, Gateway) {
    let sim = Sim::start(args);
    let gateway = Gateway::ready(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}\n{more}", sim.url())).await;
    (sim, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_before_it_sends_is_told_at_once_to_go_on() {
    let (sim, gateway) = start(&["--ttft", "1ms"], "").await;
    let mut client = Client::to(&gateway).await;
    let body = chat("tiny").to_string();
    for (round, length) in [(0, true), (1, false), (2, true)] {
        let mut head = post(CHAT).header("expect", "100-Continue");
        if length {
            head = head.header("content-length", body.len());
        }
        let since = Instant::now();
        let (mut response, mut stream) = client.send(head.body(()).expect("a head"), None).await;
        assert_eq!(interim(&mut response).await, Some(100));
        assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
        assert_eq!(sim.stat("started").await, round, "nothing has been sent yet");
        stream.send_data(body.clone().into(), true).expect("sent");
        assert_eq!(interim(&mut response).await, None, "once");
        let (head, answer) = whole(response.await.expect("answered")).await;
        assert_eq!(head.status(), 200, "{}", String::from_utf8_lossy(&answer));
        assert!(serde_json::from_slice::<Value>(&answer).is_ok());
    }
    let (mut response, _stream) = client.send(post(CHAT).body(()).expect("a head"), Some(&body)).await;
    assert_eq!(interim(&mut response).await, None, "it has not asked");
    assert_eq!(response.await.expect("answered").status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_before_it_sends_is_refused_without_being_told_to_go_on() {
    let (sim, gateway) = start(&[], "limits: { body: 4KiB }").await;
    let mut client = Client::to(&gateway).await;
    for (name, value, status, code) in [
        ("content-type", "text/plain", 415, "unsupported_media_type"),
        ("content-length", "5000", 413, "request_too_large"),
        ("content-encoding", "br", 415, "unsupported_content_encoding"),
    ] {
        let mut head = post(CHAT).header("expect", "100-continue").body(()).expect("a head");
        head.headers_mut().insert(name, value.parse().expect("a value"));
        let (mut response, mut stream) = client.send(head, None).await;
        assert_eq!(interim(&mut response).await, None, "{value}");
        let (head, answer) = whole(response.await.expect("answered")).await;
        is_ours(&head, &answer, status, code);
        stream.send_reset(Reason::NO_ERROR);
    }
    assert!(client.is_alive().await);
    assert_eq!(sim.stat("started").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_after_it_was_told_to_go_on_is_forgotten() {
    let (_sim, gateway) = start(&[], "").await;
    let mut client = Client::to(&gateway).await;
    let head = post(CHAT).header("expect", "100-continue").body(()).expect("a head");
    let (mut response, mut stream) = client.send(head, None).await;
    assert_eq!(interim(&mut response).await, Some(100));
    stream.send_reset(Reason::CANCEL);
    eventually("its line", async || gateway.access_log().contains(" 499 POST ").then_some(())).await;
    let line = gateway.access_log();
    assert!(line.contains("client=127.0.0.1"), "{line}");
    assert!(client.is_alive().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_nobody_can_serve_gets_a_whole_answer_and_hurts_no_other_request() {
    let (_sim, gateway) = start(&["--ttft", "300ms"], "").await;
    let mut client = Client::to(&gateway).await;
    let body = chat("tiny").to_string();
    let (under_way, _stream) = client.send(post(CHAT).body(()).expect("a head"), Some(&body)).await;
    let named = |name: &str| post(CHAT).header("host", name).body(()).expect("a head");
    for (head, status, code) in [
        (nameless("GET", "/v1/models").body(()), 400, "missing_host"),
        (nameless("POST", CHAT).header("x-request-id", "mine-1").body(()), 400, "missing_host"),
        (Ok(named("other")), 400, "invalid_http"),
        (Request::connect("there:443").body(()), 405, "method_not_allowed"),
    ] {
        let head = head.expect("a head");
        let (is_mine, asks) = (head.headers().contains_key("x-request-id"), head.method() == "GET");
        let (head, answer) = client.ask(head, if asks { "" } else { "{}" }).await;
        is_ours(&head, &answer, status, code);
        assert_eq!(head.headers()["x-request-id"] == "mine-1", is_mine);
        assert_eq!(head.headers().contains_key("allow"), status == 405);
        let id = head.headers()["x-request-id"].to_str().expect("text").to_owned();
        eventually("its line", async || gateway.access_log().contains(&format!("id={id}")).then_some(())).await;
    }
    let (head, answer) = client.ask(nameless("HEAD", "/").body(()).expect("a head"), "").await;
    assert!(head.status() == 400 && answer.is_empty(), "{head:?}");
    // One that sends a body without an end does not get in the way of its own answer.
    let (response, _endless) = client.send(nameless("POST", CHAT).body(()).expect("a head"), None).await;
    let (head, answer) = whole(response.await.expect("answered")).await;
    is_ours(&head, &answer, 400, "missing_host");
    // A name in Host is a name.
    let head = nameless("GET", "/livez").header("host", "gateway").body(()).expect("a head");
    assert_eq!(client.ask(head, "").await.0.status(), 200);
    assert_eq!(under_way.await.expect("answered").status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_heads_are_always_malformed_loses_its_connection() {
    let (_sim, gateway) = start(&[], "").await;
    let mut client = Client::to(&gateway).await;
    for _ in 0..31 {
        let (head, answer) = client.ask(nameless("GET", "/").body(()).expect("a head"), "").await;
        is_ours(&head, &answer, 400, "missing_host");
        let tunnel = Request::connect("there:443").body(()).expect("a head");
        assert_eq!(client.ask(tunnel, "").await.0.status(), 405, "which is only not served");
        assert!(client.is_alive().await, "good ones between bad ones do not make up for them");
    }
    let (response, _stream) = client.send(nameless("GET", "/").body(()).expect("a head"), Some("")).await;
    drop(response.await);
    let end = timeout(SOON, client.end).await.expect("ended").expect("no panic").expect_err("with a reason");
    assert_eq!(end.reason(), Some(Reason::ENHANCE_YOUR_CALM), "{end}");
    eventually("the line", async || gateway.log().contains("32 malformed").then_some(())).await;
    assert!(Client::to(&gateway).await.is_alive().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_requests_is_closed_in_time_and_one_with_them_is_not() {
    let (_sim, gateway) = start(&["--ttft", "2500ms"], "timeouts: { keepalive: 1s }").await;
    let (mut idle, mut busy) = (Client::to(&gateway).await, Client::to(&gateway).await);
    assert!(idle.is_alive().await);
    let since = Instant::now();
    let body = chat("tiny").to_string();
    let (response, _stream) = busy.send(post(CHAT).body(()).expect("a head"), Some(&body)).await;
    timeout(SOON, idle.end).await.expect("closed").expect("no panic").expect("closed well");
    assert!(since.elapsed() >= Duration::from_millis(900), "{:?}", since.elapsed());
    assert_eq!(response.await.expect("answered").status(), 200);
    assert!(since.elapsed() > Duration::from_secs(2));
    timeout(SOON, busy.end).await.expect("closed").expect("no panic").expect("closed well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_stops_finishes_what_is_under_way_and_takes_no_more() {
    let (sim, mut gateway) = start(&["--ttft", "3s"], "").await;
    let (mut idle, mut busy) = (Client::to(&gateway).await, Client::to(&gateway).await);
    assert!(idle.is_alive().await);
    let body = chat("tiny").to_string();
    let (response, _stream) = busy.send(post(CHAT).body(()).expect("a head"), Some(&body)).await;
    eventually("the engine to have it", async || (sim.stat("started").await == 1).then_some(())).await;
    let since = Instant::now();
    gateway.terminate();
    timeout(Duration::from_secs(2), idle.end).await.expect("closed at once").expect("no panic").expect("well");
    let (head, answer) = whole(response.await.expect("answered")).await;
    assert!(head.status() == 200 && serde_json::from_slice::<Value>(&answer).is_ok());
    timeout(SOON, busy.end).await.expect("closed").expect("no panic").expect("well");
    assert_eq!(gateway.ended().await, Some(0));
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_body_are_without_one() {
    let (_sim, gateway) = start(&[], "cors: { origins: [\"http://page\"] }").await;
    let mut client = Client::to(&gateway).await;
    let head = Request::head("http://gateway/v1/models").body(()).expect("a head");
    let (head, body) = client.ask(head, "").await;
    assert!(head.status() == 200 && body.is_empty() && head.headers()["content-length"] != "0", "{head:?}");
    let preflight = Request::options(format!("http://gateway{CHAT}"))
        .header("origin", "http://page")
        .header("access-control-request-method", "POST");
    let (head, body) = client.ask(preflight.body(()).expect("a head"), "").await;
    assert!(head.status() == 204 && body.is_empty(), "{head:?}");
}

/// Asks for a long answer; its stream, of which nothing has been read.
async fn long(client: &mut Client, stream: bool, tokens: u32) -> RecvStream {
    let body = json!({ "model": "tiny", "prompt": "x", "max_tokens": tokens, "stream": stream }).to_string();
    let (response, _stream) = client.send(post("/v1/completions").body(()).expect("a head"), Some(&body)).await;
    let response = response.await.expect("answered");
    assert_eq!(response.status(), 200);
    response.into_body()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_all_of_a_large_answer() {
    let args = ["--gap", "0ms", "--ttft", "0ms", "--tokens", "200000", "--max-model-len", "100000000"];
    let (_sim, gateway) = start(&args, "").await;
    let mut client = Client::with(&gateway, h2::client::Builder::new().initial_window_size(20_000)).await;
    for stream in [false, true] {
        let mut body = long(&mut client, stream, 200_000).await;
        time_passes(Duration::from_millis(300)).await;
        let (mut all, mut pieces) = (Vec::new(), 0);
        while let Some(piece) = body.data().await {
            let piece = piece.expect("a piece");
            all.extend_from_slice(&piece);
            pieces += 1;
            if pieces % 50 == 0 {
                time_passes(Duration::from_millis(5)).await;
            }
            body.flow_control().release_capacity(piece.len()).expect("room");
        }
        let text = String::from_utf8(all).expect("text");
        if stream {
            assert!(text.ends_with("data: [DONE]\n\n"), "{} bytes", text.len());
            let events = text.split("\n\n").filter_map(|event| event.strip_prefix("data: {"));
            let events: Vec<Value> =
                events.map(|event| serde_json::from_str(&format!("{{{event}")).expect("JSON")).collect();
            assert!(events.len() >= 200_000, "{}", events.len());
        } else {
            let answer: Value = serde_json::from_str(&text).expect("whole");
            assert_eq!(answer["usage"]["completion_tokens"], 200_000);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_holds_up_its_engine_and_then_lets_it_go_and_others_do_not_notice() {
    let args = ["--gap", "0ms", "--ttft", "0ms", "--tokens", "5000000", "--max-model-len", "100000000"];
    let (sim, gateway) = start(&args, "timeouts: { client_write: 1s }").await;
    let mut client = Client::with(&gateway, h2::client::Builder::new().initial_window_size(20_000)).await;
    let body = long(&mut client, true, 5_000_000).await;
    let since = Instant::now();
    assert!(client.is_alive().await);
    eventually("the engine to be let go", || async { (sim.stat("aborted").await == 1).then_some(()) }).await;
    assert!(since.elapsed() > Duration::from_millis(900), "{:?}", since.elapsed());
    let mut body = body;
    let torn = loop {
        match body.data().await {
            Some(Ok(piece)) => drop(body.flow_control().release_capacity(piece.len())),
            Some(Err(error)) => break error,
            None => panic!("it looks whole"),
        }
    };
    assert!(torn.is_reset(), "{torn}");
    assert!(client.is_alive().await);
    assert_eq!(http().get(gateway.url("/readyz")).send().await.expect("answered").status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_and_events_stay_whole_however_little_a_client_takes_at_a_time() {
    let args = ["--gap", "150ms", "--ttft", "400ms", "--tokens", "12"];
    let (_sim, gateway) = start(&args, "timeouts: { head_hold: 50ms, keepalive_comment: 20ms }").await;
    let mut client = Client::with(&gateway, h2::client::Builder::new().initial_window_size(40)).await;
    let mut body = long(&mut client, true, 12).await;
    let mut text = String::new();
    while let Some(piece) = body.data().await {
        let piece = piece.expect("a piece");
        text += std::str::from_utf8(&piece).expect("text");
        time_passes(Duration::from_millis(7)).await;
        body.flow_control().release_capacity(piece.len()).expect("room");
    }
    assert!(text.ends_with("data: [DONE]\n\n") && text.contains(": keep-alive\n\n"), "{text}");
    let is_comment = |part: &&str| *part == ": keep-alive";
    for event in text.split("\n\n").filter(|part| !part.is_empty() && !is_comment(part)) {
        let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("torn: {event}"));
        assert!(data == "[DONE]" || serde_json::from_str::<Value>(data).is_ok(), "torn: {event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_a_refused_body_is_taken_in_so_that_the_client_reads_the_refusal() {
    let (_sim, gateway) = start(&[], "limits: { body: 4KiB }").await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("client");
    for _ in 0..3 {
        let request = client.post(gateway.url(CHAT)).header("content-type", "application/json");
        let reply = request.body(vec![b' '; 1 << 20]).send().await.expect("answered");
        assert_eq!(reply.status(), 413);
        assert_eq!(reply.json::<Value>().await.expect("JSON")["error"]["code"], "request_too_large");
    }
    assert_eq!(gateway.metric("enginehouse_body_memory_bytes ").await, 0.0);
}

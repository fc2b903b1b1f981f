//! HTTP as clients really speak it.

use std::time::Duration;

use serde_json::json;

use crate::support::{Gateway, Sim, Wire, chat, eventually, http, time_passes};

async fn start(more: &str) -> (Sim, Gateway) {
    let sim = Sim::start(&["--ttft", "1ms", "--gap", "1ms", "--tokens", "5"]);
    let gateway = Gateway::ready(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}\n{more}", sim.url())).await;
    (sim, gateway)
}

fn body() -> Vec<u8> {
    chat("tiny").to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_one_request_after_another_refusals_included() {
    let (sim, gateway) = start("").await;
    let mut wire = Wire::to(gateway.address).await;
    for round in 0..5 {
        wire.post("/v1/chat/completions", &body()).await;
        assert_eq!(wire.reply().await.status, 200, "round {round}");
        wire.post("/v1/chat/completions", b"{").await;
        assert_eq!(wire.reply().await.status, 400, "round {round}");
        wire.send("GET /v1/models HTTP/1.1\r\nhost: t\r\n\r\n").await;
        assert_eq!(wire.reply().await.status, 200, "round {round}");
    }
    assert_eq!(sim.stat("started").await, 5);
    // One for the requests; health checks and probes have their own.
    assert!(sim.stat("open_connections").await <= 4, "upstream connections are reused");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let (_sim, gateway) = start("").await;
    let mut wire = Wire::to(gateway.address).await;
    wire.post("/v1/chat/completions", &body()).await;
    wire.send(
        "GET /v1/models/tiny HTTP/1.1\r\nhost: t\r\n\r\nGET /livez HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n",
    )
    .await;
    let mut all = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut wire.0, &mut all).await.expect("closed after the last");
    assert_eq!(all.matches("HTTP/1.1 200").count(), 3, "{all}");
    let at = |mark: &str| all.find(mark).unwrap_or_else(|| panic!("no {mark} in {all}"));
    assert!(at("chat.completion") < at("\"max_model_len\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_in_single_bytes_is_a_head() {
    let (_sim, gateway) = start("").await;
    // The first one begins like HTTP/2's preface; as soon as it cannot be a request it is refused.
    for (single, rest) in [("PRI", " HTTP/1.1\r\nhost: t\r\n\r\n"), ("GET /livez HTTP/1.1\r\nhost: t\r\n\r", "\n")] {
        let (head, mut wire) = (single, Wire::to(gateway.address).await);
        for byte in single.as_bytes() {
            wire.send([*byte]).await;
            tokio::task::yield_now().await;
        }
        wire.send(rest).await;
        let status = wire.reply().await.status;
        assert_eq!(status, if head.starts_with("PRI") { 400 } else { 200 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_may_be_as_large_as_the_configuration_says() {
    let (_sim, gateway) = start("limits: { head: 512KiB }").await;
    for (size, status) in [(400 << 10, 200), (520 << 10, 431), (600 << 10, 431)] {
        let mut wire = Wire::to(gateway.address).await;
        wire.send(format!("GET /livez HTTP/1.1\r\nhost: t\r\nx-large: {}\r\n\r\n", "x".repeat(size))).await;
        let reply = wire.reply().await;
        assert_eq!(reply.status, status, "{size}");
        assert!(status == 200 || reply.json().to_string().contains("limits.head"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_0_gets_answers_that_end_with_the_connection() {
    let (_sim, gateway) = start("").await;
    for stream in [false, true] {
        let mut body = chat("tiny");
        body["stream"] = json!(stream);
        let body = body.to_string();
        let mut wire = Wire::to(gateway.address).await;
        let head = "POST /v1/chat/completions HTTP/1.0\r\ncontent-type: application/json\r\n";
        wire.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
        let mut all = String::new();
        let read = tokio::io::AsyncReadExt::read_to_string(&mut wire.0, &mut all);
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("the connection ends").expect("text");
        let head = all.split("\r\n\r\n").next().expect("head").to_ascii_lowercase();
        assert!(!head.contains("transfer-encoding") && head.contains(" 200 "), "{all}");
        assert!(if stream { all.ends_with("data: [DONE]\n\n") } else { all.ends_with('}') }, "{all}");
    }
    let mut wire = Wire::to(gateway.address).await;
    wire.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(wire.reply().await.status, 200, "a probe of 18 bytes does not hang");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_in_clear_text_carries_many_requests_on_one_connection() {
    let (_sim, gateway) = start("").await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("client");
    let sends = (0..50).map(|_| client.post(gateway.url("/v1/chat/completions")).json(&chat("tiny")).send());
    for reply in futures::future::join_all(sends).await {
        assert_eq!(reply.expect("answered").status(), 200);
    }
    assert!(gateway.metric("enginehouse_connections ").await <= 2.0);
    let refused = client.get(gateway.url("/v1/nothing")).send().await.expect("answered");
    assert_eq!(refused.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_and_silent_connections_are_closed() {
    let (_sim, gateway) = start("timeouts: { keepalive: 1s }").await;
    let silent = Wire::to(gateway.address).await;
    let mut idle = Wire::to(gateway.address).await;
    idle.send("GET /livez HTTP/1.1\r\nhost: t\r\n\r\n").await;
    assert_eq!(idle.reply().await.status, 200);
    for mut wire in [silent, idle] {
        let mut rest = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut wire.0, &mut rest);
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("closed in time").expect("closed");
        assert!(rest.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn line_ends_alone_keep_no_connection_open() {
    let (_sim, gateway) = start("timeouts: { keepalive: 1s }").await;
    let mut wire = Wire::to(gateway.address).await;
    wire.send("GET /livez HTTP/1.1\r\nhost: t\r\n\r\n").await;
    assert_eq!(wire.reply().await.status, 200);
    let (mut reading, mut writing) = wire.0.into_split();
    let drip = async {
        for _ in 0..100 {
            if tokio::io::AsyncWriteExt::write_all(&mut writing, b"\r\n").await.is_err() {
                break;
            }
            time_passes(Duration::from_millis(100)).await;
        }
    };
    let mut rest = Vec::new();
    let closed = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut rest);
    tokio::select! {
        // What is sent to a closed connection is answered with a reset.
        _ = closed => assert!(rest.is_empty()),
        () = drip => panic!("it was open for ten seconds"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_that_a_caller_takes_for_a_body_is_not_the_gateways() {
    let (_sim, gateway) = start("timeouts: { body: 1s }").await;
    let mut wire = Wire::to(gateway.address).await;
    wire.send("POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"model\":").await;
    assert_eq!(wire.reply().await.status, 408);
    let overhead = eventually("its record", async || {
        let url = format!("http://{}/api/v1/requests", gateway.admin);
        let list: serde_json::Value = http().get(url).send().await.ok()?.json().await.ok()?;
        list["requests"].as_array()?.iter().find(|request| request["status"] == 408)?["overhead_seconds"].as_f64()
    });
    assert!(overhead.await < 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_head_request_has_no_body() {
    let (_sim, gateway) = start("").await;
    let mut wire = Wire::to(gateway.address).await;
    wire.send("HEAD /v1/models HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await;
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut wire.0, &mut answer).await.expect("closed");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_to_come_in_time_and_a_connection_without_one_may_idle() {
    let (_sim, gateway) = start("timeouts: { head: 1s, keepalive: 20s }").await;
    let ask = "GET /livez HTTP/1.1\r\nhost: t\r\n\r\n";
    let mut idle = Wire::to(gateway.address).await;
    // Some clients end a body with a line that does not belong to it: it begins no head.
    idle.send(format!("{ask}\r\n")).await;
    assert_eq!(idle.reply().await.status, 200);
    let mut silent = Wire::to(gateway.address).await;
    let mut again = Wire::to(gateway.address).await;
    again.send(ask).await;
    assert_eq!(again.reply().await.status, 200);
    let mut dripping = Wire::to(gateway.address).await;
    for wire in [&mut silent, &mut again] {
        wire.send(&ask[..20]).await;
    }
    let begun = std::time::Instant::now();
    for byte in ask.bytes().cycle().take_while(|byte| *byte != b'\n').collect::<Vec<_>>().chunks(1).take(5) {
        dripping.send(byte).await;
        time_passes(Duration::from_millis(200)).await;
    }
    for wire in [&mut silent, &mut again, &mut dripping] {
        let reply = wire.reply().await;
        assert_eq!((reply.status, reply.header("connection")), (408, Some("close")));
        let error = &reply.json()["error"];
        assert!(error["message"].as_str().is_some_and(|text| text.contains("timeouts.head")), "{error}");
        assert_eq!(tokio::io::AsyncReadExt::read(&mut wire.0, &mut [0; 1]).await.ok(), Some(0), "closed");
    }
    assert!(begun.elapsed() < Duration::from_secs(6));
    idle.send(ask).await;
    assert_eq!(idle.reply().await.status, 200, "it had no head to send");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_with_a_body_that_breaks_the_rules_of_framing() {
    let (sim, gateway) = start("").await;
    let started = sim.stat("started").await;
    let body = chat("tiny").to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-type: application/json";
    let next = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let large = format!("X: {}\r\n", "y".repeat(100)).repeat(700);
    for (path, authorization) in
        [("/v1/chat/completions", ""), ("/v1/nothing", ""), ("/v1/chat/completions", "x: y\r\n")]
    {
        for (name, chunks) in [
            ("a size that is none", "zz\r\n{}\r\n0\r\n\r\n".to_owned()),
            ("a huge size", "fffffffffffffffff\r\n{}\r\n".into()),
            ("a bad end of a chunk", "2\r\n{}xx0\r\n\r\n".into()),
            ("a size without a line", "2{}\r\n0\r\n\r\n".into()),
            ("leading zeros", format!("{}2\r\n{{}}\r\n0\r\n\r\n", "0".repeat(200))),
            ("huge trailers", format!("2\r\n{{}}\r\n0\r\n{large}\r\n")),
        ] {
            let mut wire = Wire::to(gateway.address).await;
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: t\r\n{authorization}content-type: application/json\r\n\
                 transfer-encoding: chunked\r\n\r\n"
            );
            wire.send(format!("{head}{chunks}{next}")).await;
            let mut answers = Vec::new();
            // The gateway may reset what was not read.
            let read = tokio::io::AsyncReadExt::read_to_end(&mut wire.0, &mut answers);
            let _ = tokio::time::timeout(Duration::from_secs(10), read).await.expect(name);
            let answers = String::from_utf8_lossy(&answers);
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{name} {path}: {answers}");
            assert!(answers.starts_with("HTTP/1.1 40"), "{name} {path}: {answers}");
        }
    }
    assert_eq!(sim.stat("started").await, started, "what follows was no request");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_connection_that_the_engine_closed_meanwhile_costs_no_request() {
    // Far shorter than the gateway believes: every reuse meets a connection that is closed or about to be.
    let sim = Sim::start(&["--ttft", "1ms", "--tokens", "1", "--keep-alive", "20ms"]);
    let gateway = Gateway::ready(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}", sim.url())).await;
    let (client, url) = (http(), gateway.url("/v1/chat/completions"));
    for round in 0..60 {
        // 10 ms to 40 ms: before, at and after the engine's own limit.
        time_passes(Duration::from_millis(10 + round % 31)).await;
        assert_eq!(client.post(&url).json(&chat("tiny")).send().await.expect("answered").status(), 200, "{round}");
    }
    assert!(sim.stat("connections").await > 10, "the engine closed connections all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_id_is_the_callers_or_ours() {
    let (_sim, gateway) = start("").await;
    let send = |id: Option<&str>| {
        let request = http().get(gateway.url("/v1/models"));
        match id {
            Some(id) => request.header("x-request-id", id),
            None => request,
        }
        .send()
    };
    let id = |reply: reqwest::Response| reply.headers()["x-request-id"].to_str().expect("text").to_owned();
    assert_eq!(id(send(Some("abc-1")).await.expect("answered")), "abc-1");
    let (ours, other) = (id(send(None).await.expect("answered")), id(send(None).await.expect("answered")));
    assert!(ours.len() == 32 && ours != other);
    assert_ne!(id(send(Some(&"x".repeat(500))).await.expect("answered")).len(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_may_become_http2_has_to_say_so_in_time() {
    let (_sim, gateway) = start("timeouts: { head: 1s, keepalive: 60s }\n").await;
    let mut wire = Wire::to(gateway.address).await;
    wire.send("PRI").await;
    let since = std::time::Instant::now();
    let mut rest = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut wire.0, &mut rest);
    let _ = tokio::time::timeout(Duration::from_secs(20), read).await.expect("closed");
    assert!(since.elapsed() >= Duration::from_millis(900) && rest.is_empty(), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_end_in_a_torn_preface_are_forgotten_at_once() {
    let (_sim, gateway) = start("limits: { connections: 50 }\ntimeouts: { head: 60s, keepalive: 60s }\n").await;
    for _ in 0..3 {
        let mut wires = Vec::new();
        for _ in 0..40 {
            let mut wire = Wire::to(gateway.address).await;
            wire.send("PRI").await;
            wires.push(wire);
        }
        drop(wires);
        let open = "enginehouse_connections ";
        crate::support::eventually("the connections to be counted out", || async {
            (gateway.metric(open).await < 5.0).then_some(())
        })
        .await;
        assert_eq!(gateway.ask("tiny").await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_before_it_sends_keeps_its_connection_and_one_of_http_1_0_is_not_told() {
    let (_sim, gateway) = start("").await;
    let body = chat("tiny").to_string();
    let fields = format!("content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {}", body.len());
    let mut wire = Wire::to(gateway.address).await;
    for _ in 0..3 {
        wire.send(format!("POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\n{fields}\r\n\r\n")).await;
        let interim = wire.read_until(b"\r\n\r\n").await;
        assert!(interim.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&interim));
        wire.send(&body).await;
        let reply = wire.reply().await;
        assert_eq!(reply.status, 200);
        assert_ne!(reply.header("connection"), Some("close"));
    }
    let mut wire = Wire::to(gateway.address).await;
    wire.send(format!("POST /v1/chat/completions HTTP/1.0\r\n{fields}\r\n\r\n{body}")).await;
    let mut all = String::new();
    let read = tokio::io::AsyncReadExt::read_to_string(&mut wire.0, &mut all);
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("the connection ends").expect("text");
    assert!(all.starts_with("HTTP/1.") && !all.contains(" 100 ") && all.contains(" 200 "), "{all}");
}

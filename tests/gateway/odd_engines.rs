//! Engines, or what stands before them, that answer as no engine should.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Gateway, Sim, chat, http, time_passes};

/// An engine that answers every request with these bytes, over a connection of its own.
async fn scripted(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut request, mut piece) = (Vec::new(), [0; 4096]);
                while !request.windows(4).any(|end| end == b"\r\n\r\n")
                    || !request.ends_with(b"}") && request[0] == b'P'
                {
                    match socket.read(&mut piece).await {
                        Ok(size @ 1..) => request.extend_from_slice(&piece[..size]),
                        _ => return,
                    }
                }
                let _ = socket.write_all(answer).await;
                let _ = socket.shutdown().await;
            });
        }
    });
    address
}

const REDIRECT: &[u8] = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://inside/\r\ncontent-length: 0\r\n\r\n";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn redirects_and_other_protocols_are_told_and_another_engine_answers_where_there_is_one() {
    for (answer, status) in [(REDIRECT, "307"), (SWITCH, "101")] {
        let engine = scripted(answer).await;
        let model = |urls: &str| format!("models: {{ tiny: {{ urls: [{urls}], served_name: tiny, health: off }} }}");
        let gateway = Gateway::ready(&model(&format!("\"http://{engine}\""))).await;
        let reply =
            http().post(gateway.url("/v1/chat/completions")).json(&chat("tiny")).send().await.expect("answered");
        assert_eq!(reply.status(), 502, "{status}");
        let error: Value = reply.json().await.expect("JSON");
        assert_eq!(error["error"]["code"], "engine_answer", "{error}");
        let message = error["error"]["message"].as_str().expect("text");
        assert!(message.contains(status) && !message.contains("inside"), "{message}");
        let sim = Sim::start(&[]);
        let gateway = Gateway::ready(&model(&format!("\"http://{engine}\", \"{}\"", sim.url()))).await;
        for _ in 0..4 {
            assert_eq!(gateway.ask("tiny").await.0, 200, "{status}");
        }
    }
}

/// A bug: an interim answer to a question of the gateway's own ended the task that asks.
#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_are_skipped() {
    let answer: &[u8] =
        b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
        content-length: 64\r\n\r\n{\"object\":\"list\",\"data\":[{\"id\":\"tiny\",\"object\":\"model\",\"x\":1}]} ";
    let engine = scripted(answer).await;
    let gateway = Gateway::start(&format!("models: {{ tiny: {{ urls: [\"http://{engine}\"], health: off }} }}"));
    crate::support::eventually("the engine to be asked what it serves", || async {
        let (status, answer) = gateway.ask("tiny").await;
        (status == 200 && answer["data"][0]["id"] == "tiny").then_some(())
    })
    .await;
    let list: Value = http().get(gateway.url("/v1/models")).send().await.expect("answered").json().await.expect("JSON");
    assert_eq!(list["data"][0]["id"], "tiny", "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_engine_says_of_its_own_connection_stays_there() {
    let answer: &[u8] =
        b"HTTP/1.1 200 OK\r\nconnection: close, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nx-end: 2\r\n\
        content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let engine = scripted(answer).await;
    let yaml = format!("models: {{ tiny: {{ urls: [\"http://{engine}\"], served_name: tiny, health: off }} }}");
    let gateway = Gateway::ready(&yaml).await;
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&chat("tiny")).send().await.expect("answered");
    let headers = reply.headers();
    assert!(!headers.contains_key("x-hop") && !headers.contains_key("keep-alive"), "{headers:?}");
    assert_eq!(headers["x-end"], "2");
}

/// Codex leaves at `response.completed`, others at `[DONE]`: before the engine has ended the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_after_the_last_event_has_all_of_its_stream() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let engine = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            let output = r#"data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#;
            let last = r#"data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
            let _ = socket.write_all(format!("{head}{output}\n\n{last}\n\ndata: [DONE]\n\n").as_bytes()).await;
            // It never ends.
            open.push(socket);
        }
    });
    let yaml = format!(
        "models: {{ tiny: {{ urls: [\"http://{engine}\"], served_name: tiny, health: off }} }}\n\
         aliases: {{ chat: {{ model: tiny, dialect: {{ responses: chat, messages: chat }} }} }}"
    );
    let gateway = Gateway::start(&yaml);
    let body = |model: &str| {
        serde_json::json!({ "model": model, "stream": true, "max_tokens": 9, "input": "hi",
            "messages": [{ "role": "user", "content": "hi" }] })
        .to_string()
    };
    let cases = [
        ("/v1/chat/completions", "tiny", &b"[DONE]\n\n"[..]),
        ("/v1/responses", "chat", b"event: response.completed"),
        ("/v1/messages", "chat", b"event: message_stop"),
    ];
    for (path, model, last) in cases {
        let mut wire = crate::support::Wire::to(gateway.address).await;
        wire.post(path, body(model).as_bytes()).await;
        wire.read_until(last).await;
    }
    let complete = async |alias: &str| {
        gateway.metric(&format!("enginehouse_streams_total{{alias=\"{alias}\",end=\"complete\",model=\"tiny\"}}")).await
    };
    crate::support::eventually("all to be counted as complete", || async {
        (complete("").await == 1.0 && complete("chat").await == 2.0).then_some(())
    })
    .await;
}

/// A bug: what came in full batches was gathered without an end while the caller took nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_takes_nothing_holds_up_its_engine_also_in_a_burst() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let engine = listener.local_addr().expect("an address");
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                if !request.starts_with(b"POST") {
                    return;
                }
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                let _ = socket.write_all(head.as_bytes()).await;
                let event =
                    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(900));
                let four = format!("{:x}\r\n{event}\r\n", event.len()).repeat(4);
                // Far more than all sockets on the way can hold.
                for _ in 0..40_000 {
                    if socket.write_all(four.as_bytes()).await.is_err() {
                        return;
                    }
                    count.fetch_add(four.len(), Ordering::Relaxed);
                    // As an engine that computes: what it has sent is written before the next four are there.
                    time_passes(std::time::Duration::from_millis(1)).await;
                }
            });
        }
    });
    let yaml = format!("models: {{ tiny: {{ urls: [\"http://{engine}\"], served_name: tiny, health: off }} }}");
    let gateway = Gateway::start(&yaml);
    // Several: it depends on the moment whether what comes is a full batch.
    let mut wires = Vec::new();
    for _ in 0..6 {
        let mut wire = crate::support::Wire::to(gateway.address).await;
        wire.post("/v1/chat/completions", b"{\"model\":\"tiny\",\"stream\":true,\"messages\":[]}").await;
        wire.read_until(b"data: ").await;
        wires.push(wire);
    }
    let mut before = 0;
    crate::support::eventually("the engine to be held up", || {
        let now = written.load(Ordering::Relaxed);
        let is_held_up = now > 0 && now == std::mem::replace(&mut before, now);
        async move {
            time_passes(std::time::Duration::from_millis(300)).await;
            is_held_up.then_some(())
        }
    })
    .await;
    let sent = written.load(Ordering::Relaxed);
    assert!(sent < 64 << 20, "{sent} bytes were taken from the engine for callers that take nothing");
}

/// The head of a stream, and what vLLM promises of a response before its engine has taken the request.
const PROMISED: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
    event: response.created\ndata: {\"response\":{\"id\":\"resp_lost\",\"error\":null},\"type\":\"response.created\"}\n\n\
    event: response.in_progress\ndata: {\"response\":{\"id\":\"resp_lost\"},\"type\":\"response.in_progress\"}\n\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_was_only_promised_is_given_by_another_engine() {
    let refusals = [
        // A core that died; one that is paused; one that gave up.
        "",
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"Generation is paused\",\"code\":503}}\n\n",
        "event: response.failed\ndata: {\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"x\"}}}\n\n",
    ];
    for refusal in refusals {
        let answer: &'static str = Box::leak(format!("{PROMISED}{refusal}").into_boxed_str());
        let (engine, sim) = (scripted(answer.as_bytes()).await, Sim::start(&[]));
        let yaml = format!(
            "models: {{ tiny: {{ urls: [\"http://{engine}\", \"{}\"], served_name: tiny, health: off, balance: round_robin }} }}\n\
             retry: {{ budget: 5 }}",
            sim.url()
        );
        let gateway = Gateway::ready(&yaml).await;
        for _ in 0..4 {
            let body = serde_json::json!({ "model": "tiny", "stream": true, "input": "hi" });
            let reply = http().post(gateway.url("/v1/responses")).json(&body).send().await.expect("answered");
            let text = reply.text().await.expect("whole");
            assert!(text.contains("event: response.completed") && !text.contains("resp_lost"), "{refusal}: {text}");
            assert_eq!(text.matches("event: response.created").count(), 1, "{text}");
        }
        let retries = gateway.metrics().await;
        assert!(retries.contains("enginehouse_retries_total"), "it was not met: the test proves nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_torn_is_dropped_before_the_error() {
    let whole = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{whole}\r\n\
         28\r\ndata: {{\"choices\":[{{\"index\":0,",
        whole.len()
    );
    let answer: &'static str = Box::leak(answer.into_boxed_str());
    let engine = scripted(answer.as_bytes()).await;
    let yaml = format!(
        "models: {{ tiny: {{ urls: [\"http://{engine}\"], served_name: tiny, health: off }} }}\n\
         aliases: {{ spoken: {{ model: tiny, dialect: {{ responses: chat, messages: chat }} }} }}"
    );
    let gateway = Gateway::ready(&yaml).await;
    let chat =
        serde_json::json!({ "model": "tiny", "stream": true, "messages": [{ "role": "user", "content": "hi" }] });
    let message =
        serde_json::json!({ "model": "spoken", "stream": true, "max_tokens": 9, "messages": chat["messages"] });
    let response = serde_json::json!({ "model": "spoken", "stream": true, "input": "hi" });
    for (path, body) in [("/v1/chat/completions", chat), ("/v1/messages", message), ("/v1/responses", response)] {
        let reply = http().post(gateway.url(path)).json(&body).send().await.expect("answered");
        let text = reply.text().await.expect("a stream that ends well");
        let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        for event in data.iter().filter(|event| **event != "[DONE]") {
            assert!(serde_json::from_str::<Value>(event).is_ok(), "{path}: half an event: {event}");
        }
        assert!(text.contains("engine_died") && text.contains("\"a\""), "{path}: {text}");
        assert_eq!(path == "/v1/chat/completions", data.last() == Some(&"[DONE]"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_speak_http_is_told_as_such() {
    let strange: [&'static [u8]; 2] =
        [b"220 mail.example ESMTP ready\r\n\r\n", b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n"];
    for answer in strange {
        let engine = scripted(answer).await;
        let yaml = format!("models: {{ tiny: {{ urls: [\"http://{engine}\"], served_name: tiny, health: off }} }}");
        let gateway = Gateway::ready(&yaml).await;
        let (status, error) = gateway.ask("tiny").await;
        assert_eq!((status, &error["error"]["code"]), (502, &Value::from("engine_answer")), "{error}");
        assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains("HTTP/1.1")), "{error}");
    }
}

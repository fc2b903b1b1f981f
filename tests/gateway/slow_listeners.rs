//! Listeners to events that stop reading, while callers ask as fast as they can.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{Gateway, Sim, Wire, eventually, http};

/// Listeners that stop reading. If what they miss was kept for each of them it would be more than a hundred megabytes.
const SLOW: usize = 16;

/// Callers that never rest.
const CALLERS: usize = 8;

/// Events that the gateway keeps for listeners that were away, in bytes.
const KEPT: usize = 4 << 20;

/// More than the kernel keeps for a connection whose client does not read (`net.ipv4.tcp_wmem`), in bytes.
const SOCKETS: usize = 6 << 20;

/// A listener whose kernel takes little for it; it has read how everything is.
async fn listener(gateway: &Gateway, last: Option<&str>) -> (Wire, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 * 1024).expect("small");
    let mut wire = Wire(socket.connect(gateway.admin).await.expect("connected"));
    let place = last.map_or(String::new(), |last| format!("last-event-id: {last}\r\n"));
    wire.send(format!("GET /api/v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\n{place}\r\n")).await;
    let told = wire.read_until(b"\"event\":\"snapshot\"").await;
    (wire, String::from_utf8_lossy(&told).into_owned())
}

/// The number of the last event in a text.
fn last_id(text: &str) -> String {
    text.lines().rev().find_map(|line| line.strip_prefix("id: ")).expect("an event").to_owned()
}

/// Asks until `most` requests are sent by all; each tells much of itself. `heard`: what the one who reads has heard of; the
/// callers are never so far ahead that one on a busy machine could miss something.
async fn ask(
    mut wire: Wire,
    (path, body): (String, String),
    (sent, most): (&AtomicUsize, usize),
    (mut heard, ahead): (watch::Receiver<usize>, usize),
) {
    loop {
        let number = sent.fetch_add(1, Ordering::Relaxed);
        if number >= most {
            return;
        }
        heard.wait_for(|heard| number < heard + ahead).await.expect("it is read");
        let id = format!("{number:0>120}");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer k\r\ncontent-type: application/json\r\nx-request-id: {id}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        wire.send(head + &body).await;
        let reply = wire.reply().await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

/// Reads events until it has heard of `most` requests; nothing may be missing.
async fn hear(mut reader: reqwest::Response, most: usize, told: watch::Sender<usize>) -> usize {
    let (mut heard, mut rest) = (0, Vec::new());
    while heard < most {
        rest.extend(reader.chunk().await.expect("a piece").expect("more"));
        let whole = memchr::memmem::rfind(&rest, b"\n\n").map_or(0, |end| end + 2);
        let messages: Vec<u8> = rest.drain(..whole).collect();
        assert_eq!(memchr::memmem::find(&messages, b"resync"), None, "it missed something after {heard} of {most}");
        heard += memchr::memmem::find_iter(&messages, b"\"unknown_model\"").count();
        told.send_replace(heard);
    }
    heard
}

/// A configuration of names that are long: each request has much to tell.
fn talkative(sim: &Sim) -> (String, String) {
    let [caller, alias, model] = ["c", "a", "m"].map(|letter| letter.repeat(200));
    let yaml = format!(
        "callers: {{ {caller}: {{ keys: [k] }} }}\nmodels: {{ {model}: {{ urls: [\"{}\"], served_name: tiny }} }}\naliases: {{ {alias}: {{ model: {model} }} }}\n",
        sim.url()
    );
    (yaml, format!("/openai/deployments/{alias}/chat/completions?api-version=2024-10-21"))
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_that_stop_reading_cost_little_and_are_told_that_they_missed_something() {
    let sim = Sim::start(&["--ttft", "0ms", "--gap", "0ms"]);
    let (yaml, path) = talkative(&sim);
    let gateway = Gateway::ready(&yaml).await;
    let body = json!({ "max_tokens": 1, "messages": [{ "role": "user", "content": "hi" }] }).to_string();
    let (told, heard) = watch::channel(0);
    let first = Wire::to(gateway.address).await;
    ask(first, (path.clone(), body.clone()), (&AtomicUsize::new(0), 1), (heard.clone(), 1)).await;
    let size = eventually("the first request", async || {
        let url = format!("http://{}/api/v1/requests?limit=1", gateway.admin);
        let list = http().get(url).send().await.expect("answered").text().await.expect("text");
        list.contains("0000").then_some(list.len())
    })
    .await;
    // So many that nothing of the beginning is kept, in the gateway or in buffers of sockets.
    let most = (KEPT + SOCKETS) / size;
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(listener(&gateway, None).await);
    }
    // Another one reads, and hears of every request: nobody is held up.
    let url = format!("http://{}/api/v1/events?kinds=requests", gateway.admin);
    let mut reader = http().get(url).send().await.expect("answered");
    assert_eq!(reader.chunk().await.expect("a piece").expect("the first"), ": connected\n\n");
    let before = gateway.resident();
    let since = Instant::now();
    let sent = AtomicUsize::new(0);
    let ahead = KEPT / size / 2;
    let asked = futures::future::join_all((0..CALLERS).map(async |_| {
        let wire = Wire::to(gateway.address).await;
        ask(wire, (path.clone(), body.clone()), (&sent, most), (heard.clone(), ahead)).await;
    }));
    let both = async { tokio::join!(hear(reader, most, told), asked) };
    let (heard, _) = tokio::time::timeout(Duration::from_secs(60), both).await.expect("in time");
    let took = since.elapsed().as_secs_f64();
    let cost = gateway.peak_resident().saturating_sub(before);
    println!(
        "{most} requests of {size} bytes each, {:.0} in a second; {SLOW} slow listeners cost {:.1} MiB",
        most as f64 / took,
        cost as f64 / f64::from(1 << 20)
    );
    assert_eq!(heard, most);
    assert!(cost < 40 << 20, "{} MiB", cost >> 20);
    are_told(&gateway, slow).await;
}

/// One goes on reading, in the order of what happened; another one comes again; the others hear of it, too.
async fn are_told(gateway: &Gateway, mut slow: Vec<(Wire, String)>) {
    let (mut reading, told) = slow.pop().expect("one");
    let place = last_id(&told);
    let rest = reading.read_until(b"\"event\":\"snapshot\"").await;
    let rest = String::from_utf8_lossy(&rest);
    let (before_it, _) =
        rest.split_once("{\"event\":\"resync\"}").expect("it is told before it hears how everything is");
    let ids: Vec<u64> = before_it.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
    assert!(ids.is_sorted() && ids.len() > 1, "{ids:?}");
    let (_again, told) = listener(gateway, Some(&place)).await;
    let first = told.lines().find_map(|line| line.strip_prefix("data: ")).expect("an event");
    assert_eq!(first, "{\"event\":\"resync\"}");
    assert!(last_id(&told).parse::<u64>().expect("a number") > place.parse().expect("a number"));
    let mut lasts = JoinSet::new();
    for (mut wire, _) in slow {
        lasts.spawn(async move { wire.read_until(b"{\"event\":\"resync\"}").await.len() });
    }
    let largest = lasts.join_all().await.into_iter().max().expect("some");
    println!("what a slow listener still got before it was told: at most {} KiB", largest / 1024);
}

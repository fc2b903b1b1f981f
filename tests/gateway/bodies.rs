//! Bodies of every size and framing arrive at the engine as they were sent.

use bytes::Bytes;
use serde_json::Value;

use crate::support::{Gateway, Sim, Wire, http};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// A valid request of about `size` bytes, with the oddities that re-serialising would lose.
fn body(size: usize) -> Vec<u8> {
    let mut body = b"{ \"model\":\"tiny\", \"seed\" : 1.0e2,\"max_tokens\":4, \"zz\":\"\\u00e9\\/\", \"messages\":[{\"role\":\"user\",\"content\":\"".to_vec();
    while body.len() + 64 < size {
        body.extend_from_slice("All work and no play, \u{e9}\u{4f60}. ".as_bytes());
    }
    body.extend_from_slice(b"\"}] }");
    body
}

fn fnv(bytes: &[u8]) -> String {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

fn chunked(body: &[u8], piece: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 64);
    for piece in body.chunks(piece) {
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

async fn send(gateway: &Gateway, framing: &str, body: &[u8]) -> u16 {
    let head = "POST /v1/chat/completions?trace=1&x=%20 HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\n";
    let mut wire = Wire::to(gateway.address).await;
    match framing {
        "length" => {
            wire.send(format!("{head}content-length: {}\r\n\r\n", body.len())).await;
            wire.send(body).await;
        }
        "chunked" => {
            wire.send(format!("{head}transfer-encoding: chunked\r\n\r\n")).await;
            wire.send(chunked(body, 10_000)).await;
        }
        "expect" => {
            wire.send(format!("{head}expect: 100-continue\r\ncontent-length: {}\r\n\r\n", body.len())).await;
            let interim = wire.read_until(b"\r\n\r\n").await;
            assert!(interim.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&interim));
            wire.send(body).await;
        }
        "h2 length" | "h2" => {
            let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("client");
            let url = gateway.url("/v1/chat/completions?trace=1&x=%20");
            let request = client.post(url).header("content-type", "application/json");
            let request = if framing == "h2" {
                let pieces: Vec<_> =
                    body.chunks(10_000).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
                request.body(reqwest::Body::wrap_stream(futures::stream::iter(pieces)))
            } else {
                request.body(body.to_vec())
            };
            let reply = request.send().await.expect("answered");
            assert_eq!(reply.version(), http::Version::HTTP_2);
            return reply.status().as_u16();
        }
        other => panic!("{other}"),
    }
    wire.reply().await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn byte_for_byte_in_every_framing_and_size() {
    let sim = Sim::start(&["--max-model-len", "100000000"]);
    let gateway = Gateway::ready(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}", sim.url())).await;
    for size in [200, 64 * KIB - 1, 64 * KIB + 1, 300 * KIB, 5 * MIB] {
        let body = body(size);
        for framing in ["length", "chunked", "expect", "h2 length", "h2"] {
            assert_eq!(send(&gateway, framing, &body).await, 200, "{framing} {size}");
            let seen = sim.last_request().await;
            assert_eq!(seen["body_length"], body.len(), "{framing} {size}");
            assert_eq!(seen["body_fnv1a64"], fnv(&body), "{framing} {size}: not the bytes that were sent");
            assert_eq!(seen["target"], "/v1/chat/completions?trace=1&x=%20", "{framing}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_body_is_held_at_most_twice() {
    let sim = Sim::start(&["--max-model-len", "100000000"]);
    let yaml = format!(
        "models: {{ tiny: {{ urls: [\"{}\"], served_name: tiny }} }}\n\
         aliases: {{ a: {{ model: tiny, overrides: {{ temperature: 0 }} }} }}",
        sim.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    let small = body(KIB);
    assert_eq!(send(&gateway, "length", &small).await, 200);
    let before = gateway.peak_resident();
    let mut large = body(64 * MIB - 100);
    let at = memchr::memmem::find(&large, b"tiny").expect("model");
    large.splice(at..at + 4, *b"a");
    for framing in ["length", "chunked"] {
        assert_eq!(send(&gateway, framing, &large).await, 200, "{framing}");
        let cost = gateway.peak_resident() - before;
        let times = cost as f64 / large.len() as f64;
        println!("{framing}: a body of {} MiB cost {times:.2} times its size", large.len() / MIB);
        assert!(times < 2.2, "{framing}: {times:.2} times");
    }
    let seen = sim.last_request().await;
    assert_eq!(seen["body_length"], large.len() + 3 + ",\"temperature\":0".len());
}

#[tokio::test(flavor = "multi_thread")]
async fn gzip_is_decoded_and_forwarded_plain() {
    use std::io::Write;
    let sim = Sim::start(&[]);
    let gateway = Gateway::ready(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}", sim.url())).await;
    let plain = body(100 * KIB / 40);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&plain).expect("gzip");
    let request = http().post(gateway.url("/v1/chat/completions")).header("content-type", "application/json");
    let reply = request.header("content-encoding", "gzip").body(encoder.finish().expect("gzip")).send().await;
    assert_eq!(reply.expect("answered").status(), 200);
    let seen = sim.last_request().await;
    assert_eq!(seen["body_fnv1a64"], fnv(&plain));
    let headers = seen["headers"].as_array().expect("headers");
    assert!(!headers.iter().any(|pair| pair[0] == "content-encoding"), "{headers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_hold_no_memory_and_small_bodies_that_stop_coming_give_way() {
    let sim = Sim::start(&["--max-model-len", "100000000"]);
    let yaml = format!(
        "models: {{ tiny: {{ urls: [\"{}\"] }} }}\nlimits: {{ body: 1MiB, body_memory: 1MiB }}\ntimeouts: {{ body: 60s }}",
        sim.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n";
    let mut promises = Vec::new();
    for _ in 0..40 {
        let mut wire = Wire::to(gateway.address).await;
        wire.send(head).await;
        promises.push(wire);
    }
    assert_eq!(send(&gateway, "length", &body(500_000)).await, 200);
    // Now each of them holds nearly all it promised: together more than there is.
    for wire in &mut promises {
        wire.send(&[b' '; 24_000]).await;
    }
    crate::support::eventually("all that came to be held", || async {
        (gateway.metric("enginehouse_request_body_bytes").await >= 40.0 * 24_000.0).then_some(())
    })
    .await;
    crate::support::eventually("the slow ones to give way", || async {
        (send(&gateway, "length", &body(500_000)).await == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_bodies_at_once_are_shed() {
    let sim = Sim::start(&[]);
    let yaml = format!(
        "models: {{ tiny: {{ urls: [\"{}\"] }} }}\nlimits: {{ body: 64KiB, body_memory: 64KiB }}\ntimeouts: {{ body: 20s }}",
        sim.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n";
    let mut first = Wire::to(gateway.address).await;
    first.send(head).await;
    first.send(&[b' '; 50_000]).await;
    crate::support::eventually("the first body to be reserved", || async {
        (gateway.metric("enginehouse_request_body_bytes").await >= 50_000.0).then_some(())
    })
    .await;
    let mut second = Wire::to(gateway.address).await;
    second.send(head).await;
    second.send(&[b' '; 60_000]).await;
    let reply = second.reply().await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert_eq!(reply.json()["error"]["code"], Value::from("overloaded"));
    drop(first);
    crate::support::eventually("the memory to be given back", || async {
        (gateway.metric("enginehouse_request_body_bytes").await == 0.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_large_bodies_goes_back_to_the_system() {
    let sim = Sim::start(&["--max-model-len", "100000000"]);
    let yaml = format!(
        "models: {{ tiny: {{ urls: [\"{}\"], served_name: tiny }} }}\naliases: {{ a: {{ model: tiny, overrides: {{ seed: 1 }} }} }}",
        sim.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    // Changed on its way by the alias, so that there is a copy.
    let mut large = body(8 * MIB);
    let at = memchr::memmem::find(&large, b"tiny").expect("model");
    large.splice(at..at + 4, *b"a");
    assert_eq!(send(&gateway, "length", &body(1000)).await, 200);
    let idle = gateway.resident();
    let statuses = futures::future::join_all((0..12).map(|_| send(&gateway, "length", &large))).await;
    assert_eq!(statuses, [200; 12]);
    let peak = gateway.peak_resident();
    assert!(peak > idle + 40 * MIB as u64, "{idle} and at most {peak}: nothing was there to give back");
    crate::support::eventually("the memory to be given back", async || {
        (gateway.resident() < idle + 16 * MIB as u64).then_some(())
    })
    .await;
}

/// A body of `size` bytes with one long text.
fn long(model: &str, size: usize) -> Vec<u8> {
    let text = "x".repeat(size);
    format!("{{\"model\":\"{model}\",\"max_tokens\":1,\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}")
        .into_bytes()
}

fn zipped(plain: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).expect("compressed");
    encoder.finish().expect("compressed")
}

/// Every byte of every copy counts: inflated, kept for a fallback or a mirror, or taken apart for a translation.
#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_within_the_limit_whatever_bodies_come() {
    let sim = Sim::start(&["--max-model-len", "100000000", "--ttft", "300ms"]);
    let yaml = format!(
        "models: {{ tiny: {{ urls: [\"{0}\"] }}, other: {{ urls: [\"{0}\"], served_name: tiny }} }}\n\
         limits: {{ body: 32MiB, body_memory: 64MiB }}\n\
         aliases: {{ fallback: {{ model: tiny, fallback: [other] }}, mirror: {{ model: tiny, mirror: {{ to: other, percent: 100 }} }}, \
         chat: {{ model: tiny, dialect: {{ responses: chat }} }} }}",
        sim.url()
    );
    let (bomb, mut tree) = (zipped(&long("tiny", 24 * MIB)), b"{\"model\":\"chat\",\"input\":[".to_vec());
    tree.extend_from_slice(&b"[],".repeat(MIB));
    tree.extend_from_slice(b"[]]}");
    let attacks = [
        ("bombs", "/v1/chat/completions", Some("gzip"), bomb),
        ("fallbacks", "/v1/chat/completions", None, long("fallback", 6 * MIB)),
        ("mirrors", "/v1/chat/completions", None, long("mirror", 6 * MIB)),
        ("trees", "/v1/responses", None, tree),
    ];
    for (name, path, encoding, body) in attacks {
        let gateway = Gateway::ready(&yaml).await;
        assert_eq!(gateway.ask("tiny").await.0, 200);
        let idle = gateway.resident();
        let sends = (0..24).map(|_| {
            let mut request =
                http().post(gateway.url(path)).header("content-type", "application/json").body(body.clone());
            if let Some(encoding) = encoding {
                request = request.header("content-encoding", encoding);
            }
            request.send()
        });
        let statuses: Vec<u16> = futures::future::join_all(sends)
            .await
            .into_iter()
            .map(|reply| reply.expect("answered").status().as_u16())
            .collect();
        let cost = (gateway.peak_resident() - idle) >> 20;
        println!("{name}: {cost} MiB above idle, {statuses:?}");
        assert!(cost <= 64 * 5 / 4 + 64, "{name}: {cost} MiB above idle, {statuses:?}");
        assert!(statuses.iter().all(|status| [200, 400, 503].contains(status)), "{name}: {statuses:?}");
        crate::support::eventually("all of it to be given back", || async {
            (gateway.metric("enginehouse_request_body_bytes").await == 0.0).then_some(())
        })
        .await;
    }
}

/// Promises that are not kept hold no memory, and slow bodies give way to others.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_announced_and_do_not_come_keep_nobody_out() {
    use tokio::io::AsyncWriteExt;
    let sim = Sim::start(&[]);
    let yaml =
        format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}\nlimits: {{ body: 1MiB, body_memory: 1MiB }}", sim.url());
    let gateway = Gateway::ready(&yaml).await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n";
    let mut promises = Vec::new();
    for sent in [0, 0, 0, 0, 700 * KIB] {
        let mut socket = tokio::net::TcpStream::connect(gateway.address).await.expect("connected");
        socket.write_all(head.as_bytes()).await.expect("written");
        socket.write_all(&vec![b' '; sent]).await.expect("written");
        promises.push(socket);
    }
    crate::support::eventually("the last one to be held", || async {
        (gateway.metric("enginehouse_request_body_bytes").await >= 700_000.0).then_some(())
    })
    .await;
    crate::support::eventually("a whole body to take the place of one that does not come", || async {
        let body = long("tiny", 500 * KIB);
        let reply =
            http().post(gateway.url("/v1/chat/completions")).header("content-type", "application/json").body(body);
        let status = reply.send().await.expect("answered").status();
        assert!(status == 200 || status == 503 || status == 400, "{status}");
        (status != 503).then_some(())
    })
    .await;
    drop(promises);
}

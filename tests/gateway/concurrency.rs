//! Many callers at once, and what they cost.

use std::time::Duration;

use serde_json::json;

use crate::support::{Gateway, Sim, Wire, eventually};

const STREAMS: usize = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_cost_less_than_64_mib() {
    let sim = Sim::start(&["--ttft", "5ms", "--gap", "200ms", "--concurrency", "2000", "--max-model-len", "1000000"]);
    let gateway = Gateway::ready(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}", sim.url())).await;
    let body = json!({ "model": "tiny", "messages": [{ "role": "user", "content": "hi" }], "stream": true, "max_tokens": 5000 });
    let body = body.to_string();
    let open = || async {
        let mut wire = Wire::to(gateway.address).await;
        wire.post("/v1/chat/completions", body.as_bytes()).await;
        wire
    };
    // One first, so that what every gateway allocates once is not counted.
    drop(open().await.read_until(b"data: ").await);
    eventually("the first to be gone", || async { (sim.stat("in_flight").await == 0).then_some(()) }).await;
    let idle = gateway.resident();
    let mut wires = Vec::new();
    for _ in 0..STREAMS {
        wires.push(open().await);
    }
    for wire in &mut wires {
        wire.read_until(b"data: ").await;
    }
    eventually("all streams to run", || async { (sim.stat("in_flight").await == STREAMS as u64).then_some(()) }).await;
    // Some more events each, so that buffers are as large as they get.
    for _ in 0..5 {
        for wire in &mut wires {
            tokio::time::timeout(Duration::from_secs(30), wire.read_until(b"data: ")).await.expect("a further event");
        }
    }
    let cost = gateway.resident().saturating_sub(idle);
    println!(
        "{STREAMS} streams cost {:.1} MiB over idle, {} KiB each",
        cost as f64 / 1048576.0,
        cost / 1024 / STREAMS as u64
    );
    assert!(cost < 64 << 20, "{} MiB", cost >> 20);
    drop(wires);
    eventually("all to be gone", || async { (sim.stat("in_flight").await == 0).then_some(()) }).await;
    eventually("all to be accounted for", || async {
        (gateway.metric("enginehouse_requests_in_flight{alias=\"\",model=\"tiny\"}").await == 0.0
            && gateway.metric("enginehouse_connections ").await == 0.0)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_told_so() {
    let sim = Sim::start(&[]);
    let yaml = format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}\nlimits: {{ connections: 4 }}", sim.url());
    let gateway = Gateway::ready(&yaml).await;
    eventually("the probe's connections to be gone", || async {
        (gateway.metric("enginehouse_connections ").await == 0.0).then_some(())
    })
    .await;
    let mut kept = Vec::new();
    for _ in 0..4 {
        let mut wire = Wire::to(gateway.address).await;
        wire.send("GET /livez HTTP/1.1\r\nhost: t\r\n\r\n").await;
        assert_eq!(wire.reply().await.status, 200);
        kept.push(wire);
    }
    let reply = Wire::to(gateway.address).await.reply().await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert_eq!(reply.json()["error"]["code"], "too_many_connections");
    assert_eq!(gateway.metric("enginehouse_connections_refused_total").await, 1.0);
    drop(kept);
    eventually("there to be room again", || async {
        let mut wire = Wire::to(gateway.address).await;
        wire.send("GET /livez HTTP/1.1\r\nhost: t\r\n\r\n").await;
        (wire.reply().await.status == 200).then_some(())
    })
    .await;
}

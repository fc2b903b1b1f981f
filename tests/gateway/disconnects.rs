//! A caller that leaves: the engine sees it at once, whatever the request was doing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::support::{Gateway, Sim, Wire, eventually, http};

fn now_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(now.as_micros()).expect("fits")
}

/// Time from `left` until the engine saw the last disconnect.
async fn noticed(sim: &Sim, aborted: u64, left: u64) -> Duration {
    eventually("the engine to see the disconnect", || async { (sim.stat("aborted").await >= aborted).then_some(()) })
        .await;
    Duration::from_micros(sim.stat("last_abort_micros").await.saturating_sub(left))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_sees_it_within_100_ms() {
    let sim = Sim::start(&["--gap", "50ms", "--ttft", "200ms", "--tokens", "2000"]);
    let gateway = Gateway::ready(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}", sim.url())).await;
    let body = |stream: bool| json!({ "model": "tiny", "messages": [{ "role": "user", "content": "hi" }], "stream": stream, "max_tokens": 2000 });
    let mut aborted = 0;
    for (what, stream, wait_for, behind) in [
        ("mid-stream", true, Some(&b"data: "[..]), ""),
        ("before the first event", true, None, ""),
        ("a plain request", false, None, ""),
        ("a stray line behind its request", false, None, "\r\n"),
        ("its next request behind the first", true, None, "GET /livez HTTP/1.1\r\nhost: t\r\n\r\n"),
    ] {
        let started = sim.stat("started").await;
        let mut wire = Wire::to(gateway.address).await;
        wire.post("/v1/chat/completions", body(stream).to_string().as_bytes()).await;
        wire.send(behind).await;
        match wait_for {
            Some(mark) => drop(wire.read_until(mark).await),
            None => {
                eventually("the engine to have it", || async { (sim.stat("started").await > started).then_some(()) })
                    .await;
            }
        }
        let left = now_micros();
        drop(wire);
        aborted += 1;
        let took = noticed(&sim, aborted, left).await;
        println!("HTTP/1.1, {what}: seen after {took:?}");
        assert!(took < Duration::from_millis(100), "{what}: {took:?}");
    }
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("client");
    for stream in [true, false] {
        let started = sim.stat("started").await;
        let request = client.post(gateway.url("/v1/chat/completions")).json(&body(stream));
        let pending = tokio::spawn(async move { request.send().await.expect("answered").bytes().await });
        eventually("the engine to have it", || async { (sim.stat("started").await > started).then_some(()) }).await;
        let left = now_micros();
        pending.abort();
        aborted += 1;
        let took = noticed(&sim, aborted, left).await;
        println!("HTTP/2, stream {stream}: seen after {took:?}");
        assert!(took < Duration::from_millis(100), "HTTP/2, stream {stream}: {took:?}");
    }
    eventually("the requests to be accounted for", || async {
        let name =
            "enginehouse_requests_total{alias=\"\",endpoint=\"/v1/chat/completions\",model=\"tiny\",status=\"499\"}";
        (gateway.metric(name).await >= 5.0).then_some(())
    })
    .await;
    assert_eq!(gateway.metric("enginehouse_requests_in_flight{alias=\"\",model=\"tiny\"}").await, 0.0);
    assert_eq!(gateway.metric("enginehouse_engine_requests_in_flight").await, 0.0);
    assert_eq!(
        http().get(gateway.url("/readyz")).send().await.expect("answered").status(),
        200,
        "it is no one's fault"
    );
}

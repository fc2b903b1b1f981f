//! The configuration is reloaded again and again under load: nothing fails, nothing is cut, no engine restarts, no memory
//! stays behind.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::deployment::{Deployment, model};
use crate::support::{Gateway, Sim, chat, eventually, http};

/// Reloads in all; how many of them are a warm-up for the memory.
const RELOADS: usize = 200;
const WARM: usize = 20;

/// Streams that are open all the time.
const STREAMS: usize = 50;

/// Requests each second.
const RATE: u32 = 300;

/// The configuration of reload `number`: it adds, changes and removes an alias, a caller, limits, an alias with a listener of
/// its own and an external model.
fn configuration(number: usize, external: &str) -> String {
    let own = "replicas: 2, gpu_memory: 0.4, args: { ttft: 5ms, gap: 0ms, tokens: 4 }";
    let mut yaml = format!("models:\n{}", model("own", own));
    // One start outlives the next reload, so that requests can be sent there in peace.
    for number in [number, number + 1] {
        let _ = writeln!(yaml, "  external-{number}: {{ urls: [\"{external}\"] }}");
    }
    let temperature = f64::from(u32::try_from(number % 10).expect("small")) / 10.0;
    let _ = writeln!(yaml, "aliases:\n  stable: {{ model: own, overrides: {{ temperature: {temperature} }} }}");
    let _ = writeln!(yaml, "  slow: {{ model: own, overrides: {{ ignore_eos: true }} }}");
    for number in [number, number + 1] {
        let _ = writeln!(yaml, "  alias-{number}: {{ model: own, defaults: {{ seed: {number} }} }}");
        let _ = writeln!(yaml, "  port-{number}: {{ model: own, listen: \"127.0.0.1:0\" }}");
    }
    let _ = writeln!(yaml, "callers:\n  caller-{number}: {{ keys: [key-of-caller-number-{number}] }}\nanonymous: true");
    let _ = writeln!(yaml, "limits: {{ body: {}MiB, connections: {} }}", 1 + number % 3, 5000 + number);
    yaml
}

/// Writes the configuration and reloads it.
async fn reload(deployment: &Deployment, gateway: &Gateway, number: usize, external: &str) -> Value {
    deployment.write(&configuration(number, external), Some(gateway.address));
    let url = format!("http://{}/api/v1/reload", gateway.admin);
    let reply = http().post(url).send().await.expect("answered");
    let report: Value = reply.json().await.expect("JSON");
    assert_eq!(report["outcome"], "applied", "{report}");
    report
}

async fn status(url: String, body: &Value, key: Option<String>) -> u16 {
    let mut request = http().post(url).json(body);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    request.send().await.expect("answered").status().as_u16()
}

/// What reload `number` brought serves, and what it took away does not.
async fn check(gateway: &Gateway, number: usize) {
    let url = || gateway.url("/v1/chat/completions");
    for name in [format!("alias-{number}"), "stable".into()] {
        assert_eq!(status(url(), &chat(&name), None).await, 200, "{name}");
    }
    assert_eq!(status(url(), &chat(&format!("alias-{}", number - 1)), None).await, 404);
    assert_eq!(status(url(), &chat("own"), Some(format!("key-of-caller-number-{number}"))).await, 200);
    assert_eq!(status(url(), &chat("own"), Some(format!("key-of-caller-number-{}", number - 1))).await, 401);
    let own = format!("http://{}/v1/chat/completions", gateway.alias_address(&format!("port-{number}")));
    assert_eq!(status(own, &chat("port"), None).await, 200);
    eventually("the external model to be ready", async || {
        (status(url(), &chat(&format!("external-{number}")), None).await == 200).then_some(())
    })
    .await;
}

/// Asks [`RATE`] times each second until `stop`; what went wrong.
async fn load(gateway: &Gateway, stop: &AtomicBool, sent: &AtomicUsize) -> Vec<String> {
    let (client, url) = (http(), gateway.url("/v1/chat/completions"));
    let mut requests = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    let mut failures = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let name = if sent.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { "own" } else { "stable" };
        let request = client.post(&url).json(&chat(name)).send();
        requests.spawn(async move {
            match request.await {
                Ok(reply) if reply.status() == 200 => reply.text().await.err().map(|error| error.to_string()),
                Ok(reply) => Some(format!("{}: {}", reply.status(), reply.text().await.unwrap_or_default())),
                Err(error) => Some(format!("{error:?}")),
            }
        });
        while let Some(done) = requests.try_join_next() {
            failures.extend(done.expect("a request"));
        }
    }
    while let Some(done) = requests.join_next().await {
        failures.extend(done.expect("a request"));
    }
    failures
}

/// A stream that goes on for ever, read until there was more of it after `stop`; what is wrong with it.
async fn stream(url: String, stop: Arc<AtomicBool>, read: Arc<AtomicUsize>) -> Option<String> {
    let mut body = chat("slow");
    body["stream"] = json!(true);
    let reply = http().post(url).json(&body).header("x-sim-gap", "100ms");
    let mut reply = reply.header("x-sim-tokens", 100_000).send().await.expect("begun");
    let (mut last, mut after) = (String::new(), 0);
    while after < 3 {
        after += usize::from(stop.load(Ordering::Relaxed));
        match reply.chunk().await {
            Ok(Some(piece)) => {
                last = String::from_utf8_lossy(&piece).into_owned();
                if last.contains("\"error\"") {
                    return Some(last);
                }
                read.fetch_add(1, Ordering::Relaxed);
            }
            Ok(None) => return Some(format!("it ended after {last}")),
            Err(error) => return Some(format!("{error:?} after {last}")),
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_reloads_under_load_fail_nothing_cut_nothing_restart_nothing_and_leave_no_memory() {
    let external = Sim::start_model("external", &["--ttft", "0"]);
    let url = external.url();
    let deployment = Deployment::new();
    deployment.write(&configuration(0, &url), None);
    let mut gateway = Gateway::of(deployment.command());
    let pids = gateway.all_ready().await;
    let gateway_ref = &gateway;
    let (stop, sent, read) = (Arc::<AtomicBool>::default(), AtomicUsize::new(0), Arc::<AtomicUsize>::default());
    let mut streams = JoinSet::new();
    for _ in 0..STREAMS {
        streams.spawn(stream(gateway.url("/v1/chat/completions"), stop.clone(), read.clone()));
    }
    eventually("all streams to be open", async || (read.load(Ordering::Relaxed) > STREAMS * 2).then_some(())).await;

    let reloads = async {
        // What requests need for themselves is there before anything is compared.
        let warm = RATE as usize * 3;
        eventually("the load to be under way", async || (sent.load(Ordering::Relaxed) > warm).then_some(())).await;
        let (since, before) = (Instant::now(), sent.load(Ordering::Relaxed));
        let mut memory = Vec::new();
        for number in 1..=RELOADS {
            reload(&deployment, gateway_ref, number, &url).await;
            if number.is_multiple_of(20) || number == 1 {
                check(gateway_ref, number).await;
            }
            if number >= WARM {
                memory.push(gateway_ref.resident());
            }
        }
        let (took, sent) = (since.elapsed(), sent.load(Ordering::Relaxed) - before);
        stop.store(true, Ordering::Relaxed);
        (memory, took, sent)
    };
    let ((memory, took, sent), failures) = tokio::join!(reloads, load(gateway_ref, &stop, &sent));
    let cut: Vec<String> = streams.join_all().await.into_iter().flatten().collect();

    let (first, last) = (memory[0], memory[memory.len() - 1]);
    let steps: Vec<u64> = memory.iter().step_by(30).map(|bytes| bytes >> 10).collect();
    println!(
        "{RELOADS} reloads in {took:.1?}, {sent} requests, {STREAMS} streams, {} and {} MiB resident ({steps:?} KiB)",
        first >> 20,
        last >> 20
    );
    assert_eq!(failures, Vec::<String>::new(), "failed requests");
    assert_eq!(cut, Vec::<String>::new(), "cut streams");
    // What cannot be sent in its time is sent as soon as can be.
    assert!(sent as f64 >= 0.95 * f64::from(RATE) * took.as_secs_f64(), "{sent} requests in {took:?}");
    assert_eq!(gateway.engine_pid("own/0").await, pids[0]);
    assert_eq!(gateway.engine_pid("own/1").await, pids[1]);
    let most = (first + first / 20).max(first + (4 << 20));
    assert!(last <= most, "{} KiB after the first {WARM} reloads, {} KiB after all", first >> 10, last >> 10);
    gateway.stop().await;
    deployment.assert_empty();
}

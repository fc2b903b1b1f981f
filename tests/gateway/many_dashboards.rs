//! What operators who watch cost callers: the latency of requests without and with them, in turn.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::support::large::{ALIASES, SERVERS, large};
use crate::support::{Gateway, Sim, Wire, http};

/// Listeners to all events.
const DASHBOARDS: usize = 50;

/// How often `/metrics` is read.
const SCRAPES: Duration = Duration::from_millis(100);

/// Rounds without and with them, one after the other.
const ROUNDS: usize = 20;

/// How long each is.
const ROUND: Duration = Duration::from_secs(1);

/// Callers, and how often each of them asks.
const CALLERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(10);

/// Listeners that are there, and who reads the metrics; they leave when this is dropped.
async fn watch(admin: SocketAddr) -> JoinSet<()> {
    let mut all = JoinSet::new();
    for _ in 0..DASHBOARDS {
        let mut wire = Wire::to(admin).await;
        wire.send("GET /api/v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await;
        wire.read_until(b": connected").await;
        all.spawn(async move {
            let mut piece = vec![0; 256 * 1024];
            while wire.0.read(&mut piece).await.is_ok_and(|read| read > 0) {}
        });
    }
    all.spawn(async move {
        let (client, mut ticks) = (http(), interval(SCRAPES));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let page = client.get(format!("http://{admin}/metrics")).send().await.expect("answered");
            assert!(page.bytes().await.expect("whole").len() > 10_000);
        }
    });
    all
}

/// The times of the requests of one round, in microseconds.
async fn round(wires: &mut [Wire]) -> Vec<u64> {
    let caller = async |(number, wire): (usize, &mut Wire)| {
        let (mut times, mut ticks) = (Vec::new(), interval(PAUSE));
        let since = Instant::now();
        while since.elapsed() < ROUND {
            ticks.tick().await;
            let model = format!("alias-{}", (number * 61 + times.len()) % ALIASES);
            let message = json!([{ "role": "user", "content": "How are you?" }]);
            let body = json!({ "model": model, "max_tokens": 1, "messages": message }).to_string();
            let length = body.len();
            let head = format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
            );
            let sent = Instant::now();
            wire.send(head + &body).await;
            let reply = wire.reply().await;
            times.push(u64::try_from(sent.elapsed().as_micros()).expect("short"));
            assert_eq!(reply.status, 200, "{reply:?}");
        }
        times
    };
    futures::future::join_all(wires.iter_mut().enumerate().map(caller)).await.concat()
}

/// So many of a hundred are not longer.
fn percentile(times: &mut [u64], share: usize) -> u64 {
    times.sort_unstable();
    times[(times.len() * share / 100).min(times.len() - 1)]
}

/// It takes a build with `--release` and a machine that does nothing else; `conf/measured.md` has its numbers.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures: cargo test --release --test gateway -- --ignored --nocapture many_dashboards"]
async fn callers_do_not_notice_fifty_dashboards_and_many_scrapes() {
    let servers: Vec<Sim> = (0..SERVERS).map(|_| Sim::start(&["--ttft", "0ms", "--gap", "0ms"])).collect();
    let gateway = Gateway::ready(&large(&servers)).await;
    let mut wires = Vec::new();
    for _ in 0..CALLERS {
        wires.push(Wire::to(gateway.address).await);
    }
    round(&mut wires).await;
    let [mut alone, mut watched] = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        alone.extend(round(&mut wires).await);
        let watchers = watch(gateway.admin).await;
        watched.extend(round(&mut wires).await);
        drop(watchers);
    }
    for share in [50, 95, 99] {
        let (alone, watched) = (percentile(&mut alone, share), percentile(&mut watched, share));
        println!(
            "p{share}: {alone} us alone, {watched} us with {DASHBOARDS} dashboards and /metrics every {SCRAPES:?}"
        );
    }
    println!("{} requests alone, {} watched", alone.len(), watched.len());
    let (alone, watched) = (percentile(&mut alone, 99), percentile(&mut watched, 99));
    let more = watched.saturating_sub(alone);
    assert!(more < 200 || more * 20 < alone, "p99 grew from {alone} to {watched} us");
}

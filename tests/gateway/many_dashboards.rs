//! What operators who watch cost callers: the latency of requests without and with them, in turn.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::interval;

use crate::support::large::{ALIASES, SERVERS, large};
use crate::support::watchers::{Watched, Watchers, processor_time_of};
use crate::support::{Gateway, Sim, Wire};

/// Listeners to all events.
const DASHBOARDS: usize = 50;

/// How often `/metrics` is read.
const SCRAPES: Duration = Duration::from_millis(100);

/// Rounds without and with them, one after the other.
const ROUNDS: u32 = 20;

/// How long each is.
const ROUND: Duration = Duration::from_secs(1);

/// Callers, and how often each of them asks.
const CALLERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(10);

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

/// All rounds of one kind.
#[derive(Default)]
struct Rounds {
    times: Vec<u64>,
    /// Time on a processor: of the thread that serves operators, and of the whole gateway.
    cpu: [Duration; 2],
}

impl Rounds {
    async fn one(&mut self, gateway: &Gateway, wires: &mut [Wire]) {
        let used = || [Some("operators"), None].map(|name| processor_time_of(gateway.pid(), name));
        let before = used();
        self.times.extend(round(wires).await);
        for (sum, (after, before)) in self.cpu.iter_mut().zip(used().into_iter().zip(before)) {
            *sum += after.saturating_sub(before);
        }
    }

    /// What of one processor that was, in hundredths.
    fn shares(&self) -> [String; 2] {
        self.cpu.map(share)
    }
}

/// What of one processor this time is in all rounds.
fn share(time: Duration) -> String {
    format!("{:.1} %", 100.0 * time.as_secs_f64() / (ROUND * ROUNDS).as_secs_f64())
}

/// Whether callers notice: their slowest hundredth takes longer by so much that it is no chance.
fn is_noticed(alone: u64, watched: u64) -> bool {
    let more = watched.saturating_sub(alone);
    more > 200 && more * 20 > alone
}

#[test]
fn a_twentieth_and_a_fifth_of_a_millisecond_are_noticed() {
    assert!(!is_noticed(1000, 1200) && is_noticed(1000, 1201), "little, of little");
    assert!(!is_noticed(10_000, 10_500) && is_noticed(10_000, 10_501), "a twentieth");
    assert!(!is_noticed(1000, 900));
}

/// It takes a build with `--release` and a machine that does nothing else; `conf/measured.md` has its numbers.
///
/// Callers, engines and the gateway share the machine. Those who watch do, too, but are not what is measured: in
/// truth their processors are others. So they are one thread of the lowest priority that copies nothing of what it is sent
/// (`support::watchers`), and how much it used is printed. What the gateway does for them is all in the figures: it makes and
/// sends all events to each of them, and the kernel takes them to the other end in its time. They come before a round and
/// leave after it: open dashboards are measured, not the moment when they are opened.
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
    let (mut alone, mut watched, mut them) = (Rounds::default(), Rounds::default(), Watched::default());
    for _ in 0..ROUNDS {
        alone.one(&gateway, &mut wires).await;
        let watchers = Watchers::come(gateway.admin, DASHBOARDS, SCRAPES);
        watched.one(&gateway, &mut wires).await;
        let did = watchers.leave();
        them =
            Watched { cpu: them.cpu + did.cpu, events: them.events + did.events, metrics: them.metrics + did.metrics };
    }
    println!("{} requests alone, {} watched", alone.times.len(), watched.times.len());
    for share in [50, 90, 95, 99] {
        let (alone, watched) = (percentile(&mut alone.times, share), percentile(&mut watched.times, share));
        println!(
            "p{share}: {alone} us alone, {watched} us with {DASHBOARDS} dashboards and /metrics every {SCRAPES:?}"
        );
    }
    println!("of a processor: {:?} for operators and all of the gateway, alone", alone.shares());
    println!("{:?} watched; those who watch: {}", watched.shares(), share(them.cpu));
    println!("{} MB of events and {} MB of metrics were sent", them.events / 1_000_000, them.metrics / 1_000_000);
    let (alone, watched) = (percentile(&mut alone.times, 99), percentile(&mut watched.times, 99));
    assert!(!is_noticed(alone, watched), "p99 grew from {alone} to {watched} us");
}

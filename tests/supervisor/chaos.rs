//! Engines are killed again and again under load: no plain request fails while the other replica lives, and afterwards
//! there is exactly what should be. `ENGINEHOUSE_CHAOS_CYCLES` sets how often (`.ci/chaos`).

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::support::deployment::{Deployment, model};
use crate::support::load::Load;
use crate::support::processes;
use crate::support::{Gateway, eventually, port_of, time_passes};

const RESTART: &str = "restart: { initial_backoff: 10ms, max_backoff: 20ms, crashes: 1000 }, stop_timeout: 3s";

fn cycles(few: usize) -> usize {
    std::env::var("ENGINEHOUSE_CHAOS_CYCLES").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

/// Kills random engines of `own` under load, `cycles` times; then holds everything against what should be.
/// `each`: how many processes an engine has at least.
async fn chaos(faults: &str, cycles: usize, each: usize) {
    let since = Instant::now();
    let env =
        if faults.is_empty() { String::new() } else { format!("env: {{ ENGINEHOUSE_SIM_FAULTS: \"{faults}\" }}") };
    let speed = "args: { ttft: 10ms, gap: 1ms, tokens: 10 }";
    let yaml = format!("models:\n{}", model("own", &format!("replicas: 2, {speed}, {RESTART}, {env}")));
    let (deployment, mut gateway) = Deployment::open(&yaml);
    let mut pids = gateway.all_ready().await;
    let ports = ports(&gateway).await;
    assert_eq!(steady(&deployment, &gateway, &pids, each).await, 2 * each, "before");

    let load = Load::start(gateway.address, "own", 8);
    load.answered(20).await;
    for _ in 0..cycles {
        let victim = fastrand::usize(0..2);
        time_passes(Duration::from_millis(fastrand::u64(0..10))).await;
        processes::kill(pids[victim]);
        pids[victim] = gateway.ready_again(&format!("own/{victim}"), pids[victim]).await;
    }
    load.answered(20).await;
    let tally = load.stop_unharmed().await;
    println!(
        "{cycles} kills ({faults}): {} answers, {} streams cut, in {:.1?}",
        tally.whole.load(Ordering::Relaxed),
        tally.cut.load(Ordering::Relaxed),
        since.elapsed()
    );

    assert_eq!(self::ports(&gateway).await, ports, "a restart keeps the port");
    assert_eq!(steady(&deployment, &gateway, &pids, each).await, 2 * each, "afterwards");
    let mut listened: Vec<u16> = processes::listened(&everybody(&deployment));
    listened.retain(|port| ![gateway.address.port(), gateway.admin.port()].contains(port));
    let mut expected = ports.clone();
    expected.sort_unstable();
    assert_eq!(listened, expected, "who listens");

    gateway.stop().await;
    deployment.assert_empty();
    for port in ports {
        assert!(processes::is_free(port), "{port} is still taken");
    }
}

async fn ports(gateway: &Gateway) -> Vec<u16> {
    gateway.engines().await.iter().map(port_of).collect()
}

fn everybody(deployment: &Deployment) -> Vec<u32> {
    deployment.processes().iter().map(|stat| stat.pid).collect()
}

/// Waits until the engines' processes are `pids` and `each` - 1 further ones for each, and no child of the gateway is a
/// zombie; how many that is.
async fn steady(deployment: &Deployment, gateway: &Gateway, pids: &[u32], each: usize) -> usize {
    eventually("exactly the expected processes", async || {
        let children: Vec<_> = processes::everybody().into_iter().filter(|stat| stat.parent == gateway.pid()).collect();
        if children.iter().any(|stat| stat.state == 'Z') {
            return None;
        }
        let mut all: Vec<u32> = deployment.engine_processes().iter().map(|stat| stat.pid).collect();
        all.extend(deployment.strays());
        all.extend(children.iter().map(|stat| stat.pid));
        all.sort_unstable();
        all.dedup();
        (pids.iter().all(|pid| all.contains(pid)) && all.len() == pids.len() * each).then_some(all.len())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_killed_under_load_fail_no_request_and_leave_nothing() {
    chaos("", cycles(20), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_do_their_children_in_other_groups() {
    chaos("orphan=own-group", cycles(5), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_do_their_daemons() {
    chaos("orphan,escape", cycles(5), 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_do_daemons_that_cleared_their_environment() {
    chaos("escape=clean", cycles(5), 2).await;
}

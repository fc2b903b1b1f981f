//! Daemons that left their engine's group and session, lost their parent and cleared their environment: each ends with its
//! engine, and with no other.

use reqwest::Method;

use crate::support::deployment::{Deployment, model};
use crate::support::processes;
use crate::support::{Gateway, eventually, http};

/// Two engines, each with such a daemon.
fn yaml() -> String {
    let more = "replicas: 2, restart: { initial_backoff: 10ms }, env: { ENGINEHOUSE_SIM_FAULTS: \"escape=clean\" }";
    format!("models:\n{}", model("own", more))
}

/// The daemon of the last start of the engine `own/{replica}`.
fn daemon(deployment: &Deployment, replica: usize) -> u32 {
    let log = std::fs::read_to_string(deployment.state().join(format!("logs/own_{replica}.log"))).expect("a log");
    let said = log.lines().rev().find_map(|line| line.split_once("escaped, pid ")).expect("a daemon");
    said.1.parse().expect("a number")
}

/// The daemons of both.
fn daemons(deployment: &Deployment) -> [u32; 2] {
    let daemons = [daemon(deployment, 0), daemon(deployment, 1)];
    for pid in daemons {
        assert!(processes::lives(pid), "it does not outlive its parent: it would prove nothing");
        assert!(!deployment.processes().iter().any(|stat| stat.pid == pid), "its environment tells whose it is");
    }
    daemons
}

async fn order(gateway: &Gateway, path: &str) {
    let url = format!("http://{}/api/v1/{path}", gateway.admin);
    let reply = http().request(Method::POST, url).send().await.expect("answered");
    assert_eq!(reply.status(), 200, "{path}");
}

async fn gone(pid: u32) {
    eventually("the daemon to end", async || (!processes::lives(pid)).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_ends_when_its_engine_dies_or_is_stopped() {
    let (deployment, mut gateway) = Deployment::open(&yaml());
    let pids = gateway.all_ready().await;
    let [first, second] = daemons(&deployment);
    processes::kill(pids[0]);
    gone(first).await;
    gateway.ready_again("own/0", pids[0]).await;
    let again = daemons(&deployment);
    assert!(again[0] != first && again[1] == second, "{again:?}");
    order(&gateway, "engines/own/1/stop").await;
    assert!(!processes::lives(second), "its engine is stopped");
    assert!(processes::lives(again[0]), "another engine's lives on");
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_gateway_knows_whose_each_daemon_is() {
    let (deployment, mut gateway) = Deployment::open(&yaml());
    let pids = gateway.all_ready().await;
    let [first, second] = daemons(&deployment);
    gateway.kill();
    processes::kill(pids[0]);
    let mut gateway = deployment.gateway();
    gone(first).await;
    let now = gateway.all_ready().await;
    assert!(now[0] != pids[0] && now[1] == pids[1], "{now:?}");
    assert_eq!(daemon(&deployment, 1), second);
    assert!(processes::lives(second), "its engine was taken over");
    order(&gateway, "engines/own/1/stop").await;
    assert!(!processes::lives(second), "its engine is stopped");
    // And without any gateway.
    let third = daemon(&deployment, 0);
    gateway.kill();
    let mut command = std::process::Command::new(crate::support::BINARY);
    deployment.prepare(&mut command);
    let ended = command.arg("shutdown").arg("--state-dir").arg(deployment.state()).output().expect("it runs");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(!processes::lives(third));
    deployment.assert_empty();
}

/// Where no limit can be set, such daemons look alike for all engines: they end with the gateway at the latest.
#[tokio::test(flavor = "multi_thread")]
async fn without_limits_they_end_with_the_gateway() {
    let deployment = Deployment::new();
    deployment.write(&yaml(), None);
    let gateway = deployment.command();
    let mut command = std::process::Command::new("bash");
    command.args(["-c", "ulimit -x 100; exec \"$0\" \"$@\""]).arg(gateway.get_program()).args(gateway.get_args());
    deployment.prepare(&mut command);
    let mut gateway = Gateway::of(command);
    let pids = gateway.all_ready().await;
    let [first, second] = daemons(&deployment);
    processes::kill(pids[0]);
    gateway.ready_again("own/0", pids[0]).await;
    assert_eq!(gateway.log().matches("cannot be marked with a resource limit").count(), 1, "it is told once");
    assert!(processes::lives(second), "another engine's lives on");
    let third = daemon(&deployment, 0);
    assert!(third != first && processes::lives(third));
    gateway.stop().await;
    deployment.assert_empty();
}

//! Where the access log goes costs requests nothing.

use std::fs::File;
use std::process::Stdio;

use crate::support::deployment::Deployment;
use crate::support::{Gateway, Sim, chat, eventually, http};

/// Lines of the access log that were not written, as the metrics say.
const LOST: &str = "enginehouse_log_lines_lost_total{log=\"access\"}";

/// A gateway whose access log goes to `out`.
fn start(deployment: &Deployment, sim: &Sim, out: impl Into<Stdio>) -> Gateway {
    deployment.write(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}", sim.url()), None);
    let mut command = deployment.command();
    command.stdout(out);
    Gateway::of(command)
}

async fn answers(gateway: &Gateway) {
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&chat("tiny")).send().await.expect("answered");
    assert_eq!(reply.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_behind_the_access_log_costs_no_request_and_lost_lines_are_counted() {
    let (deployment, sim) = (Deployment::new(), Sim::start(&[]));
    let full = File::options().write(true).open("/dev/full").expect("a full disk");
    let mut gateway = start(&deployment, &sim, full);
    gateway.wait_ready().await;
    for _ in 0..3 {
        answers(&gateway).await;
    }
    eventually("lines to be counted", async || (gateway.metric(LOST).await >= 3.0).then_some(())).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_access_log_that_stands_still_costs_no_request_and_lost_lines_are_counted() {
    let (deployment, sim) = (Deployment::new(), Sim::start(&[]));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut gateway = start(&deployment, &sim, writer);
    gateway.wait_ready().await;
    // Each line has the path: soon there are more bytes than may wait.
    let (client, url) = (http(), gateway.url(&format!("/{}", "x".repeat(7000))));
    for _ in 0..1500 {
        assert_eq!(client.get(&url).send().await.expect("answered").status(), 404);
    }
    assert!(gateway.metric(LOST).await > 100.0, "lines that cannot wait are lost");
    answers(&gateway).await;
    drop(reader);
    gateway.stop().await;
}

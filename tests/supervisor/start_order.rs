//! Engines start in groups by `start_order`, and a group that fails does not hold up the next.

use std::time::Duration;

use crate::support::deployment::{Deployment, model};
use crate::support::{eventually, pid_of};

/// Where in the log the line is that says `what` of `engine`.
fn at(log: &str, engine: &str, what: &str) -> usize {
    let wanted = |line: &str| line.contains(what) && line.contains(&format!("engine={engine}"));
    log.lines().position(wanted).unwrap_or_else(|| panic!("no {what} of {engine}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_start_in_order_and_failures_do_not_hold_them_up() {
    let models = [
        model("last", ""),
        model("third", "start_order: 30"),
        model("oom", "start_order: 20, env: { ENGINEHOUSE_SIM_FAULTS: \"oom=100ms\" }"),
        model(
            "stuck",
            "start_order: 20, start_timeout: 1s, stop_timeout: 1s, env: { ENGINEHOUSE_SIM_FAULTS: \"never-ready,ignore-term\" }",
        ),
        model("first", "start_order: 10, env: { ENGINEHOUSE_SIM_FAULTS: \"ready-after=700ms\" }"),
        model("first-too", "start_order: 10, env: { ENGINEHOUSE_SIM_FAULTS: \"ready-after=300ms\" }"),
    ];
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", models.concat()));
    let (status, answer) = gateway.ask("last").await;
    let text = answer["error"]["message"].as_str().expect("a message");
    assert!(status == 503 && text.contains("waits"), "callers hear what it waits for: {text}");
    eventually("the last one to serve", async || (gateway.ask("last").await.0 == 200).then_some(())).await;
    assert!(gateway.started.elapsed() < Duration::from_secs(8));
    let log = gateway.log();
    let (started, ready) = ("engine process started", "engine is ready");
    let firsts = ["first/0", "first-too/0"];
    let first_ready = firsts.map(|engine| at(&log, engine, ready)).into_iter().max().expect("two");
    assert!(firsts.iter().all(|engine| at(&log, engine, started) < at(&log, "first-too/0", ready)), "together");
    for engine in ["oom/0", "stuck/0"] {
        assert!(at(&log, engine, started) > first_ready, "{engine} did not wait");
        assert!(at(&log, engine, "engine failed") < at(&log, "third/0", started), "{engine} was not waited for");
    }
    assert!(at(&log, "last/0", started) > at(&log, "third/0", ready));
    for name in ["first", "first-too", "third", "last"] {
        assert_eq!(gateway.ask(name).await.0, 200, "{name} still serves when all have started");
    }
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_waits_for_engines_that_were_found_loading() {
    let models = [
        model("second", ""),
        model("first", "start_order: 1, env: { ENGINEHOUSE_SIM_FAULTS: \"ready-after=1500ms\" }"),
    ];
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", models.concat()));
    let pid = eventually("the first one's process", async || pid_of(&gateway.engine("first/0").await)).await;
    // Before its process is written down it would be ended and started anew.
    let record = deployment.state().join("engines/first_0.json");
    eventually("its record to name the process", async || {
        std::fs::read_to_string(&record).ok()?.contains(&format!("\"pid\": {pid}")).then_some(())
    })
    .await;
    gateway.kill();
    let mut gateway = deployment.gateway();
    let pids = gateway.all_ready().await;
    assert_eq!(pids[1], pid, "it was taken over");
    let log = gateway.log();
    assert!(at(&log, "second/0", "engine process started") > at(&log, "first/0", "engine is ready"), "it did not wait");
    gateway.stop().await;
    deployment.assert_empty();
}

//! Engines of a model are replaced, one after the other, and requests are served all the while.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::house::{House, model};
use crate::support::load::Load;
use crate::support::processes;
use crate::support::{Gateway, eventually, http};

const QUICK: &str = "ttft: 10ms, gap: 1ms";

/// `POST …/roll`: status and answer.
async fn roll(gateway: &Gateway) -> (u16, Value) {
    let url = format!("http://{}/api/v1/models/own/roll", gateway.admin);
    let reply = http().post(url).send().await.expect("answered");
    (reply.status().as_u16(), reply.json().await.expect("JSON"))
}

/// How the replacement stands, as the API tells it.
async fn status(gateway: &Gateway) -> Value {
    let url = format!("http://{}/api/v1/models/own", gateway.admin);
    let model: Value = http().get(url).send().await.expect("answered").json().await.expect("JSON");
    model["roll"].clone()
}

async fn rolled(gateway: &Gateway) {
    eventually("the roll to end", async || (status(gateway).await["state"] == "done").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_are_rolled_under_load_without_a_failed_request() {
    let own = model("own", &format!("replicas: 2, args: {{ {QUICK} }}"));
    let (house, mut gateway) = House::open(&format!("models:\n{own}"));
    let before = gateway.all_ready().await;
    let load = Load::start(gateway.address, "own", 8);
    load.answered(50).await;
    for _ in 0..3 {
        let (code, answer) = roll(&gateway).await;
        assert_eq!(code, 200, "{answer}");
        load.answered(50).await;
    }
    load.stop_unharmed().await;
    let after = gateway.all_ready().await;
    assert!(after.len() == 2 && before.iter().all(|pid| !after.contains(pid)), "{before:?} {after:?}");
    assert_eq!(status(&gateway).await, json!({ "state": "done", "done": 2, "total": 2, "cause": null }));
    assert_eq!(house.engine_processes().len(), 2);
    gateway.stop().await;
    house.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_replica_is_replaced_by_one_that_is_ready_before_it_goes() {
    let own = model("own", &format!("args: {{ {QUICK} }}, env: {{ ENGINEHOUSE_SIM_FAULTS: \"ready-after=500ms\" }}"));
    let (house, mut gateway) = House::open(&format!("models:\n{own}"));
    let before = gateway.all_ready().await;
    let load = Load::start(gateway.address, "own", 4);
    load.answered(20).await;
    let (code, answer) = roll(&gateway).await;
    assert_eq!(code, 200, "{answer}");
    load.answered(20).await;
    load.stop_unharmed().await;
    let after = gateway.all_ready().await;
    assert!(after.len() == 1 && after != before, "{after:?}");
    // What is left is known by another number, and found again by it.
    gateway.kill();
    let mut gateway = house.gateway();
    assert_eq!(gateway.all_ready().await, after);
    gateway.stop().await;
    house.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_engine_that_fails_stops_the_roll_and_the_other_replica_serves() {
    let good = model("own", &format!("replicas: 2, args: {{ {QUICK} }}, restart: off"));
    let bad = model("own", &format!("replicas: 2, args: {{ {QUICK}, no-such-flag: 1 }}, restart: off"));
    let (house, mut gateway) = House::open(&format!("models:\n{good}"));
    let pids = gateway.all_ready().await;
    gateway.kill();
    // What serves is taken over although its arguments are others now, and replaced like after a reload.
    house.write(&format!("models:\n{bad}"), None);
    let mut gateway = house.gateway();
    eventually("the roll to fail", async || (status(&gateway).await["state"] == "failed").then_some(())).await;
    let load = Load::start(gateway.address, "own", 4);
    load.answered(50).await;
    load.stop_unharmed().await;
    let told = status(&gateway).await;
    assert_eq!((&told["cause"]["engine"], &told["total"]), (&json!("own/0"), &json!(2)), "{told}");
    assert!(told.to_string().contains("no-such-flag"), "{told}");
    let log = gateway.log();
    let reason = log.lines().find(|line| line.contains("has stopped")).unwrap_or_else(|| panic!("{log}"));
    assert!(reason.contains("no-such-flag"), "{reason}");
    assert_eq!(gateway.engine_pid("own/1").await, pids[1], "the other one is left as it was");
    assert!(!processes::lives(pids[0]));
    // An operator's roll tries again, and stops again.
    let (code, answer) = roll(&gateway).await;
    assert_eq!(code, 502, "{answer}");
    assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains("no-such-flag")), "{answer}");
    assert!(processes::lives(pids[1]));
    gateway.kill();
    house.write(&format!("models:\n{good}"), None);
    let mut gateway = house.gateway();
    assert_eq!(gateway.all_ready().await[1], pids[1], "with its old arguments it is as wanted");
    gateway.stop().await;
    house.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_serves_with_old_arguments_is_taken_over_and_replaced_without_a_failed_request() {
    let own = |tokens: usize| model("own", &format!("replicas: 2, args: {{ {QUICK}, tokens: {tokens} }}"));
    let (house, mut gateway) = House::open(&format!("models:\n{}", own(5)));
    let before = gateway.all_ready().await;
    gateway.kill();
    house.write(&format!("models:\n{}", own(7)), None);
    let mut gateway = house.gateway();
    eventually("an answer", async || (gateway.ask("own").await.0 == 200).then_some(())).await;
    let load = Load::start(gateway.address, "own", 4);
    rolled(&gateway).await;
    load.answered(20).await;
    load.stop_unharmed().await;
    assert!(before.iter().all(|pid| !processes::lives(*pid)));
    assert_eq!(gateway.ask("own").await.1["usage"]["completion_tokens"], 7, "the new arguments count");
    gateway.stop().await;
    house.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_killed_in_the_middle_of_a_roll_is_replaced_by_one_that_ends_it() {
    let own = |tokens: usize| {
        let slow = "env: { ENGINEHOUSE_SIM_FAULTS: \"ready-after=300ms\" }";
        model("own", &format!("replicas: 3, args: {{ {QUICK}, tokens: {tokens} }}, {slow}"))
    };
    let (house, mut gateway) = House::open(&format!("models:\n{}", own(5)));
    gateway.all_ready().await;
    gateway.kill();
    house.write(&format!("models:\n{}", own(7)), None);
    for round in 0..4 {
        let mut gateway = house.gateway();
        eventually("the roll to go on", async || status(&gateway).await["total"].as_u64()).await;
        tokio::time::sleep(Duration::from_millis(150 * round)).await;
        gateway.kill();
    }
    let mut gateway = house.gateway();
    rolled_or_done(&gateway).await;
    let pids = gateway.all_ready().await;
    assert_eq!((pids.len(), house.engine_processes().len()), (3, 3), "{:?}", house.engine_processes());
    for _ in 0..9 {
        assert_eq!(gateway.ask("own").await.1["usage"]["completion_tokens"], 7);
    }
    gateway.stop().await;
    house.assert_empty();
}

/// Waits until nothing is left to be replaced; the roll may have ended before this gateway began.
async fn rolled_or_done(gateway: &Gateway) {
    eventually("all to be replaced", async || {
        let status = status(gateway).await;
        let ready = gateway.engines().await.iter().all(|engine| engine["state"] == "ready");
        (ready && (status.is_null() || status["state"] == "done")).then_some(())
    })
    .await;
}

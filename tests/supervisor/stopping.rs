//! SIGTERM to the gateway: requests under way finish, up to the drain deadline, then nothing is left, whatever engines do.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::deployment::{Deployment, model};
use crate::support::{chat, eventually, http, time_passes};

/// What the machine may take on top of every deadline.
const SLACK: Duration = Duration::from_secs(3);

fn faulty(name: &str, faults: &str) -> String {
    model(name, &format!("stop_timeout: 2s, env: {{ ENGINEHOUSE_SIM_FAULTS: \"{faults}\" }}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_finish() {
    let yaml = format!("models:\n{}timeouts: {{ drain: 20s }}\n", model("own", "replicas: 2"));
    let (deployment, mut gateway) = Deployment::open(&yaml);
    gateway.all_ready().await;
    let url = gateway.url("/v1/chat/completions");
    let asked: Vec<_> = (0..8)
        .map(|number| {
            let mut body = chat("own");
            body["stream"] = json!(number % 2 == 0);
            tokio::spawn(http().post(&url).header("x-sim-gap", "40ms").json(&body).send())
        })
        .collect();
    eventually("all to be under way", async || {
        let in_flight =
            gateway.engines().await.iter().map(|engine| engine["in_flight"].as_u64().expect("a number")).sum::<u64>();
        (in_flight == 8).then_some(())
    })
    .await;
    let since = Instant::now();
    gateway.terminate();
    for (number, asked) in asked.into_iter().enumerate() {
        let reply = asked.await.expect("no panic").expect("answered");
        assert_eq!(reply.status(), 200);
        let text = reply.text().await.expect("whole");
        assert!(!text.contains("\"error\""), "{text}");
        assert!(text.contains(if number % 2 == 0 { "[DONE]" } else { "\"stop\"" }), "{text}");
    }
    assert!(since.elapsed() > Duration::from_millis(500), "they were long enough to be cut");
    assert_eq!(gateway.ended().await, Some(0));
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_requests_finish_orders_reloads_and_plans_are_refused_with_the_reason() {
    let yaml = format!("models:\n{}timeouts: {{ drain: 60s }}\n", model("own", "replicas: 2"));
    let (deployment, mut gateway) = Deployment::open(&yaml);
    let pids = gateway.all_ready().await;
    let mut body = chat("own");
    body["stream"] = json!(true);
    let url = gateway.url("/v1/chat/completions");
    let stream = http().post(url).header("x-sim-fault", "hang-after:3").json(&body).send().await.expect("begun");
    gateway.terminate();
    eventually("the end to begin", async || gateway.log().contains("requests under way may finish").then_some(()))
        .await;
    let orders = [
        ("engines/own/0/stop", ""),
        ("models/own/roll?wait=false", ""),
        ("models/own/lora", r#"{"name": "a", "path": "/a"}"#),
        ("reload", ""),
        ("plan", "models: { own: { source: own } }"),
    ];
    for (path, body) in orders {
        let reply = http().post(format!("http://{}/api/v1/{path}", gateway.admin)).body(body).send().await;
        let reply = reply.expect("answered");
        assert_eq!(reply.status(), 409, "{path}");
        let text = reply.text().await.expect("text");
        assert!(text.contains("gateway is shutting down"), "{path}: {text}");
    }
    assert!(pids.iter().all(|pid| crate::support::processes::lives(*pid)), "nothing was begun");
    gateway.terminate();
    drop(stream);
    assert_eq!(gateway.ended().await, Some(0));
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_finish_is_cut_with_an_honest_error() {
    let yaml = format!("models:\n{}timeouts: {{ drain: 1s }}\n", model("own", "stop_timeout: 2s"));
    let (deployment, mut gateway) = Deployment::open(&yaml);
    gateway.all_ready().await;
    let url = gateway.url("/v1/chat/completions");
    let mut body = chat("own");
    let plain = tokio::spawn(http().post(&url).header("x-sim-fault", "hang").json(&body).send());
    body["stream"] = json!(true);
    let stream = http().post(&url).header("x-sim-fault", "hang-after:3").json(&body).send().await.expect("begun");
    eventually("both to be under way", async || (gateway.engine("own/0").await["in_flight"] == 2).then_some(())).await;
    let since = Instant::now();
    gateway.terminate();
    let text = stream.text().await.expect("an orderly end");
    assert!(text.contains("\"delta\"") && text.contains("\"error\""), "{text}");
    let reply = plain.await.expect("no panic").expect("an answer");
    let (status, text) = (reply.status().as_u16(), reply.text().await.expect("a body"));
    assert!((500..600).contains(&status) && text.contains("\"error\""), "{status}: {text}");
    assert_eq!(gateway.ended().await, Some(0));
    let took = since.elapsed();
    println!("cut after {took:.1?}: {status} {text}");
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(3) + SLACK, "{took:?}");
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_whatever_engines_do_and_all_end_at_once() {
    let models = [
        faulty("good", "orphan"),
        faulty("deaf", "ignore-term,orphan=own-group"),
        faulty("deaf-too", "ignore-term,escape"),
        faulty("slow", "slow-term=1s,escape,escape=clean"),
        faulty("too-slow", "slow-term=60s"),
        faulty("loading", "never-ready,swallow-term"),
        faulty("loading-deaf", "never-ready,ignore-term,orphan,escape"),
    ];
    let (deployment, mut gateway) =
        Deployment::open(&format!("models:\n{}timeouts: {{ drain: 1s }}\n", models.concat()));
    for name in ["good", "deaf", "deaf-too", "slow", "too-slow"] {
        eventually("the engine to be ready", async || (gateway.ask(name).await.0 == 200).then_some(())).await;
    }
    assert!(deployment.engine_processes().len() >= 7 + 5, "{:?}", deployment.engine_processes());
    let took = gateway.stop().await;
    println!("seven engines, four of them deaf, ended after {took:.1?}");
    assert!(took < Duration::from_secs(1 + 2) + SLACK, "{took:?}: not at once");
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_right_after_the_start_leaves_nothing() {
    for round in 0..5 {
        let yaml = format!(
            "models:\n{}",
            faulty("own", "ready-after=50ms,orphan").replace("stop_timeout", "replicas: 3, stop_timeout")
        );
        let (deployment, mut gateway) = Deployment::open(&yaml);
        time_passes(Duration::from_millis(10 * round)).await;
        let took = gateway.stop().await;
        assert!(took < Duration::from_secs(2) + SLACK, "{took:?}");
        deployment.assert_empty();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_signal_kills_engines_that_do_not_end() {
    let deaf = model("deaf", "stop_timeout: 60s, env: { ENGINEHOUSE_SIM_FAULTS: \"ignore-term,orphan\" }");
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{deaf}"));
    gateway.all_ready().await;
    gateway.terminate();
    eventually("it to say who is waited for", async || {
        let log = gateway.log();
        log.lines().any(|line| line.contains("waiting for engines") && line.contains("deaf/0 (at most 5")).then_some(())
    })
    .await;
    gateway.terminate();
    eventually("it to say what a third signal does", async || {
        gateway.log().contains("a third signal to stop kills them").then_some(())
    })
    .await;
    assert!(!deployment.engine_processes().is_empty(), "a second signal kills no engine");
    let since = Instant::now();
    gateway.terminate();
    assert_eq!(gateway.ended().await, Some(0));
    assert!(since.elapsed() < Duration::from_secs(2) + SLACK, "{:?}", since.elapsed());
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_requests_finish_new_ones_hear_why_and_both_ports_are_not_ready() {
    let yaml = format!("models:\n{}timeouts: {{ drain: 60s }}\n", model("own", "replicas: 1"));
    let (deployment, mut gateway) = Deployment::open(&yaml);
    gateway.all_ready().await;
    let admin = format!("http://{}/readyz", gateway.admin);
    assert_eq!(http().get(&admin).send().await.expect("answered").status(), 200);
    let mut body = chat("own");
    body["stream"] = json!(true);
    let url = gateway.url("/v1/chat/completions");
    let stream = http().post(&url).header("x-sim-fault", "hang-after:3").json(&body).send().await.expect("begun");
    gateway.terminate();
    eventually("the end to begin", async || gateway.log().contains("requests under way may finish").then_some(()))
        .await;
    let reply = http().get(&admin).send().await.expect("answered");
    assert_eq!(reply.status(), 503);
    assert!(reply.text().await.expect("text").contains("\"shutting_down\":true"));
    for _ in 0..3 {
        // Connections of their own: nothing of them was there before.
        let client = reqwest::Client::new();
        let reply = client.post(&url).json(&chat("own")).send().await.expect("answered, and not refused");
        assert_eq!(reply.status(), 503);
        assert!(reply.headers().contains_key("retry-after"));
        assert!(reply.text().await.expect("text").contains("shutting_down"));
        let ready = client.get(gateway.url("/readyz")).send().await.expect("answered");
        assert_eq!(ready.status(), 503);
    }
    gateway.terminate();
    drop(stream);
    assert_eq!(gateway.ended().await, Some(0));
    deployment.assert_empty();
}

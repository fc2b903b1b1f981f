//! What operators ordered outlasts the gateway, until the file says otherwise.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::deployment::{Deployment, model};
use crate::support::processes;
use crate::support::{Gateway, eventually, http};

/// What the operators' API answers.
async fn api(gateway: &Gateway, method: Method, path: &str, body: &Value) -> Value {
    let url = format!("http://{}/api/v1/{path}", gateway.admin);
    let reply = http().request(method, url).json(body).send().await.expect("answered");
    assert_eq!(reply.status(), 200, "{path}");
    reply.json().await.expect("JSON")
}

async fn scale(gateway: &Gateway, count: usize) {
    api(gateway, Method::PUT, "models/own/replicas", &json!({ "replicas": count })).await;
}

/// The state of each engine, by id.
async fn states(gateway: &Gateway) -> Vec<(String, String)> {
    let text = |engine: &Value, key: &str| engine[key].as_str().expect("text").to_owned();
    gateway.engines().await.iter().map(|engine| (text(engine, "engine"), text(engine, "state"))).collect()
}

/// Waits until there are these engines in these states.
async fn are(gateway: &Gateway, wanted: &[(&str, &str)]) {
    eventually(&format!("{wanted:?}"), async || {
        let states = states(gateway).await;
        let same = states.iter().zip(wanted).all(|((id, state), wanted)| (id.as_str(), state.as_str()) == *wanted);
        (same && states.len() == wanted.len()).then_some(())
    })
    .await;
}

fn orders(deployment: &Deployment) -> Value {
    let text = std::fs::read_to_string(deployment.state().join("orders.json")).expect("a file of orders");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_replicas_outlasts_gateways_until_the_file_says_another() {
    let yaml = |replicas: usize| format!("models:\n{}", model("own", &format!("replicas: {replicas}")));
    let (deployment, mut gateway) = Deployment::open(&yaml(1));
    gateway.all_ready().await;
    scale(&gateway, 3).await;
    let pids = gateway.all_ready().await;
    assert_eq!(pids.len(), 3);
    let models = api(&gateway, Method::GET, "models/own", &Value::Null).await;
    assert_eq!((&models["replicas"], &models["wanted_replicas"]), (&json!(3), &json!(3)));
    gateway.kill();
    let mut gateway = deployment.gateway();
    assert_eq!(gateway.all_ready().await, pids, "all are taken over");
    gateway.stop().await;
    assert_eq!(orders(&deployment)["models"]["own"]["replicas"], json!({ "ordered": 3, "file_value": 1 }));
    let mut gateway = deployment.gateway();
    assert_eq!(gateway.all_ready().await.len(), 3, "they are started again");
    gateway.stop().await;

    deployment.write(&yaml(2), None);
    let mut gateway = deployment.gateway();
    assert_eq!(gateway.all_ready().await.len(), 2, "the file says another number now");
    gateway.stop().await;
    deployment.write(&yaml(1), None);
    let mut gateway = deployment.gateway();
    assert_eq!(gateway.all_ready().await.len(), 1, "what was overtaken does not come back");
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_engine_stays_stopped_until_somebody_starts_it() {
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", model("own", "replicas: 2")));
    let pids = gateway.all_ready().await;
    api(&gateway, Method::POST, "engines/own/0/stop", &Value::Null).await;
    gateway.kill();
    let mut gateway = deployment.gateway();
    are(&gateway, &[("own/0", "stopped"), ("own/1", "ready")]).await;
    assert_eq!(gateway.engine_pid("own/1").await, pids[1]);
    gateway.stop().await;
    let mut gateway = deployment.gateway();
    are(&gateway, &[("own/0", "stopped"), ("own/1", "ready")]).await;
    assert!(!gateway.log().contains("engine process started engine=own/0"), "{}", gateway.log());
    api(&gateway, Method::POST, "engines/own/0/start", &Value::Null).await;
    gateway.kill();
    let mut gateway = deployment.gateway();
    are(&gateway, &[("own/0", "ready"), ("own/1", "ready")]).await;
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_whose_gateway_was_killed_while_it_was_told_to_stop_is_stopped_by_the_next() {
    let slow = "env: { ENGINEHOUSE_SIM_FAULTS: \"slow-term=3s\" }, stop_timeout: 20s";
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", model("own", slow)));
    let pid = gateway.all_ready().await[0];
    let url = format!("http://{}/api/v1/engines/own/0/stop?wait=false", gateway.admin);
    assert_eq!(http().post(url).send().await.expect("answered").status(), 202);
    // A bug: the order was accepted before it was written down.
    gateway.kill();
    assert_eq!(orders(&deployment)["models"]["own"]["stopped"], json!([0]));
    assert!(processes::lives(pid), "it takes its time");
    let mut gateway = deployment.gateway();
    are(&gateway, &[("own/0", "stopped")]).await;
    assert!(!processes::lives(pid));
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_refused_is_told_also_to_those_who_do_not_wait() {
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", model("own", "")));
    gateway.all_ready().await;
    // More engines than the deployment has ports.
    let url = format!("http://{}/api/v1/models/own/replicas?wait=false", gateway.admin);
    let reply = http().put(url).json(&json!({ "replicas": 60 })).send().await.expect("answered");
    assert_eq!(reply.status(), 409);
    let text = reply.text().await.expect("text");
    assert!(text.contains("port"), "{text}");
    assert!(!deployment.state().join("orders.json").exists(), "nothing was ordered");
    gateway.stop().await;
    deployment.assert_empty();
}

/// A bug: what an engine or an adapter's loading refuses was answered with 202.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_engine_refuses_is_told_also_to_those_who_do_not_wait() {
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", model("own", "")));
    gateway.all_ready().await;
    let url = |path: &str| format!("http://{}/api/v1/{path}?wait=false", gateway.admin);
    for path in ["engines/own/0/sleep", "models/own/sleep"] {
        let reply = http().post(url(path)).send().await.expect("answered");
        assert_eq!(reply.status(), 409, "{path}: {}", reply.text().await.expect("text"));
    }
    let adapter = json!({ "name": "sql", "path": "/adapters/sql" });
    let reply = http().post(url("models/own/lora")).json(&adapter).send().await.expect("answered");
    assert_eq!(reply.status(), 409, "{}", reply.text().await.expect("text"));
    let reply = http().delete(url("models/own/lora/sql")).send().await.expect("answered");
    assert_eq!(reply.status(), 404, "{}", reply.text().await.expect("text"));
    gateway.stop().await;
    deployment.assert_empty();
}

/// A bug: the adapter's loading held the model for ever when a reload took the model away meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_a_reload_takes_away_while_an_adapter_loads_can_come_back() {
    let with = format!("models:\n{}{}", model("own", "lora: {}"), model("other", ""));
    let without = format!("models:\n{}", model("other", ""));
    let (deployment, mut gateway) = Deployment::open(&with);
    gateway.all_ready().await;
    let reload = async |yaml: &str| {
        deployment.write(yaml, Some(gateway.address));
        let url = format!("http://{}/api/v1/reload", gateway.admin);
        assert_eq!(http().post(url).send().await.expect("answered").status(), 200);
    };
    let url = format!("http://{}/api/v1/models/own/lora", gateway.admin);
    let adapter = json!({ "name": "sql", "path": "/adapters/slow" });
    let loading = tokio::spawn(http().post(url).json(&adapter).send());
    eventually("the adapter to be under way", async || {
        // Nothing would come of it otherwise.
        let url = format!("http://{}/api/v1/models/own/replicas", gateway.admin);
        let reply = http().put(url).json(&json!({ "replicas": 1 })).send().await.expect("answered");
        reply.text().await.expect("text").contains("an adapter is being added").then_some(())
    })
    .await;
    reload(&without).await;
    reload(&with).await;
    drop(loading.await.expect("a task").expect("answered"));
    eventually("the model to be back", async || {
        let states = states(&gateway).await;
        (states.len() == 2 && states.iter().all(|(_, state)| state == "ready")).then_some(())
    })
    .await;
    let url = format!("http://{}/api/v1/models/own/replicas", gateway.admin);
    let reply = http().put(url).json(&json!({ "replicas": 2 })).send().await.expect("answered");
    assert_eq!(reply.status(), 200, "{}", reply.text().await.expect("text"));
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_cannot_be_read_are_set_aside_and_told() {
    let deployment = Deployment::new();
    deployment.write(&format!("models:\n{}", model("own", "")), None);
    std::fs::create_dir_all(deployment.state()).expect("made");
    let implausible = r#"{"version": 1, "models": {"own": {"replicas": {"ordered": 5000000, "file_value": 1}}}}"#;
    for garbage in ["{", r#"{"version": 99, "models": {"own": {"stopped": [0]}}}"#, implausible, ""] {
        let path = deployment.state().join("orders.json");
        if garbage.is_empty() {
            let _ = std::fs::remove_file(deployment.state().join("orders.json.bad"));
            std::fs::create_dir(path).expect("made");
        } else {
            std::fs::write(path, garbage).expect("written");
        }
        let mut gateway = deployment.gateway();
        are(&gateway, &[("own/0", "ready")]).await;
        let log = gateway.log();
        assert!(log.contains("orders of an earlier gateway") && log.contains("what the configuration says"), "{log}");
        assert!(deployment.state().join("orders.json.bad").exists());
        gateway.stop().await;
    }
    deployment.assert_empty();
}

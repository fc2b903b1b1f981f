//! Operations: what operators have begun can be followed and cancelled, and it is written down who did what.

use std::os::unix::fs::PermissionsExt;

use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::{Gateway, Sim, chat, eventually, http, processes};

async fn call(gateway: &Gateway, method: Method, path: &str) -> (u16, Value) {
    let request = http().request(method, format!("http://{}/api/v1/{path}", gateway.admin));
    let reply = request.header("user-agent", "ops/1").send().await.expect("answered");
    (reply.status().as_u16(), reply.json().await.expect("JSON"))
}

async fn post(gateway: &Gateway, path: &str) -> (u16, Value) {
    call(gateway, Method::POST, path).await
}

async fn get(gateway: &Gateway, path: &str) -> Value {
    let (status, told) = call(gateway, Method::GET, path).await;
    assert_eq!(status, 200, "{path}: {told}");
    told
}

/// The operation of an answer, once it is over.
async fn over(gateway: &Gateway, answer: &Value) -> Value {
    let path = format!("operations/{}", answer["operation"]["id"].as_str().expect("an id"));
    eventually("the operation to be over", async || {
        let operation = get(gateway, &path).await;
        operation["ended"].is_string().then_some(operation)
    })
    .await
}

async fn cancel(gateway: &Gateway, answer: &Value) -> (u16, Value) {
    let id = answer["operation"]["id"].as_str().expect("an id");
    call(gateway, Method::DELETE, &format!("operations/{id}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_engine_gets_no_new_requests_and_finishes_those_it_has() {
    let slow = ["--ttft", "0", "--gap", "5ms", "--max-model-len", "1000000"];
    let sims = [Sim::start(&slow), Sim::start(&slow)];
    let yaml = format!("models: {{ tiny: {{ urls: [\"{}\", \"{}\"] }} }}\n", sims[0].url(), sims[1].url());
    let gateway = Gateway::ready(&yaml).await;
    gateway.all_ready().await;
    let engines = gateway.engines().await;
    let id = |at: usize| engines[at]["engine"].as_str().expect("an id").to_owned();
    let used = async || {
        let mut body = chat("tiny");
        body["max_tokens"] = json!(1);
        let reply = http().post(gateway.url("/v1/chat/completions")).json(&body).send().await.expect("answered");
        (reply.status().as_u16(), reply.text().await.expect("read"))
    };
    let (status, answer) = post(&gateway, &format!("engines/{}/drain", id(0))).await;
    assert_eq!((status, &answer["operation"]["state"]), (200, &json!("done")), "{answer}");
    assert_eq!((&answer["engines"][0]["drained"], &answer["engines"][0]["state"]), (&json!(true), &json!("ready")));
    for _ in 0..6 {
        assert_eq!(used().await.0, 200);
    }
    let requests = eventually("the requests to be listed", async || {
        let told = get(&gateway, "requests").await;
        let requests = told["requests"].as_array().expect("a list").clone();
        (requests.len() >= 6).then_some(requests)
    })
    .await;
    assert!(requests.iter().all(|request| request["engine"] == id(1)), "{requests:?}");

    // A stream that began keeps a drain from being done, not from being begun.
    let mut body = chat("tiny");
    body["stream"] = json!(true);
    body["max_tokens"] = json!(100_000);
    body["ignore_eos"] = json!(true);
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&body).send().await.expect("answered");
    let mut stream = reply.bytes_stream();
    assert!(stream.next().await.expect("a piece").is_ok());
    let (status, answer) = post(&gateway, "models/tiny/drain?wait=false").await;
    assert_eq!((status, &answer["operation"]["state"]), (202, &json!("running")), "{answer}");
    assert_eq!(answer["operation"]["can_be_cancelled"], true);
    let (status, refusal) = used().await;
    assert!(status == 503 && refusal.contains("is drained: an operator keeps requests away"), "{status} {refusal}");
    assert!(stream.next().await.expect("a piece").is_ok(), "it goes on");
    // It is cancelled: requests go there again.
    let (status, view) = cancel(&gateway, &answer).await;
    assert_eq!(status, 202, "{view}");
    assert_eq!((over(&gateway, &answer).await["state"].clone(), used().await.0), (json!("cancelled"), 200));
    assert!(stream.next().await.expect("a piece").is_ok(), "it still goes on");
    let (status, answer) = post(&gateway, "models/tiny/drain?wait=false").await;
    assert_eq!(status, 202);
    drop(stream);
    assert_eq!(over(&gateway, &answer).await["state"], "done");
    assert_eq!(cancel(&gateway, &answer).await.0, 409, "it is over");
    assert_eq!((post(&gateway, "models/tiny/undrain").await.0, used().await.0), (200, 200));
}

/// A bug: an order that was carried out before its answer was told to be under way, or to be done, as it happened.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_before_the_answer_is_told_as_done() {
    let (_deployment, gateway) = Deployment::open("models:\n  own: { source: own, command: [enginehouse, sim] }\n");
    gateway.all_ready().await;
    let mut soon = 0;
    for order in ["stop", "start"].repeat(6) {
        let (status, answer) = post(&gateway, &format!("models/own/{order}?wait=false")).await;
        assert_eq!(status, 202, "{answer}");
        let ended = over(&gateway, &answer).await;
        // What takes less time than an answer waits for a refusal.
        if ended["seconds"].as_f64().expect("a time") < 0.2 {
            assert_eq!(answer["operation"]["state"], "done", "{order}: {answer}");
            soon += 1;
        }
    }
    assert!(soon > 0, "all of them took long");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_a_scaling_and_a_roll_are_followed_and_cancelled() {
    let slow = "env: { ENGINEHOUSE_SIM_FAULTS: \"ready-after=60s\" }";
    let yaml = |args: &str| {
        format!("models:\n  own: {{ source: own, command: [enginehouse, sim], start_timeout: 90s, {args} }}\n")
    };
    let (deployment, gateway) = Deployment::open(&yaml("replicas: 2"));
    gateway.all_ready().await;

    // A roll: the second engine stays as it is.
    deployment.write(&yaml(&format!("replicas: 2, {slow}")), Some(gateway.address));
    assert_eq!(post(&gateway, "reload").await.0, 200);
    let (status, refusal) = post(&gateway, "models/own/roll?wait=false").await;
    assert!(status == 202, "{status} {refusal}");
    let (status, view) = cancel(&gateway, &refusal).await;
    assert_eq!(status, 202, "{view}");
    assert_eq!(over(&gateway, &refusal).await["state"], "cancelled");
    let model = get(&gateway, "models/own").await;
    assert_eq!((&model["roll"]["state"], &model["ready"]), (&json!("cancelled"), &json!(true)), "{model}");

    // A start that takes long.
    let id = "own/0";
    assert_eq!(post(&gateway, &format!("engines/{id}/stop")).await.0, 200);
    let (status, answer) = post(&gateway, &format!("engines/{id}/start?wait=false")).await;
    assert_eq!((status, &answer["operation"]["action"]), (202, &json!("start")), "{answer}");
    let listed = get(&gateway, "operations").await;
    assert_eq!(listed["operations"][0]["id"], answer["operation"]["id"]);
    assert_eq!(cancel(&gateway, &answer).await.0, 202);
    let ended = over(&gateway, &answer).await;
    assert_eq!((&ended["state"], ended["error"].is_string()), (&json!("cancelled"), true), "{ended}");
    eventually("the engine to be stopped", async || {
        (get(&gateway, &format!("engines/{id}")).await["state"] == "stopped").then_some(())
    })
    .await;

    // What cannot be undone, or is not there.
    let (status, answer) = post(&gateway, "models/own/stop?wait=false").await;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(cancel(&gateway, &answer).await.0, 409);
    assert_eq!(call(&gateway, Method::DELETE, "operations/none").await.0, 404);
    assert_eq!(call(&gateway, Method::GET, "operations/none").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_what_is_written_down_without_secrets_and_is_there_after_a_restart() {
    let yaml = "models:\n  m: { source: m, command: [enginehouse, sim] }\n";
    let (deployment, mut gateway) = Deployment::open(yaml);
    gateway.all_ready().await;
    let url = |path: &str| format!("http://{}/api/v1/{path}", gateway.admin);
    let key = "a-key-that-nobody-may-read";
    let reply = http().put(url("callers/bot")).json(&json!({ "keys": [key] })).send().await.expect("answered");
    assert_eq!(reply.status(), 201);
    assert_eq!(post(&gateway, "models/m/restart").await.0, 200);
    assert_eq!(post(&gateway, "models/none/restart").await.0, 404);
    assert_eq!(post(&gateway, "reload").await.0, 200);
    let path = deployment.state().join("audit.log");
    let text = std::fs::read_to_string(&path).expect("written");
    assert!(!text.contains(key), "{text}");
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    gateway.stop().await;
    let gateway = deployment.gateway();
    let told = get(&gateway, "audit?limit=4").await;
    let entries = told["entries"].as_array().expect("a list");
    let short: Vec<String> = entries
        .iter()
        .map(|entry| {
            format!(
                "{} {} {}",
                entry["request"].as_str().expect("text"),
                entry["status"],
                entry["detail"].as_str().expect("text")
            )
        })
        .collect();
    assert_eq!(
        short,
        [
            "POST /api/v1/reload 200 reload the configuration file",
            "POST /api/v1/models/none/restart 404 none: restart",
            "POST /api/v1/models/m/restart 200 m: restart",
            "PUT /api/v1/callers/bot 201 caller `bot` is {\"keys\":[\"***\"]}",
        ]
    );
    let operator = &entries[0]["operator"];
    assert_eq!((&operator["agent"], &operator["login"]), (&json!("ops/1"), &json!("none")));
    assert!(operator["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")), "{operator}");
    assert!(entries[1]["error"].as_str().is_some_and(|error| error.contains("no model `none`")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_threads_step_back_and_engines_that_they_have_started_do_not() {
    let gateway = Gateway::ready("models:\n  own: { source: own, command: [enginehouse, sim] }\n").await;
    let own = processes::stat(std::process::id()).expect("this test").nice;
    let before = gateway.engine_pid("own/0").await;
    assert_eq!(post(&gateway, "engines/own/0/restart").await.0, 200);
    let more = http().put(format!("http://{}/api/v1/models/own/replicas", gateway.admin));
    assert_eq!(more.json(&json!({ "replicas": 2 })).send().await.expect("answered").status(), 200);
    gateway.all_ready().await;
    for id in ["own/0", "own/1"] {
        let pid = gateway.engine_pid(id).await;
        assert_ne!(pid, before, "{id}");
        let engine = processes::stat(pid).expect("it runs");
        assert_eq!(engine.nice, own, "{engine:?}");
    }
    let threads = processes::threads(gateway.pid());
    let (operators, others): (Vec<_>, Vec<_>) = threads.iter().partition(|thread| thread.name.starts_with("operators"));
    // What was done is in the audit log, which another thread writes.
    assert!(operators.len() >= 2, "{threads:?}");
    assert!(operators.iter().all(|thread| thread.nice == (own + 10).min(19)), "{operators:?}");
    assert!(others.iter().all(|thread| thread.nice == own), "{others:?}");
}

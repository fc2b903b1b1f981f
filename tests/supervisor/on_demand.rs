//! Models that are loaded when a request needs them, and that have GPUs in turns.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::deployment::{Deployment, model};
use crate::support::load::Load;
use crate::support::machine::{DRIVER, GIB, Idler, Machine};
use crate::support::processes;
use crate::support::{Gateway, Wire, chat, eventually, http};

/// Two models on one GPU, of which only one has room at a time.
fn two(of_each: &str) -> String {
    let of_each = format!("gpus: [0], gpu_memory: 0.9, load: on_demand, {of_each}");
    format!("models:\n{}{}", model("a", &of_each), model("b", &of_each))
}

/// What the operators' API answers.
async fn api(gateway: &Gateway, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let url = format!("http://{}/api/v1/{path}", gateway.admin);
    let reply = http().request(method, url).json(body).send().await.expect("answered");
    (reply.status().as_u16(), reply.json().await.expect("JSON"))
}

async fn order(gateway: &Gateway, path: &str) -> (u16, Value) {
    api(gateway, Method::POST, path, &Value::Null).await
}

/// The state of each engine, by id.
async fn states(gateway: &Gateway) -> Vec<(String, String)> {
    let text = |engine: &Value, key: &str| engine[key].as_str().expect("text").to_owned();
    gateway.engines().await.iter().map(|engine| (text(engine, "engine"), text(engine, "state"))).collect()
}

/// Waits until there are these engines in these states.
async fn are(gateway: &Gateway, wanted: &[(&str, &str)]) {
    let wanted: Vec<(String, String)> = wanted.iter().map(|(id, state)| ((*id).into(), (*state).into())).collect();
    eventually(&format!("{wanted:?}"), async || (states(gateway).await == wanted).then_some(())).await;
}

async fn serves(gateway: &Gateway, name: &str) {
    let (status, body) = gateway.ask(name).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["model"], name);
}

/// A stream of `model` that takes about `seconds`; its text once it is over.
fn stream(gateway: &Gateway, model: &str, seconds: u64) -> tokio::task::JoinHandle<String> {
    let mut body = chat(model);
    (body["stream"], body["max_tokens"]) = (json!(true), json!(seconds * 10));
    let request = http().post(gateway.url("/v1/chat/completions")).json(&body);
    let request = request.header("x-sim-gap", "100ms").header("x-sim-tokens", (seconds * 10).to_string());
    tokio::spawn(async move {
        let reply = request.send().await.expect("answered");
        assert_eq!(reply.status(), 200);
        reply.text().await.expect("a whole stream")
    })
}

/// Waits until the model has so many attempts under way.
async fn has_under_way(gateway: &Gateway, name: &str, count: u64) {
    eventually("a request under way", async || {
        let (_, model) = api(gateway, Method::GET, &format!("models/{name}"), &Value::Null).await;
        (model["in_flight"] == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_on_one_gpu_are_loaded_by_requests_and_make_room_for_one_another() {
    let (deployment, mut gateway) = Deployment::open(&two(""));
    let ready = http().get(gateway.url("/readyz")).send().await.expect("answered");
    assert_eq!(ready.status(), 200, "nothing is missing");
    assert_eq!(deployment.engine_processes().len(), 0, "nobody has asked yet");
    serves(&gateway, "a").await;
    are(&gateway, &[("a/0", "ready")]).await;
    let first = gateway.engine_pid("a/0").await;
    serves(&gateway, "b").await;
    are(&gateway, &[("b/0", "ready")]).await;
    assert!(!processes::lives(first));
    serves(&gateway, "a").await;
    are(&gateway, &[("a/0", "ready")]).await;
    let (_, model) = api(&gateway, Method::GET, "models/b", &Value::Null).await;
    assert_eq!((&model["wanted_replicas"], &model["replicas"], &model["unserved"]), (&json!(1), &json!(0), &json!(1)));
    assert_eq!(gateway.engine("a/0").await["restarts"], 0, "a load is no restart");
    let turn = |turn: &str, loads: u32| json!({ "turn": turn, "loads": loads, "obstacle": null });
    for (name, is, loads) in [("a", "loaded", 2), ("b", "not_loaded", 1)] {
        let (_, model) = api(&gateway, Method::GET, &format!("models/{name}"), &Value::Null).await;
        assert_eq!(model["on_demand"], turn(is, loads), "{name}");
    }
    assert_eq!(order(&gateway, "models/b/stop").await.0 / 100, 2);
    eventually("b is stopped", async || {
        let (_, model) = api(&gateway, Method::GET, "models/b", &Value::Null).await;
        (model["on_demand"] == turn("stopped", 1)).then_some(())
    })
    .await;
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_for_both_every_request_is_answered_and_never_are_both_loaded() {
    let (deployment, mut gateway) = Deployment::open(&two(""));
    let deployment = Arc::new(deployment);
    let done = Arc::new(AtomicBool::new(false));
    let watcher = tokio::task::spawn_blocking({
        let (deployment, done) = (deployment.clone(), done.clone());
        move || {
            let mut seen = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                let mut models: BTreeSet<String> = BTreeSet::new();
                for stat in deployment.engine_processes() {
                    let line = processes::command_line(stat.pid);
                    models.extend(
                        ["a", "b"].iter().filter(|it| line.contains(&format!(" sim {it} "))).map(ToString::to_string),
                    );
                }
                assert!(models.len() <= 1, "both have the GPU");
                seen.extend(models);
            }
            seen
        }
    });
    let loads = [Load::start(gateway.address, "a", 3), Load::start(gateway.address, "b", 3)];
    for load in &loads {
        load.answered(20).await;
    }
    // Each has had its turn; now each waits for another one.
    for load in &loads {
        load.answered(20).await;
    }
    for load in loads {
        load.stop_unharmed().await;
    }
    done.store(true, Ordering::Relaxed);
    assert_eq!(watcher.await.expect("never both").len(), 2);
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_not_cut_for_another_model_however_long_it_takes() {
    let (deployment, mut gateway) = Deployment::open(&format!("{}timeouts: {{ drain: 100ms }}\n", two("")));
    serves(&gateway, "a").await;
    let long = stream(&gateway, "a", 4);
    has_under_way(&gateway, "a", 1).await;
    let since = Instant::now();
    serves(&gateway, "b").await;
    assert!(since.elapsed() > Duration::from_secs(2), "it waited for the stream");
    let text = long.await.expect("a stream");
    assert!(text.ends_with("data: [DONE]\n\n") && !text.contains("error"), "{text}");
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_that_can_sleep_keep_their_process_and_wake_for_the_next_request() {
    let (deployment, mut gateway) = Deployment::open(&two("sleep_mode: true"));
    serves(&gateway, "a").await;
    let a = gateway.engine_pid("a/0").await;
    serves(&gateway, "b").await;
    are(&gateway, &[("a/0", "asleep"), ("b/0", "ready")]).await;
    let b = gateway.engine_pid("b/0").await;
    let long = stream(&gateway, "b", 3);
    has_under_way(&gateway, "b", 1).await;
    serves(&gateway, "a").await;
    assert!(long.await.expect("a stream").ends_with("data: [DONE]\n\n"));
    are(&gateway, &[("a/0", "ready"), ("b/0", "asleep")]).await;
    assert_eq!([gateway.engine_pid("a/0").await, gateway.engine_pid("b/0").await], [a, b]);
    assert!(!gateway.log().contains("cannot be loaded"), "nothing was in the way: {}", gateway.log());
    // A gateway that comes after a killed one knows who sleeps.
    gateway.kill();
    let mut gateway = deployment.gateway();
    are(&gateway, &[("a/0", "ready"), ("b/0", "asleep")]).await;
    serves(&gateway, "b").await;
    are(&gateway, &[("a/0", "asleep"), ("b/0", "ready")]).await;
    assert_eq!([gateway.engine_pid("a/0").await, gateway.engine_pid("b/0").await], [a, b]);
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_uses_sleeps_and_then_ends_and_is_loaded_again() {
    let idle = "sleep_mode: true, idle: { sleep_after: 300ms, stop_after: 2s }";
    let (deployment, mut gateway) = Deployment::open(&two(idle));
    serves(&gateway, "a").await;
    are(&gateway, &[("a/0", "asleep")]).await;
    serves(&gateway, "a").await;
    are(&gateway, &[("a/0", "asleep")]).await;
    are(&gateway, &[]).await;
    assert_eq!(deployment.engine_processes().len(), 0);
    serves(&gateway, "a").await;
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_too_long_is_told_so_and_one_whose_client_left_is_forgotten() {
    let never = "env: { ENGINEHOUSE_SIM_FAULTS: never-ready }, stop_timeout: 1s, idle: { stop_after: 1s }";
    let (deployment, mut gateway) = Deployment::open(&format!("{}timeouts: {{ load: 1s }}\n", two(never)));
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&chat("a")).send().await.expect("answered");
    assert_eq!(reply.status(), 503);
    assert!(reply.headers().contains_key("retry-after"), "{:?}", reply.headers());
    let body: Value = reply.json().await.expect("JSON");
    assert_eq!(body["error"]["code"], "model_loading", "{body}");
    // One that loads is let: b has no room, and its client does not wait.
    let mut wire = Wire::to(gateway.address).await;
    wire.post("/v1/chat/completions", chat("b").to_string().as_bytes()).await;
    eventually("it waits", async || {
        let (_, model) = api(&gateway, Method::GET, "models/b", &Value::Null).await;
        (model["unserved"] == 1).then_some(())
    })
    .await;
    drop(wire);
    eventually("its end is noticed", async || {
        let (_, all) = api(&gateway, Method::GET, "requests?failed=true", &Value::Null).await;
        let requests = all["requests"].as_array().expect("a list").clone();
        requests.iter().any(|it| it["model"] == "b" && it["error"] == "client_gone").then_some(())
    })
    .await;
    assert_eq!(states(&gateway).await, [("a/0".to_owned(), "starting".to_owned())]);
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_cannot_be_loaded_is_an_error_at_once_and_makes_room() {
    let failing = "env: { ENGINEHOUSE_SIM_FAULTS: \"fail-start=no such file\" }, restart: off";
    let own = "gpus: [0], gpu_memory: 0.9, load: on_demand, ";
    let models = format!("models:\n{}{}", model("a", &format!("{own}{failing}")), model("b", own));
    let (deployment, mut gateway) = Deployment::open(&models);
    let (status, body) = gateway.ask("a").await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("model_failed")), "{body}");
    assert!(body["error"]["message"].as_str().is_some_and(|text| text.contains("no such file")), "{body}");
    serves(&gateway, "b").await;
    are(&gateway, &[("b/0", "ready")]).await;
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_model_loads_its_fallback_answers() {
    let own = "gpus: [0], gpu_memory: 0.4";
    let slow = "env: { ENGINEHOUSE_SIM_FAULTS: \"ready-after=1s\" }, load: on_demand";
    let models = format!("models:\n{}{}", model("large", &format!("{own}, {slow}")), model("small", own));
    let aliases = "aliases:\n  any: { model: large, fallback: [small], response_model: engine }\n";
    let (deployment, mut gateway) = Deployment::open(&format!("{models}{aliases}"));
    are(&gateway, &[("small/0", "ready")]).await;
    let (status, body) = gateway.ask("any").await;
    assert_eq!((status, &body["model"]), (200, &json!("small")), "{body}");
    are(&gateway, &[("large/0", "ready"), ("small/0", "ready")]).await;
    let (status, body) = gateway.ask("any").await;
    assert_eq!((status, &body["model"]), (200, &json!("large")), "{body}");
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_load_stop_scale_and_put_to_sleep_what_is_loaded_on_demand() {
    let (deployment, mut gateway) = Deployment::open(&two("sleep_mode: true"));
    assert_eq!(order(&gateway, "models/a/sleep").await.0, 409, "it is not loaded");
    assert_eq!(order(&gateway, "models/a/start").await.0, 200);
    are(&gateway, &[("a/0", "ready")]).await;
    assert_eq!(order(&gateway, "models/a/sleep").await.0, 200);
    are(&gateway, &[("a/0", "asleep")]).await;
    assert_eq!(order(&gateway, "engines/a/0/wake").await.0, 200);
    are(&gateway, &[("a/0", "ready")]).await;
    assert_eq!(order(&gateway, "models/a/stop").await.0, 200);
    let (status, body) = gateway.ask("a").await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("model_stopped")), "{body}");
    // What was stopped has given its GPU back.
    serves(&gateway, "b").await;
    assert_eq!(order(&gateway, "models/b/stop").await.0, 200);
    assert_eq!(order(&gateway, "models/a/start").await.0, 200);
    serves(&gateway, "a").await;
    assert_eq!(order(&gateway, "models/a/stop").await.0, 200);
    // A stop outlasts the gateway, and also what is not loaded can be stopped.
    gateway.kill();
    let mut gateway = deployment.gateway();
    let (status, body) = gateway.ask("b").await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("model_stopped")), "{body}");
    assert_eq!(order(&gateway, "models/b/start").await.0, 200);
    serves(&gateway, "b").await;
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_engines_counts_when_the_model_is_loaded() {
    let own = "gpus: [0], gpu_memory: 0.4, load: on_demand";
    let models = format!("models:\n{}{}", model("a", own), model("b", own));
    let (deployment, mut gateway) = Deployment::open(&models);
    let put = api(&gateway, Method::PUT, "models/a/replicas", &json!({ "replicas": 2 })).await;
    assert_eq!(put.0, 200, "{}", put.1);
    assert_eq!(deployment.engine_processes().len(), 0);
    serves(&gateway, "a").await;
    are(&gateway, &[("a/0", "ready"), ("a/1", "ready")]).await;
    serves(&gateway, "b").await;
    are(&gateway, &[("b/0", "ready")]).await;
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_has_a_model_loaded_for_good_or_on_demand() {
    let yaml = |a: &str| format!("models:\n{}", model("a", &format!("gpus: [0], gpu_memory: 0.9, load: {a}")));
    let (deployment, mut gateway) = Deployment::open(&yaml("on_demand"));
    assert_eq!(deployment.engine_processes().len(), 0);
    deployment.write(&yaml("eager"), Some(gateway.address));
    assert_eq!(order(&gateway, "reload").await.0, 200);
    are(&gateway, &[("a/0", "ready")]).await;
    let pid = gateway.engine_pid("a/0").await;
    let more = format!("{}{}", yaml("on_demand"), model("b", "gpus: [0], gpu_memory: 0.9, load: on_demand"));
    deployment.write(&more, Some(gateway.address));
    assert_eq!(order(&gateway, "reload").await.0, 200);
    assert_eq!(gateway.engine_pid("a/0").await, pid, "it is not started anew");
    serves(&gateway, "b").await;
    are(&gateway, &[("b/0", "ready")]).await;
    // What was stopped stays so when it is to be loaded for good, and is started then.
    assert_eq!(order(&gateway, "models/a/stop").await.0, 200);
    deployment.write(&yaml("eager"), Some(gateway.address));
    assert_eq!(order(&gateway, "reload").await.0, 200);
    let (status, told) = order(&gateway, "models/a/start").await;
    assert_eq!(status, 200, "{told}");
    are(&gateway, &[("a/0", "ready")]).await;
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_other_programs_is_in_the_way_until_it_is_free() {
    let card = |used: u64| {
        format!(
            "{DRIVER}gpu uuid=GPU-0a2b3c4d name=NVIDIA_H100 total={} used={} free={} util=25 temp=40 milliwatts=70500 mig=0\n",
            80 * GIB,
            used * GIB,
            (80 - used) * GIB
        )
    };
    let idler = Idler::new();
    let taken = format!("{}process pid={} memory={} lingers=0\n", card(60), idler.0.id(), 60 * GIB);
    let (machine, deployment) = (Machine::new(&taken), Deployment::new());
    deployment.write(
        &format!("models:\n{}timeouts: {{ load: 1500ms }}\n", model("a", "gpus: 1, gpu_memory: 0.9, load: on_demand")),
        None,
    );
    let mut command = deployment.command();
    machine.prepare(&mut command);
    let mut gateway = Gateway::of(command);
    let (status, body) = gateway.ask("a").await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("model_loading")), "{body}");
    let told = eventually("a warning", async || {
        let log = gateway.log();
        log.lines().find(|line| line.contains("cannot be loaded")).map(str::to_owned)
    })
    .await;
    assert!(told.contains("60.0 GiB"), "{told}");
    machine.becomes(&card(0));
    eventually("it is loaded", async || (gateway.ask("a").await.0 == 200).then_some(())).await;
    gateway.stop().await;
    deployment.assert_empty();
}

/// A bug: a model was never loaded any more, because an engine of another one had been stopped, or had no port.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_loaded_in_whole_keeps_nobody_waiting() {
    let own = "gpus: [0], gpu_memory: 0.4, load: on_demand";
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let models = [
        model("two", own),
        model("blocked", &format!("gpus: [1], gpu_memory: 0.9, load: on_demand, port: {port}")),
        model("other", "gpus: [0], gpu_memory: 0.9, load: on_demand"),
        model("third", "gpus: [2], gpu_memory: 0.9, load: on_demand"),
    ];
    let deployment = Deployment::new();
    drop(taken);
    deployment.write(&format!("models:\n{}timeouts: {{ load: 10s }}\n", models.concat()), None);
    let mut gateway = deployment.gateway();
    let put = api(&gateway, Method::PUT, "models/two/replicas", &json!({ "replicas": 2 })).await;
    assert_eq!(put.0, 200, "{}", put.1);
    serves(&gateway, "two").await;
    are(&gateway, &[("two/0", "ready"), ("two/1", "ready")]).await;
    assert_eq!(order(&gateway, "engines/two/0/stop").await.0, 200);
    serves(&gateway, "other").await;
    serves(&gateway, "two").await;
    are(&gateway, &[("two/0", "stopped"), ("two/1", "ready")]).await;
    serves(&gateway, "third").await;
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port));
    let blocked = tokio::spawn(http().post(gateway.url("/v1/chat/completions")).json(&chat("blocked")).send());
    eventually("it is told in the log", async || gateway.log().contains("cannot be started").then_some(())).await;
    serves(&gateway, "other").await;
    serves(&gateway, "two").await;
    blocked.abort();
    gateway.stop().await;
    deployment.assert_empty();
}

/// A bug: what a client had asked for that left was loaded all the same, and took the GPU from others.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_loaded_for_a_client_that_has_left() {
    let (deployment, mut gateway) = Deployment::open(&two(""));
    serves(&gateway, "a").await;
    let long = stream(&gateway, "a", 4);
    has_under_way(&gateway, "a", 1).await;
    let mut wire = Wire::to(gateway.address).await;
    wire.post("/v1/chat/completions", chat("b").to_string().as_bytes()).await;
    eventually("it waits", async || {
        let (_, model) = api(&gateway, Method::GET, "models/b", &Value::Null).await;
        (model["unserved"] == 1).then_some(())
    })
    .await;
    drop(wire);
    eventually("its end is noticed", async || {
        let (_, all) = api(&gateway, Method::GET, "requests?failed=true", &Value::Null).await;
        let requests = all["requests"].as_array().expect("a list").clone();
        requests.iter().any(|it| it["model"] == "b").then_some(())
    })
    .await;
    assert!(long.await.expect("a stream").ends_with("data: [DONE]\n\n"));
    serves(&gateway, "a").await;
    assert!(!gateway.log().contains("engine=b/0"), "{}", gateway.log());
    gateway.stop().await;
    deployment.assert_empty();
}

/// A bug: while a model loaded, and for ever where one was required, a load balancer was told not to send requests.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_loads_a_model_is_ready_for_requests() {
    let slow = "env: { ENGINEHOUSE_SIM_FAULTS: \"ready-after=1s\" }";
    let (deployment, mut gateway) = Deployment::open(&format!("{}readiness: {{ required: [a] }}\n", two(slow)));
    let ready = async |query: &str| {
        let reply = http().get(gateway.url(&format!("/readyz{query}"))).send().await.expect("answered");
        reply.status().as_u16()
    };
    assert_eq!((ready("").await, ready("?model=a").await, ready("?model=b").await), (200, 200, 200));
    let asked = tokio::spawn(http().post(gateway.url("/v1/chat/completions")).json(&chat("a")).send());
    are(&gateway, &[("a/0", "starting")]).await;
    assert_eq!((ready("").await, ready("?model=a").await, ready("?model=b").await), (200, 200, 200));
    assert_eq!(asked.await.expect("asked").expect("answered").status(), 200);
    assert_eq!(order(&gateway, "models/a/stop").await.0, 200);
    assert_eq!((ready("").await, ready("?model=a").await), (503, 503), "it is required, and stopped");
    gateway.stop().await;
    deployment.assert_empty();
}

/// A bug: an engine that an operator had started anew found its GPU taken by a model that is loaded on demand, for good.
#[tokio::test(flavor = "multi_thread")]
async fn engines_that_keep_their_gpus_get_them_back() {
    let models = [
        model("kept", "gpus: [0], gpu_memory: 0.4, restart: { initial_backoff: 200ms, max_backoff: 400ms }"),
        model("a", "gpus: [0], gpu_memory: 0.5, load: on_demand"),
        model("b", "gpus: [0], gpu_memory: 0.4, load: on_demand"),
    ];
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{}", models.concat()));
    are(&gateway, &[("kept/0", "ready")]).await;
    assert_eq!(order(&gateway, "models/kept/stop").await.0, 200);
    serves(&gateway, "a").await;
    serves(&gateway, "b").await;
    are(&gateway, &[("kept/0", "stopped"), ("a/0", "ready"), ("b/0", "ready")]).await;
    let url = format!("http://{}/api/v1/models/kept/start?wait=false", gateway.admin);
    // What is told at once is that there is no room: the others make some then.
    assert_eq!(http().post(url).send().await.expect("answered").status(), 502);
    eventually("it has its GPU again", async || (gateway.engine("kept/0").await["state"] == "ready").then_some(()))
        .await;
    assert_eq!(gateway.engines().await.len(), 2, "one of the others has made room");
    gateway.stop().await;
    deployment.assert_empty();
}

//! Engines that the gateway starts: they serve, they fail loudly, and nothing of them is left.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Gateway, chat, eventually, group_members, http};

fn model(name: &str, more: &str) -> String {
    format!("  {name}: {{ source: {name}, command: [enginehouse, sim], {more} }}\n")
}

async fn ask(gateway: &Gateway, model: &str) -> (u16, Option<String>, Value) {
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&chat(model)).send().await.expect("answered");
    let wait = reply.headers().get("retry-after").map(|value| value.to_str().expect("text").to_owned());
    (reply.status().as_u16(), wait, reply.json().await.expect("JSON"))
}

async fn pid(gateway: &Gateway, engine: &str) -> u32 {
    let pid = eventually("the engine's process", || async {
        let engines = gateway.engines().await;
        engines.iter().find(|entry| entry["engine"] == engine).expect("the engine")["pid"].as_u64()
    });
    u32::try_from(pid.await).expect("fits")
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_start_serve_and_are_pinned() {
    let more = "replicas: 2, gpus: [0, 3], args: { max-model-len: 2048 }, env: { GREETING: hello }, lora: { sql: /adapters/sql }";
    let gateway = Gateway::ready(&format!("models:\n{}", model("own", more))).await;
    eventually("both replicas", || async {
        gateway.engines().await.iter().all(|engine| engine["state"] == "ready").then_some(())
    })
    .await;
    let mut cards = Vec::new();
    for (replica, gpu) in [("own/0", "0"), ("own/1", "3")] {
        let pid = pid(&gateway, replica).await;
        let environment = std::fs::read(format!("/proc/{pid}/environ")).expect("environment");
        let has = |pair: &str| environment.split(|byte| *byte == 0).any(|entry| entry == pair.as_bytes());
        assert!(has(&format!("CUDA_VISIBLE_DEVICES={gpu}")), "{replica}");
        assert!(has("CUDA_DEVICE_ORDER=PCI_BUS_ID") && has("GREETING=hello"));
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).expect("command line");
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        assert!(
            command.contains("sim own --host 127.0.0.1 --port ") && command.contains("--max-model-len 2048"),
            "{command}"
        );
        cards.push(command);
    }
    for name in ["own", "sql"] {
        let (status, _, answer) = ask(&gateway, name).await;
        assert_eq!(status, 200, "{answer}");
    }
    let list: Value = http().get(gateway.url("/v1/models")).send().await.expect("answered").json().await.expect("JSON");
    let ids: Vec<_> = list["data"].as_array().expect("list").iter().map(|card| card["id"].clone()).collect();
    assert_eq!(ids, ["own", "sql"], "an adapter is a servable name");
    assert_eq!(list["data"][0]["max_model_len"], 2048);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_loads_is_told_to_be_loading_and_others_are_not_disturbed() {
    let yaml =
        format!("models:\n{}{}", model("fast", ""), model("slow", "env: { ENGINEHOUSE_SIM_FAULTS: ready-after=3s }"));
    let gateway = Gateway::start(&yaml);
    eventually("the fast one", || async { (ask(&gateway, "fast").await.0 == 200).then_some(()) }).await;
    let (status, wait, error) = ask(&gateway, "slow").await;
    assert_eq!((status, wait.as_deref()), (503, Some("5")), "{error}");
    assert_eq!(error["error"]["code"], "model_loading");
    gateway.wait_ready().await;
    assert_eq!(ask(&gateway, "slow").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_says_why_with_its_last_log_lines() {
    let yaml = format!(
        "engine_logs: {{ shown_to: everybody }}\nmodels:\n{}{}{}{}",
        model("oom", "restart: off, env: { ENGINEHOUSE_SIM_FAULTS: \"exit-while-loading=1:200ms\" }"),
        model(
            "stuck",
            "restart: off, start_timeout: 1s, stop_timeout: 1s, env: { ENGINEHOUSE_SIM_FAULTS: never-ready }"
        ),
        model("flag", "restart: off, args: { no-such-flag: 1 }"),
        "  gone: { source: x, restart: off, command: [/nowhere/vllm, serve] }\n",
    );
    let gateway = Gateway::start(&yaml);
    for (name, words) in [
        ("oom", &["memory"][..]),
        ("stuck", &["start_timeout", "1s"]),
        ("flag", &["no-such-flag"]),
        ("gone", &["/nowhere/vllm"]),
    ] {
        let error = eventually("the failure to be told", || async {
            let (status, wait, error) = ask(&gateway, name).await;
            assert_eq!(status, 503, "{error}");
            assert_eq!(wait.is_none(), error["error"]["code"] == "model_failed", "nobody starts it again: {error}");
            (error["error"]["code"] == "model_failed").then_some(error)
        })
        .await;
        let message = error["error"]["message"].as_str().expect("text").to_owned();
        for word in words {
            assert!(message.contains(word), "{name}: no {word} in {message}");
        }
        if name == "oom" {
            assert!(message.contains("Last log lines:\n"), "{message}");
        }
    }
    let ready = http().get(gateway.url("/readyz")).send().await.expect("answered");
    assert_eq!(ready.status(), 503);
    assert!(ready.text().await.expect("text").contains("oom is failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_requests_finish_and_leaves_no_process_whatever_the_engines_do() {
    let yaml = format!(
        "models:\n{}{}{}timeouts: {{ drain: 10s }}\n",
        model("good", "env: { ENGINEHOUSE_SIM_FAULTS: orphan }"),
        model("deaf", "stop_timeout: 1s, env: { ENGINEHOUSE_SIM_FAULTS: ignore-term }"),
        model("loading", "stop_timeout: 1s, env: { ENGINEHOUSE_SIM_FAULTS: \"never-ready,swallow-term\" }"),
    );
    let mut gateway = Gateway::start(&yaml);
    for name in ["good", "deaf"] {
        eventually("the engine", || async { (ask(&gateway, name).await.0 == 200).then_some(()) }).await;
    }
    let mut groups = Vec::new();
    for engine in ["good/0", "deaf/0", "loading/0"] {
        let pid = pid(&gateway, engine).await;
        assert!(!group_members(pid).is_empty(), "{engine} runs");
        groups.push((engine, pid));
    }
    assert!(group_members(groups[0].1).len() >= 2, "the orphan runs");
    let mut body = chat("good");
    body["stream"] = json!(true);
    let request = http().post(gateway.url("/v1/chat/completions")).header("x-sim-gap", "50ms").json(&body);
    let reply = request.send().await.expect("answered");
    assert_eq!(reply.status(), 200);
    let since = Instant::now();
    gateway.terminate();
    let text = reply.text().await.expect("a whole stream");
    assert!(text.ends_with("data: [DONE]\n\n") && !text.contains("\"error\""), "the stream was cut: {text}");
    assert!(since.elapsed() > Duration::from_millis(500), "the stream was long enough to be cut");
    assert_eq!(gateway.ended().await, Some(0));
    for (engine, pid) in groups {
        assert_eq!(group_members(pid), Vec::<u32>::new(), "{engine} left something behind");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_cuts_the_drain_short() {
    let mut gateway = Gateway::ready(&format!("models:\n{}timeouts: {{ drain: 1m }}\n", model("own", ""))).await;
    let pid = pid(&gateway, "own/0").await;
    let mut body = chat("own");
    body["stream"] = json!(true);
    let request = http().post(gateway.url("/v1/chat/completions")).header("x-sim-fault", "hang-after:2").json(&body);
    let reply = request.send().await.expect("answered");
    let since = Instant::now();
    gateway.terminate();
    eventually("the first signal to be heard", || async { gateway.log().contains("stopping").then_some(()) }).await;
    gateway.terminate();
    assert_eq!(gateway.ended().await, Some(0));
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    assert_eq!(group_members(pid), Vec::<u32>::new());
    drop(reply);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_dies_is_seen_at_once() {
    let gateway = Gateway::ready(&format!("models:\n{}", model("own", ""))).await;
    let request = http().post(gateway.url("/v1/chat/completions")).header("x-sim-fault", "exit-after:0");
    let reply = request.json(&chat("own")).send().await.expect("answered");
    assert!(matches!(reply.status().as_u16(), 502 | 503), "{}", reply.status());
    let (status, _, error) = eventually("the death to be told", || async {
        let answer = ask(&gateway, "own").await;
        (answer.2["error"]["code"] == "model_failed").then_some(answer)
    })
    .await;
    assert_eq!(status, 503, "{error}");
    assert_eq!(gateway.metric("enginehouse_engine_up").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_loses_a_signal_while_it_loads_is_told_again_soon() {
    let faults = "env: { ENGINEHOUSE_SIM_FAULTS: \"never-ready,swallow-term\" }";
    let mut gateway = Gateway::start(&format!("models:\n{}", model("own", &format!("stop_timeout: 25s, {faults}"))));
    let pid = pid(&gateway, "own/0").await;
    let since = Instant::now();
    gateway.terminate();
    assert_eq!(gateway.ended().await, Some(0));
    // A third of stop_timeout would be 8 s.
    assert!(since.elapsed() < Duration::from_secs(7), "{:?}", since.elapsed());
    assert_eq!(group_members(pid), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_engines_log_is_told_to_callers_with_a_key_alone() {
    let failing = model("oom", "restart: off, env: { ENGINEHOUSE_SIM_FAULTS: \"exit-while-loading=1:50ms\" }");
    let gateway = Gateway::start(&format!(
        "callers: {{ known: {{ keys: [sk-known-caller-key] }} }}\nanonymous: true\nmodels:\n{failing}"
    ));
    for (key, told) in [(None, false), (Some("sk-known-caller-key"), true)] {
        let error = eventually("the failure", || async {
            let mut request = http().post(gateway.url("/v1/chat/completions")).json(&crate::support::chat("oom"));
            if let Some(key) = key {
                request = request.bearer_auth(key);
            }
            let error: Value = request.send().await.expect("answered").json().await.expect("JSON");
            (error["error"]["code"] == "model_failed").then_some(error)
        })
        .await;
        let message = error["error"]["message"].as_str().expect("text");
        assert!(message.contains("memory"), "the cause is told to all: {message}");
        assert_eq!(message.contains("Last log lines:"), told, "{message}");
    }
}

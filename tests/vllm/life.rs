//! The engine's life: it loads, becomes ready, and is gone wholly when the gateway is told to stop.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::house::{Group, House, START, Setup, chat, ms};
use crate::support::{Gateway, http};

/// The process group of the engine, once it was started.
async fn group(gateway: &Gateway) -> Group {
    crate::support::eventually("the engine to be started", || async {
        House::describe(gateway).await["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).map(Group)
    })
    .await
}

/// vLLM swallows a SIGTERM that comes while it builds its engine; the gateway gets rid of it all the same.
pub async fn stopped_while_loading(setup: &Setup) -> String {
    let mut gateway = Gateway::start(&format!("{}timeouts: {{ drain: 1s }}\n", setup.yaml()));
    let group = group(&gateway).await;
    let since = Instant::now();
    while !group.members().iter().any(|member| member.contains("VLLM::EngineCor")) {
        assert!(since.elapsed() < START, "no engine core was started; {:?}", group.members());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (loading, processes) = (since.elapsed(), group.members().len());
    gateway.terminate();
    let since = Instant::now();
    assert_eq!(gateway.ended().await, Some(0));
    assert_eq!(group.members(), [""; 0], "left behind");
    format!("told after {:.1} s, {processes} processes gone in {}", loading.as_secs_f64(), ms(since.elapsed()))
}

/// A gateway listens at once; while its engine loads, callers are told so.
pub async fn loading(setup: &Setup) -> House {
    let gateway = Gateway::start(&setup.yaml());
    let group = group(&gateway).await;
    let engine = House::describe(&gateway).await["url"].as_str().expect("an address").to_owned();
    let house = House { gateway, has_lora: setup.has_lora(), engine, group };
    assert_eq!(house.get("/readyz").await.status, 503);
    assert_eq!(house.get("/livez").await.status, 200);
    let url = house.gateway.url("/v1/chat/completions");
    let reply = http().post(url).json(&chat("tiny", 5)).send().await.expect("answered");
    assert_eq!(reply.status(), 503);
    assert!(reply.headers().contains_key("retry-after"), "{:?}", reply.headers());
    let body: Value = reply.json().await.expect("JSON");
    assert_eq!(body["error"]["code"], "model_loading", "{body}");
    house
}

/// It becomes ready; a start that fails is told with its last log lines.
pub async fn becomes_ready(house: &House) -> String {
    let since = Instant::now();
    loop {
        let engine = House::describe(&house.gateway).await;
        match engine["state"].as_str() {
            Some("ready") => break,
            Some("failed") => panic!("vLLM did not start: {engine:#}"),
            _ => assert!(since.elapsed() < START, "not ready after {START:?}: {engine:#}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(house.get("/readyz").await.status, 200);
    format!("after {:.1} s, {} processes", since.elapsed().as_secs_f64(), house.group.members().len())
}

/// SIGTERM with a stream under way: it ends as it should, then the gateway does, and no process of vLLM is left.
pub async fn stops(house: House) -> String {
    let mut body = chat("tiny", 400);
    body["stream"] = true.into();
    let mut wire = house.wire("/v1/chat/completions", &body).await;
    wire.read_until(b"\n\n").await;
    let processes = house.group.members().len();
    assert!(processes > 1, "only {processes} processes in the group: it would prove nothing");
    let House { mut gateway, group, .. } = house;
    gateway.terminate();
    let since = Instant::now();
    let rest = wire.read_until(b"data: [DONE]\n\n").await;
    let streamed = since.elapsed();
    let rest = String::from_utf8(rest).expect("UTF-8");
    assert!(rest.contains(r#""finish_reason":"length""#) && !rest.contains("error"), "{rest}");
    assert_eq!(gateway.ended().await, Some(0));
    assert_eq!(group.members(), [""; 0], "left behind");
    format!("the stream went on for {}, {processes} processes gone in {}", ms(streamed), ms(since.elapsed()))
}

/// The kernel kills vLLM's server in the middle of a stream: the caller is told within the stream, the next one with a
/// status and the reason, and vLLM's other processes, which would live on and keep their memory, are ended.
pub async fn dies(house: House) -> String {
    let mut body = chat("tiny", 400);
    body["stream"] = true.into();
    let mut wire = house.wire("/v1/chat/completions", &body).await;
    wire.read_until(b"\n\n").await;
    let processes = house.group.members().len();
    assert!(processes > 1, "only {processes} processes in the group: it would prove nothing");
    let server = rustix::process::Pid::from_raw(house.group.0).expect("a process id");
    rustix::process::kill_process(server, rustix::process::Signal::KILL).expect("killed");
    let since = Instant::now();
    let rest = String::from_utf8(wire.read_until(b"data: [DONE]\n\n").await).expect("UTF-8");
    let told = since.elapsed();
    assert!(rest.contains(r#""code":"engine_died""#), "{rest}");
    crate::support::eventually("vLLM's other processes to be gone", || async {
        house.group.members().is_empty().then_some(())
    })
    .await;
    let swept = since.elapsed();
    let answer = house.post("/v1/chat/completions", &chat("tiny", 5)).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (503, &Value::from("model_failed")), "{}", answer.body);
    assert!(answer.body["error"]["message"].as_str().is_some_and(|text| text.contains("SIGKILL")), "{}", answer.body);
    format!("the caller was told after {}, {processes} processes gone after {}", ms(told), ms(swept))
}

//! The engine's life: it loads, becomes ready, and is gone wholly when the gateway is told to stop.

use std::time::Instant;

use serde_json::Value;

use crate::fixture::{Fixture, Group, START, Setup, assert_gone, chat, ms};
use crate::support::deployment::Deployment;
use crate::support::{Gateway, eventually, eventually_within, http};

/// What a start says of itself, in this order. A look every 50 ms does not see all of them.
const PHASES: [&str; 7] = [
    "model configuration read",
    "starting the engine core",
    "building the model",
    "weights loaded in ",
    "KV cache of ",
    "engine core ready",
    "starting its HTTP server",
];

/// The process group of the engine, once it was started.
async fn group(gateway: &Gateway) -> Group {
    eventually("the engine to be started", || async {
        Fixture::describe(gateway).await["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).map(Group)
    })
    .await
}

/// vLLM swallows a SIGTERM that comes while it builds its engine; the gateway gets rid of it all the same.
pub async fn stopped_while_loading(setup: &Setup) -> String {
    let (deployment, mut gateway) = Deployment::open(&format!("{}timeouts: {{ drain: 1s }}\n", setup.yaml()));
    let group = group(&gateway).await;
    let since = Instant::now();
    let has_core = || group.members().iter().any(|member| member.contains("VLLM::EngineCor"));
    eventually_within(START, "an engine core to be started", async || has_core().then_some(())).await;
    let (loading, processes, memory) = (since.elapsed(), group.members().len(), group.shared_memory());
    let took = gateway.stop().await;
    assert_eq!(group.members(), [""; 0], "left behind");
    deployment.assert_empty();
    assert_gone(&memory);
    format!("told after {:.1} s, {processes} processes gone in {}", loading.as_secs_f64(), ms(took))
}

/// A gateway listens at once; while its engine loads, callers are told so.
pub async fn loading(setup: &Setup, yaml: &str) -> Fixture {
    let (deployment, gateway) = Deployment::open(yaml);
    let group = group(&gateway).await;
    let engine = Fixture::describe(&gateway).await["url"].as_str().expect("an address").to_owned();
    let fixture = Fixture { gateway, lora: setup.lora(), engine, group, deployment };
    assert_eq!(fixture.get("/readyz").await.status, 503);
    assert_eq!(fixture.get("/livez").await.status, 200);
    let url = fixture.gateway.url("/v1/chat/completions");
    let reply = http().post(url).json(&chat("tiny", 5)).send().await.expect("answered");
    assert_eq!(reply.status(), 503);
    assert!(reply.headers().contains_key("retry-after"), "{:?}", reply.headers());
    let body: Value = reply.json().await.expect("JSON");
    assert_eq!(body["error"]["code"], "model_loading", "{body}");
    fixture
}

/// It tells how far it is, and becomes ready; a start that fails is told with its last log lines.
pub async fn becomes_ready(fixture: &Fixture) -> String {
    let mut told: Vec<String> = Vec::new();
    let engine = eventually_within(START, "vLLM to be ready", async || {
        let engine = fixture.itself().await;
        match engine["state"].as_str() {
            Some("ready") => return Some(engine),
            Some("failed") => panic!("vLLM did not start: {engine:#}"),
            _ => {}
        }
        let detail = engine["detail"].as_str().unwrap_or_default().split("; before: ").next().unwrap_or_default();
        let detail = detail.split("; it failed ").next().unwrap_or_default();
        if told.last().is_none_or(|last| last != detail) {
            told.push(detail.to_owned());
        }
        None
    })
    .await;
    assert_eq!(fixture.get("/readyz").await.status, 200);
    let phase = |text: &String| PHASES.iter().position(|phase| text.starts_with(phase));
    let phases: Vec<usize> = told.iter().filter_map(phase).collect();
    assert!(phases.len() >= 2 && phases.is_sorted(), "it told {told:?}");
    let took = engine["start_seconds"].as_f64().expect("it was started by this gateway");
    format!("a start of {took:.1} s, {} processes; it told {told:?}", fixture.group.members().len())
}

/// SIGTERM with a stream under way: it ends as it should, then the gateway does, and no process of vLLM is left.
pub async fn stops(fixture: Fixture) -> String {
    let mut wire = fixture.stream().await;
    let processes = fixture.group.members().len();
    assert!(processes > 1, "only {processes} processes in the group: it would prove nothing");
    let memory = fixture.group.shared_memory();
    assert!(!memory.is_empty(), "it would prove nothing");
    let Fixture { mut gateway, group, deployment, .. } = fixture;
    gateway.terminate();
    let since = Instant::now();
    let rest = wire.read_until(b"data: [DONE]\n\n").await;
    let streamed = since.elapsed();
    let rest = String::from_utf8(rest).expect("UTF-8");
    assert!(rest.contains(r#""finish_reason":"length""#) && !rest.contains("error"), "{rest}");
    assert_eq!(gateway.ended().await, Some(0));
    assert_eq!(group.members(), [""; 0], "left behind");
    deployment.assert_empty();
    assert_gone(&memory);
    format!("the stream went on for {}, {processes} processes gone in {}", ms(streamed), ms(since.elapsed()))
}

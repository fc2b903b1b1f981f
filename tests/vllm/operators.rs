//! What operators have a real vLLM do: take and lose an adapter, sleep and wake.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::fixture::{Fixture, chat, ms};

/// The adapter that is added while the engine runs.
const ADDED: &str = "bard";

/// An adapter is loaded into the engine that runs, and is a model.
pub async fn adds_an_adapter(fixture: &Fixture) -> String {
    let Some(path) = &fixture.lora else { return "skipped: ENGINEHOUSE_VLLM_LORA is not set".into() };
    assert_eq!(fixture.post("/v1/chat/completions", &chat(ADDED, 3)).await.status, 404);
    let since = Instant::now();
    fixture.order(Method::POST, "models/tiny/lora", Some(&json!({ "name": ADDED, "path": path }))).await;
    let took = since.elapsed();
    let list = fixture.get("/v1/models").await;
    let card = list.body["data"].as_array().into_iter().flatten().find(|card| card["id"] == ADDED);
    assert_eq!(card.map(|card| &card["parent"]), Some(&json!("tiny")), "{}", list.body);
    let refused =
        fixture.api(Method::POST, "models/tiny/lora", Some(&json!({ "name": "x", "path": "/nowhere" }))).await;
    assert_eq!(refused.status, 502, "{}", refused.body);
    adapter_answers(fixture).await;
    format!("in {}; a path that is not there: {}", ms(took), refused.body["error"]["message"])
}

/// The adapter that was added answers as the same one of the configuration does, and unlike the model alone.
pub async fn adapter_answers(fixture: &Fixture) -> String {
    if fixture.lora.is_none() {
        return "skipped: ENGINEHOUSE_VLLM_LORA is not set".into();
    }
    let (added, poet, tiny) = (fixture.words(ADDED).await, fixture.words("poet").await, fixture.words("tiny").await);
    assert_eq!(added, poet);
    assert_ne!(added, tiny);
    format!("{added:?}")
}

/// The adapter is gone from the engine, and nobody's name.
pub async fn removes_the_adapter(fixture: &Fixture) -> String {
    if fixture.lora.is_none() {
        return "skipped: ENGINEHOUSE_VLLM_LORA is not set".into();
    }
    let since = Instant::now();
    fixture.order(Method::DELETE, &format!("models/tiny/lora/{ADDED}"), None).await;
    let took = since.elapsed();
    let answer = fixture.post("/v1/chat/completions", &chat(ADDED, 3)).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (404, &json!("model_not_found")), "{}", answer.body);
    assert_eq!(fixture.get(&format!("/v1/models/{ADDED}")).await.status, 404);
    assert!(!fixture.itself().await["serves"].to_string().contains(ADDED));
    format!("in {}", ms(took))
}

/// Asleep it gets no request, and its callers are told at once; awake it is what it was, also when its weights were lost.
pub async fn sleeps(fixture: &Fixture, level: u8) -> String {
    let (before, process) = (fixture.words("tiny").await, fixture.itself().await["pid"].clone());
    let answer = fixture.order(Method::POST, &format!("engines/tiny/0/sleep?level={level}"), None).await;
    let engine = &answer["engines"][0];
    assert_eq!((&engine["state"], &engine["level"]), (&json!("asleep"), &json!(level)), "{engine}");
    let slept = engine["took_seconds"].as_f64().unwrap_or_else(|| panic!("no seconds: {engine}"));
    let labels = [("engine", "tiny/0")];
    let told = fixture.metric("enginehouse_engine_sleep_level", &labels).await;
    assert!((told - f64::from(level)).abs() < 0.1, "{told}");
    let since = Instant::now();
    let refused = fixture.post("/v1/chat/completions", &chat("tiny", 5)).await;
    let told = since.elapsed();
    assert_eq!((refused.status, &refused.body["error"]["code"]), (503, &json!("model_asleep")), "{}", refused.body);
    assert!(told < Duration::from_secs(1), "{told:?}");
    let since = Instant::now();
    let answer = fixture.order(Method::POST, "engines/tiny/0/wake", None).await;
    let woke = since.elapsed();
    assert_eq!(answer["engines"][0]["state"], "ready", "{answer}");
    assert_eq!((fixture.words("tiny").await, fixture.itself().await["pid"].clone()), (before, process));
    if fixture.lora.is_some() {
        adapter_answers(fixture).await;
    }
    format!("asleep after {slept:.3} s, callers told in {}, awake after {}", ms(told), ms(woke))
}

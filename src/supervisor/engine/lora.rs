//! Loads and unloads LoRA adapters of an engine that runs (vLLM documentation, "LoRA Adapters", dynamic serving).

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::engines::{Answer, Card, Engine, EngineClient, Reply};

/// Time that loading an adapter may take; it may come from a hub.
const LOAD_WITHIN: Duration = Duration::from_secs(300);

/// Time in which an engine says what it serves.
const SAY_WITHIN: Duration = Duration::from_secs(10);

/// Has `engine` load the adapter at `path` as `name`, and makes sure that it serves it.
///
/// # Errors
/// Why it does not, in words.
pub(crate) async fn load(client: &EngineClient, engine: &Engine, name: &str, path: &str) -> Result<(), String> {
    let body = json!({ "lora_name": name, "lora_path": path });
    let told = tell(client, engine, "/v1/load_lora_adapter", &body).await;
    match (told, serves(client, engine, name).await?) {
        (Ok(()), true) => Ok(()),
        (Ok(()), false) => Err(format!("it took the adapter, but does not list `{name}`")),
        // What it serves under that name is from somewhere else.
        (Err(why), _) => Err(why),
    }
}

/// Has `engine` forget the adapter `name`, and makes sure that it did.
///
/// # Errors
/// Why it does not, in words.
pub(crate) async fn unload(client: &EngineClient, engine: &Engine, name: &str) -> Result<(), String> {
    let told = tell(client, engine, "/v1/unload_lora_adapter", &json!({ "lora_name": name })).await;
    match (told, serves(client, engine, name).await?) {
        (_, false) => Ok(()),
        (Ok(()), true) => Err(format!("it still lists `{name}`")),
        (Err(why), true) => Err(why),
    }
}

async fn tell(client: &EngineClient, engine: &Engine, path: &str, body: &serde_json::Value) -> Result<(), String> {
    match client.post(engine, path, Some(body), LOAD_WITHIN).await.map_err(|error| error.why)? {
        Reply { status, .. } if status.is_success() => Ok(()),
        Reply { status: StatusCode::NOT_FOUND, body: answer } if !answer.windows(7).any(|part| part == b"message") => {
            Err(format!("it has no {path}: it was started without VLLM_ALLOW_RUNTIME_LORA_UPDATING; restart it"))
        }
        Reply { status, body: answer } => {
            Err(format!("POST {path}: it answered {}: {}", status.as_u16(), message(&answer)))
        }
    }
}

/// What an error says, or the beginning of whatever it is.
fn message(answer: &[u8]) -> String {
    let parsed = serde_json::from_slice::<serde_json::Value>(answer).ok();
    let text = parsed.as_ref().and_then(|value| value.pointer("/error/message").or(value.get("message"))?.as_str());
    let text = text.map_or_else(|| String::from_utf8_lossy(answer).into_owned(), ToOwned::to_owned);
    text.trim().chars().take(300).collect()
}

async fn serves(client: &EngineClient, engine: &Engine, name: &str) -> Result<bool, String> {
    match client.get(engine, "/v1/models", SAY_WITHIN).await.map_err(|error| error.why)? {
        Answer::Json(list) => {
            let cards: Vec<Card> =
                list.get("data").and_then(|data| serde_json::from_value(data.clone()).ok()).unwrap_or_default();
            let found = cards.iter().any(|card| card.get("id").is_some_and(|id| id == name));
            engine.set_cards(cards);
            Ok(found)
        }
        Answer::NotJson | Answer::Status(_) => Err("GET /v1/models: no list".into()),
    }
}

//! Aliases that stand for many names: `claude-*` and `*`.

use serde_json::{Value, json};

use crate::support::{Gateway, Sim, chat, http};

async fn start() -> (Sim, Gateway) {
    let sim = Sim::start(&[]);
    let aliases = r#"
  "*": { model: small, overrides: { seed: 1 } }
  "claude-*": { model: small, overrides: { seed: 2 }, dialect: { messages: chat, responses: chat } }
  "claude-opus-*": { model: away, overrides: { seed: 3 }, fallback: [small] }
  "claude-raw-*": { model: small, response_model: engine }
  claude-exact: { model: small, overrides: { seed: 4 } }
  "v:*": { model: small, variants: { a: { overrides: { seed: 5 } } } }
"#;
    let yaml = format!(
        "models:\n  small: {{ urls: [\"{}\"] }}\n  away: {{ urls: [\"http://127.0.0.1:9\"], health: off, served_name: x }}\n\
         aliases:{aliases}",
        sim.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    (sim, gateway)
}

async fn post(gateway: &Gateway, path: &str, body: &Value) -> (u16, String) {
    let reply = http().post(gateway.url(path)).json(body).send().await.expect("answered");
    (reply.status().as_u16(), reply.text().await.expect("text"))
}

/// Every `model` that an answer or its events have.
fn models(text: &str) -> Vec<String> {
    let each =
        text.split("\"model\":").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    let mut models: Vec<String> = each.map(str::to_owned).collect();
    models.dedup();
    models
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exact_name_the_longest_beginning_and_then_the_star_answer_under_the_name_that_was_asked() {
    let (sim, gateway) = start().await;
    for (name, seed, said) in [
        ("claude-exact", json!(4), "claude-exact"),
        ("claude-opus-4", json!(3), "claude-opus-4"),
        ("claude-haiku", json!(2), "claude-haiku"),
        ("claude-raw-x", Value::Null, "tiny"),
        ("gpt \u{e9}", json!(1), "gpt \u{e9}"),
        ("v:a", json!(5), "v:a"),
        ("v:b", json!(1), "v:b"),
        ("small", Value::Null, "small"),
    ] {
        for stream in [false, true] {
            let mut body = chat(name);
            body["stream"] = stream.into();
            let (status, text) = post(&gateway, "/v1/chat/completions", &body).await;
            assert_eq!((status, models(&text)), (200, vec![said.to_owned()]), "{name}: {text}");
            let seen = sim.last_request().await;
            let arrived: Value = serde_json::from_str(seen["body"].as_str().expect("text")).expect("JSON");
            assert_eq!((&arrived["model"], &arrived["seed"]), (&json!("tiny"), &seed), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn translated_answers_paths_and_requests_without_a_name_know_it_too() {
    let (_sim, gateway) = start().await;
    for stream in [false, true] {
        let messages = json!({ "model": "claude-x", "max_tokens": 5, "stream": stream,
            "messages": [{ "role": "user", "content": "hi" }] });
        let responses = json!({ "model": "claude-x", "input": "hi", "stream": stream });
        for (path, body) in [("/v1/messages", &messages), ("/v1/responses", &responses)] {
            let (status, text) = post(&gateway, path, body).await;
            assert_eq!((status, models(&text)), (200, vec!["claude-x".to_owned()]), "{path}: {text}");
        }
        let mut body = chat("whatever");
        body["stream"] = stream.into();
        let (status, text) = post(&gateway, "/a/claude-y/v1/chat/completions", &body).await;
        assert_eq!((status, models(&text)), (200, vec!["claude-y".to_owned()]), "{text}");
        body.as_object_mut().expect("an object").remove("model");
        let (status, text) = post(&gateway, "/v1/chat/completions", &body).await;
        assert_eq!((status, models(&text)), (200, vec!["tiny".to_owned()]), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_real_names_only_and_metrics_the_name_of_the_alias() {
    let (_sim, gateway) = start().await;
    let list: Value = http().get(gateway.url("/v1/models")).send().await.expect("answered").json().await.expect("JSON");
    let ids: Vec<_> = list["data"].as_array().expect("list").iter().map(|card| card["id"].clone()).collect();
    assert_eq!(ids, ["small", "away", "claude-exact", "v:a"]);
    for (path, id) in [("/v1/models/claude-9", "claude-9"), ("/a/claude-9/v1/models/claude-9", "claude-9")] {
        let card: Value = http().get(gateway.url(path)).send().await.expect("answered").json().await.expect("JSON");
        assert_eq!(card["id"], id, "{path}");
    }
    let own: Value =
        http().get(gateway.url("/a/claude-9/v1/models")).send().await.expect("answered").json().await.expect("JSON");
    assert_eq!(own["data"][0]["id"], "claude-9");
    for name in ["claude-1", "claude-2", "claude-3"] {
        assert_eq!(gateway.ask(name).await.0, 200);
    }
    let text = gateway.metrics().await;
    assert!(text.contains("alias=\"claude-*\"") && !text.contains("claude-2"), "{text}");
    let (status, error) = gateway.ask(&"x".repeat(300)).await;
    assert_eq!((status, &error["error"]["code"]), (404, &json!("model_not_found")), "no name of that length");
}

//! The demo of the README, on other ports.

use serde_json::{Value, json};

use crate::support::{Gateway, http};

#[tokio::test(flavor = "multi_thread")]
async fn two_models_and_three_aliases_answer() {
    let folder = tempfile::tempdir().expect("folder");
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/demo.yaml");
    let text = std::fs::read_to_string(demo).expect("conf/demo.yaml");
    assert!(text.contains("127.0.0.1:8000") && text.contains("127.0.0.1:8001"), "the README's ports");
    let file = folder.path().join("demo.yaml");
    std::fs::write(&file, text.replace("127.0.0.1:8000", "127.0.0.1:0").replace("127.0.0.1:8001", "127.0.0.1:0"))
        .expect("written");
    let gateway = Gateway::serve(&file, folder);
    gateway.wait_ready().await;

    let list: Value = http().get(gateway.url("/v1/models")).send().await.expect("answered").json().await.expect("JSON");
    let ids: Vec<_> = list["data"].as_array().expect("list").iter().filter_map(|card| card["id"].as_str()).collect();
    assert_eq!(ids, ["qwen3", "embed", "qwen3-think", "qwen3-instant", "text-embedding-3-small"]);

    let ask = async |model: &str| {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "hello" }] });
        let reply = http().post(gateway.url("/v1/chat/completions")).json(&body).send().await.expect("answered");
        assert_eq!(reply.status(), 200, "{model}");
        reply.json::<Value>().await.expect("JSON")
    };
    let thinking = ask("qwen3-think").await;
    let instant = ask("qwen3-instant").await;
    assert!(thinking["choices"][0]["message"]["reasoning"].is_string(), "{thinking}");
    assert!(!instant["choices"][0]["message"]["reasoning"].is_string(), "{instant}");
    ask("qwen3").await;

    for model in ["embed", "text-embedding-3-small"] {
        let body = json!({ "model": model, "input": "hello" });
        let reply = http().post(gateway.url("/v1/embeddings")).json(&body).send().await.expect("answered");
        let answer: Value = reply.json().await.expect("JSON");
        assert!(answer["data"][0]["embedding"].as_array().is_some_and(|vector| !vector.is_empty()), "{answer}");
    }
}

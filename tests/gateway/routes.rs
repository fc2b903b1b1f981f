//! Every inference route of an engine, those that few use included.

use serde_json::{Value, json};

use crate::support::{Gateway, Sim, http};

async fn start(flags: &[&str], more: &str) -> (Sim, Gateway) {
    let sim = Sim::start(&[&["--ttft", "1ms", "--gap", "1ms", "--tokens", "5"], flags].concat());
    let gateway = Gateway::ready(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}\n{more}", sim.url())).await;
    (sim, gateway)
}

async fn post(gateway: &Gateway, path: &str, body: &Value) -> (u16, Value) {
    let reply = http().post(gateway.url(path)).json(body).send().await.expect("answered");
    (reply.status().as_u16(), reply.json().await.expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_that_few_use_are_served_with_the_settings_of_an_alias() {
    let (_sim, gateway) = start(
        &[],
        "aliases: { a: { model: tiny, limits: { max_tokens: 2 }, prompt: { text: brief, place: before } } }",
    )
    .await;
    let one = json!([{ "role": "user", "content": "hi" }]);
    let batch = json!({ "model": "a", "messages": [one, one], "max_tokens": 50 });
    let (status, answer) = post(&gateway, "/v1/chat/completions/batch", &batch).await;
    assert_eq!((status, answer["choices"].as_array().map(Vec::len)), (200, Some(2)), "{answer}");
    assert_eq!((&answer["usage"]["completion_tokens"], &answer["model"]), (&json!(4), &json!("a")), "{answer}");
    let texts = json!({ "model": "a", "texts": ["one", "two"], "embedding_types": ["float"] });
    let (status, answer) = post(&gateway, "/v2/embed", &texts).await;
    assert_eq!((status, answer["embeddings"]["float"].as_array().map(Vec::len)), (200, Some(2)), "{answer}");
    let scoring = json!({ "model": "a", "query": "q", "items": ["x", "y", "z"], "label_token_ids": [1, 2] });
    let (status, answer) = post(&gateway, "/generative_scoring", &scoring).await;
    assert_eq!((status, answer["data"].as_array().map(Vec::len)), (200, Some(3)), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_is_the_route_that_its_body_is_for() {
    let (sim, gateway) = start(&[], "aliases: { a: { model: tiny, limits: { max_tokens: 2 } } }").await;
    let chat = json!({ "model": "a", "messages": [{ "role": "user", "content": "hi" }], "max_tokens": 50 });
    let (status, answer) = post(&gateway, "/invocations", &chat).await;
    assert_eq!((status, &answer["object"]), (200, &json!("chat.completion")), "{answer}");
    assert_eq!(answer["usage"]["completion_tokens"], 2, "settings hold on this way, too: {answer}");
    let (status, answer) = post(&gateway, "/invocations", &json!({ "model": "a", "prompt": "hi" })).await;
    assert_eq!((status, &answer["object"]), (200, &json!("text_completion")), "{answer}");
    let (status, answer) = post(&gateway, "/invocations", &json!({ "model": "a", "input": ["hi"] })).await;
    assert_eq!((status, &answer["object"]), (200, &json!("list")), "{answer}");
    let started = sim.stat("started").await;
    let (status, answer) = post(&gateway, "/invocations", &json!({ "model": "a" })).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("unknown_invocation")), "{answer}");
    assert_eq!(sim.stat("started").await, started);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_does_not_serve_a_route_says_what_it_serves() {
    let (_sim, gateway) = start(&["--runner", "pooling"], "").await;
    let chat = json!({ "model": "tiny", "messages": [{ "role": "user", "content": "hi" }] });
    for (path, shape) in [("/v1/chat/completions", "/error/message"), ("/v1/messages", "/error/message")] {
        let (status, answer) = post(&gateway, path, &chat).await;
        let message = answer.pointer(shape).and_then(Value::as_str).unwrap_or_default();
        assert_eq!(status, 404, "{answer}");
        assert!(message.contains(&format!("`tiny` does not serve {path}")), "{answer}");
        assert!(message.contains("/v1/embeddings") && !message.contains("/v1/completions"), "{answer}");
    }
    let (status, answer) = post(&gateway, "/v1/embeddings", &json!({ "model": "tiny", "input": "hi" })).await;
    assert_eq!(status, 200, "it is no worse an engine for that: {answer}");
}

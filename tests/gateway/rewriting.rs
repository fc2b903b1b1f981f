//! One engine, many aliases: what arrives at the engine is what the alias says.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{Gateway, Sim, http};

async fn start(sim: &Sim) -> Gateway {
    let yaml = format!(
        r#"
models:
  backing: {{ urls: ["{}"], api_key: sk-engine }}
aliases:
  instant:
    model: backing
    remove: [logit_bias]
    defaults: {{ max_tokens: 16, top_p: 0.9 }}
    limits: {{ max_tokens: 32, temperature: 1 }}
    overrides: {{ chat_template_kwargs: {{ enable_thinking: false }} }}
  german: {{ model: backing, overrides: {{ language: de }}, defaults: {{ temperature: 0.2 }}, remove: [prompt] }}
"#,
        sim.url()
    );
    Gateway::ready(&yaml).await
}

async fn post(gateway: &Gateway, path: &str, body: &Value) -> reqwest::Response {
    http().post(gateway.url(path)).bearer_auth("sk-caller").json(body).send().await.expect("answered")
}

fn arrived(seen: &Value) -> Value {
    serde_json::from_str(seen["body"].as_str().expect("text")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_apply_in_their_order() {
    let sim = Sim::start(&["--api-key", "sk-engine"]);
    let gateway = start(&sim).await;
    let body = json!({
        "model": "instant", "messages": [{ "role": "user", "content": "hi" }], "logit_bias": { "1": 5 },
        "temperature": 1.5, "max_tokens": 100, "chat_template_kwargs": { "enable_thinking": true, "other": 1 },
    });
    assert_eq!(post(&gateway, "/v1/chat/completions", &body).await.status(), 200);
    let expected = json!({
        "model": "tiny", "messages": [{ "role": "user", "content": "hi" }],
        "temperature": 1, "max_tokens": 32, "chat_template_kwargs": { "enable_thinking": false, "other": 1 },
        "top_p": 0.9,
    });
    assert_eq!(arrived(&sim.last_request().await), expected);

    let silent = json!({ "model": "instant", "messages": [{ "role": "user", "content": "hi" }] });
    assert_eq!(post(&gateway, "/v1/chat/completions", &silent).await.status(), 200);
    let seen = arrived(&sim.last_request().await);
    assert_eq!((&seen["max_tokens"], &seen["top_p"]), (&json!(16), &json!(0.9)));
    assert_eq!(seen["chat_template_kwargs"], json!({ "enable_thinking": false }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_gets_its_own_key_and_never_the_callers() {
    let sim = Sim::start(&["--api-key", "sk-engine"]);
    let gateway = start(&sim).await;
    let request = http().post(gateway.url("/v1/chat/completions")).bearer_auth("sk-caller");
    let request = request.header("x-api-key", "sk-caller").header("x-request-id", "mine-1").header("te", "trailers");
    let request = request.header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let reply = request.json(&crate::support::chat("backing")).send().await.expect("answered");
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()["x-request-id"], "mine-1");
    let seen = sim.last_request().await;
    let header = |name: &str| {
        let headers = seen["headers"].as_array().expect("list");
        headers.iter().find(|pair| pair[0] == name).map(|pair| pair[1].as_str().expect("text").to_owned())
    };
    assert_eq!(header("authorization").as_deref(), Some("Bearer sk-engine"));
    assert_eq!(header("x-api-key"), None);
    assert_eq!(header("x-request-id").as_deref(), Some("mine-1"));
    assert_eq!(header("te"), None, "hop-by-hop");
    assert_eq!(header("traceparent").as_deref(), Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    assert_eq!(header("host"), Some(sim.address.to_string()));
    assert!(!seen.to_string().contains("sk-caller"));
    for secret in ["sk-engine", "sk-caller"] {
        assert!(!gateway.log().contains(secret) && !gateway.access_log().contains(secret), "{secret} was logged");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_gets_the_same_rules_and_its_file_stays_as_it_is() {
    let sim = Sim::start(&["--api-key", "sk-engine"]);
    let gateway = start(&sim).await;
    let audio: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let form = Form::new()
        .part("file", Part::bytes(audio.clone()).file_name("a.wav").mime_str("audio/wav").expect("type"))
        .text("model", "german")
        .text("language", "en")
        .text("prompt", "ignore me");
    let reply = http().post(gateway.url("/v1/audio/transcriptions")).multipart(form).send().await.expect("answered");
    let status = reply.status();
    let text = reply.text().await.expect("text");
    assert_eq!(status, 200, "{text}");
    let seen = sim.last_request().await;
    let body = seen["body"].as_str().expect("text");
    let field = |name: &str| {
        let after = body.split(&format!("name=\"{name}\"")).nth(1)?;
        after.split("\r\n\r\n").nth(1)?.split("\r\n").next().map(str::to_owned)
    };
    assert_eq!(field("model").as_deref(), Some("tiny"));
    assert_eq!(field("language").as_deref(), Some("de"));
    assert_eq!(field("temperature").as_deref(), Some("0.2"));
    assert_eq!(field("prompt"), None);
    assert!(text.contains("200000"), "the engine says how large the file was: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_whose_boundary_is_in_what_an_alias_writes_is_refused() {
    let sim = Sim::start(&[]);
    let alias = r#"aliases: { writes: { model: small, overrides: { prompt: "one\r\n--edge" } } }"#;
    let gateway = Gateway::ready(&format!("models: {{ small: {{ urls: [\"{}\"] }} }}\n{alias}", sim.url())).await;
    let before = sim.last_request().await;
    for (boundary, status) in [("edge", 400), ("ed", 400), ("edges", 200)] {
        let field = |name: &str, value: &str| {
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let body =
            field("model", "writes") + &field("file\"; filename=\"a.wav", "RIFF") + &format!("--{boundary}--\r\n");
        let kind = format!("multipart/form-data; boundary={boundary}");
        let request = http().post(gateway.url("/v1/audio/transcriptions")).header("content-type", kind);
        let reply = request.body(body).send().await.expect("answered");
        let (found, text) = (reply.status(), reply.text().await.expect("text"));
        assert_eq!(found, status, "{boundary}: {text}");
        if status == 400 {
            assert!(text.contains("invalid_multipart") && text.contains("another boundary"), "{text}");
            assert_eq!(sim.last_request().await, before, "it did not reach the engine");
        } else {
            let seen = sim.last_request().await;
            assert!(seen["body"].as_str().is_some_and(|body| body.contains("one\r\n--edge\r\n--edges--")), "{seen}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_inference_route_reaches_the_engine_under_its_own_path() {
    let sim = Sim::start(&["--api-key", "sk-engine"]);
    let gateway = start(&sim).await;
    let chat = json!([{ "role": "user", "content": "hi" }]);
    let cases = [
        ("/v1/chat/completions", json!({ "messages": chat })),
        ("/v1/completions", json!({ "prompt": "hi" })),
        ("/v1/embeddings", json!({ "input": "hi" })),
        ("/v1/responses", json!({ "input": "hi" })),
        ("/v1/messages", json!({ "messages": chat, "max_tokens": 5 })),
        ("/v1/messages/count_tokens", json!({ "messages": chat })),
        ("/rerank", json!({ "query": "q", "documents": ["a", "b"] })),
        ("/v1/rerank", json!({ "query": "q", "documents": ["a", "b"] })),
        ("/v2/rerank", json!({ "query": "q", "documents": ["a", "b"] })),
        ("/score", json!({ "text_1": "a", "text_2": "b" })),
        ("/v1/score", json!({ "text_1": "a", "text_2": "b" })),
        ("/classify", json!({ "input": "a" })),
        ("/pooling", json!({ "input": "a" })),
        ("/tokenize", json!({ "prompt": "a b" })),
        ("/detokenize", json!({ "tokens": [1, 2] })),
    ];
    for (path, mut body) in cases {
        body["model"] = json!("backing");
        let reply = post(&gateway, path, &body).await;
        let status = reply.status();
        assert_eq!(status, 200, "{path}: {}", reply.text().await.expect("text"));
        let seen = sim.last_request().await;
        assert_eq!(seen["target"], path);
        assert_eq!(arrived(&seen)["model"], "tiny", "{path}");
    }
    for path in ["/v1/audio/transcriptions", "/v1/audio/translations"] {
        let form = Form::new().part("file", Part::bytes(vec![0; 9]).file_name("a.wav")).text("model", "backing");
        let reply = http().post(gateway.url(path)).multipart(form).send().await.expect("answered");
        assert_eq!(reply.status(), 200, "{path}");
        assert_eq!(sim.last_request().await["target"], path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engines_own_error_passes_whole_also_for_a_stream() {
    let sim = Sim::start(&["--max-model-len", "64", "--api-key", "sk-engine"]);
    let gateway = start(&sim).await;
    for stream in [false, true] {
        let body = json!({ "model": "backing", "stream": stream, "messages": [{ "role": "user", "content": "x ".repeat(4000) }] });
        let ours = post(&gateway, "/v1/chat/completions", &body).await;
        let mut direct = body.clone();
        direct["model"] = json!("tiny");
        let url = sim.url() + "/v1/chat/completions";
        let theirs = http().post(url).bearer_auth("sk-engine").json(&direct).send().await.expect("answered");
        assert_eq!((ours.status().as_u16(), theirs.status().as_u16()), (400, 400));
        assert_eq!(ours.headers()["content-type"], theirs.headers()["content-type"]);
        assert_eq!(ours.text().await.expect("text"), theirs.text().await.expect("text"));
    }
}

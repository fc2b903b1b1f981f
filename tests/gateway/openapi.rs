//! The description of the operators' API is walked against the running server: every path is there, answers with a status that
//! is described, and what it answers is what the description says.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::{Gateway, eventually, http};

const FILE: &str = "
models:
  org/m: { source: org/m, command: [enginehouse, sim], sleep_mode: true, lora: {} }
aliases: { quick: { model: org/m } }
callers: { bot: { keys: [a-key-of-the-bot] } }
anonymous: {}
";

/// What is filled in for `{name}`.
fn filled(path: &str, ids: &BTreeMap<&str, String>) -> String {
    let mut out = path.to_owned();
    for (name, value) in ids {
        out = out.replace(&format!("{{{name}}}"), value);
    }
    assert!(!out.contains('{'), "{out}: say what to fill in");
    out
}

/// What is sent: the body that is needed, where there is one.
fn body_of(method: &str, path: &str) -> Option<String> {
    let value = match (method, path) {
        ("put", "/api/v1/models/{model}") => {
            json!({ "source": "org/m", "command": ["enginehouse", "sim"], "sleep_mode": true, "lora": {} })
        }
        ("put", "/api/v1/aliases/{alias}") => json!({ "model": "org/m", "hidden": true }),
        ("put", "/api/v1/callers/{caller}") => json!({ "keys": ["another-key-of-the-bot"] }),
        ("put", "/api/v1/models/{model}/replicas") => json!({ "replicas": 1 }),
        ("post", "/api/v1/models/{model}/lora") => json!({ "name": "sql", "path": "/adapters/sql" }),
        ("post", "/api/v1/playground/chat") => {
            json!({ "model": "org/m", "messages": [{ "role": "user", "content": "Hi" }], "max_tokens": 1 })
        }
        ("put", "/api/v1/log-level") => json!({ "level": "info" }),
        ("post", "/api/v1/login") => json!({ "token": "x" }),
        ("post", "/api/v1/plan") => return Some(FILE.to_owned()),
        _ => return None,
    };
    Some(value.to_string())
}

/// Whether an answer is what the description says. Not every one can be had: there may be nothing to undo.
fn check(description: &Value, (method, path): (&str, &str), status: u16, answer: &Value) {
    let responses = &description["paths"][path][method]["responses"];
    let described = match &responses[status.to_string()] {
        Value::Null => {
            assert!(matches!(status, 404 | 409), "{method} {path}: {status} is not described: {answer}");
            &description["components"]["responses"]["Error"]
        }
        response => response,
    };
    let Some(schema) = described["content"]["application/json"].get("schema") else { return };
    let mut whole = schema.clone();
    whole["components"] = description["components"].clone();
    let validator = jsonschema::validator_for(&whole).expect("a schema");
    let wrong: Vec<String> =
        validator.iter_errors(answer).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{method} {path} {status}: {wrong:#?}\n{answer:#}");
}

async fn ask(gateway: &Gateway, method: &str, path: &str, body: Option<String>) -> (u16, Value) {
    let method: Method = method.to_uppercase().parse().expect("a method");
    let mut request = http().request(method, format!("http://{}{path}", gateway.admin));
    if let Some(body) = body {
        request = request.body(body);
    }
    let reply = request.send().await.expect("answered");
    let status = reply.status().as_u16();
    let kind = reply.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    if kind.starts_with("text/event-stream") {
        // It has no end.
        return (status, Value::Null);
    }
    let text = reply.text().await.expect("read");
    (
        status,
        if kind.starts_with("application/json") { serde_json::from_str(&text).expect("JSON") } else { Value::Null },
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_what_the_server_does() {
    let (_deployment, mut gateway) = Deployment::open(FILE);
    gateway.all_ready().await;
    assert_eq!(gateway.ask("org/m").await.0, 200);
    let (_, description) = ask(&gateway, "get", "/api/v1/openapi.json", None).await;
    let request = eventually("a request to be listed", async || {
        let (_, told) = ask(&gateway, "get", "/api/v1/requests", None).await;
        told["requests"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    let mut ids = BTreeMap::from([
        ("engine", "org/m/0".to_owned()),
        ("model", "org/m".to_owned()),
        ("alias", "quick".to_owned()),
        ("caller", "bot".to_owned()),
        ("adapter", "sql".to_owned()),
        ("id", request),
    ]);
    let mut seen = BTreeMap::<u16, usize>::new();
    // What takes away comes last, and first of that what needs the most.
    let mut all: Vec<(String, String)> = Vec::new();
    for (path, methods) in description["paths"].as_object().expect("paths") {
        all.extend(methods.as_object().expect("methods").keys().map(|method| (method.clone(), path.clone())));
    }
    let rank = |(method, path): &(String, String)| match method.as_str() {
        _ if path.ends_with("/shutdown") => 10,
        "get" => 0,
        "put" => 1,
        "post" => 2,
        _ if path.contains("/models/{model}") && !path.contains("lora") => 9,
        _ => 3,
    };
    all.sort_by_key(rank);
    // A method that is not described is not served.
    for path in description["paths"].as_object().expect("paths").keys().filter(|path| path.starts_with("/api/v1/")) {
        let (status, answer) = ask(&gateway, "patch", &filled(path, &ids), None).await;
        assert_eq!(status, 405, "{path}: {answer}");
    }
    for (method, path) in &all {
        if path == "/api/v1/operations/{id}" {
            let (_, told) = ask(&gateway, "get", "/api/v1/operations", None).await;
            let newest = told["operations"][0]["id"].as_str().unwrap_or("none").to_owned();
            ids.insert("id", newest);
        }
        let (status, answer) = ask(&gateway, method, &filled(path, &ids), body_of(method, path)).await;
        assert!(status != 405 && status < 500, "{method} {path}: {status} {answer}");
        check(&description, (method, path), status, &answer);
        *seen.entry(status).or_default() += 1;
        if path.ends_with("/stop") || path.ends_with("/sleep") {
            let again = if path.ends_with("/stop") { "start" } else { "wake" };
            let (status, answer) = ask(&gateway, "post", &format!("/api/v1/engines/org/m/0/{again}"), None).await;
            assert_eq!(status, 200, "{answer}");
        }
    }
    assert!(seen[&200] > 45 && seen.values().sum::<usize>() == all.len(), "{seen:?}");
    assert_eq!(gateway.ended().await, Some(0), "the last thing that was asked for is that it ends");
}

//! Responses and Messages over an engine that is asked for Chat Completions only.

use serde_json::{Value, json};

use crate::support::{Gateway, Sim, http, python};

async fn start(args: &[&str]) -> (Sim, Gateway) {
    let sim = Sim::start(args);
    let yaml = format!(
        r#"
models:
  small: {{ urls: ["{}"], dialect: {{ responses: chat, messages: chat }} }}
aliases:
  small-short: {{ model: small, limits: {{ max_tokens: 8 }}, overrides: {{ chat_template_kwargs: {{ enable_thinking: false }} }} }}
  native: {{ model: small, dialect: {{ responses: engine, messages: engine }} }}
"#,
        sim.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    (sim, gateway)
}

async fn post(gateway: &Gateway, path: &str, body: &Value) -> reqwest::Response {
    http().post(gateway.url(path)).json(body).send().await.expect("answered")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_is_asked_for_chat_and_the_caller_answered_in_its_own_api() {
    let (sim, gateway) = start(&[]).await;
    let body = json!({ "model": "small-short", "input": "hi", "max_output_tokens": 100, "top_k": 5 });
    let reply = post(&gateway, "/v1/responses", &body).await;
    assert_eq!(reply.status(), 200);
    let answer: Value = reply.json().await.expect("JSON");
    assert_eq!((&answer["object"], &answer["model"]), (&json!("response"), &json!("small-short")), "{answer}");
    let seen = sim.last_request().await;
    assert_eq!(seen["target"], "/v1/chat/completions");
    let arrived: Value = serde_json::from_str(seen["body"].as_str().expect("text")).expect("JSON");
    assert_eq!((&arrived["model"], &arrived["max_tokens"], &arrived["top_k"]), (&json!("tiny"), &json!(8), &json!(5)));

    let body = json!({ "model": "small", "max_tokens": 4, "messages": [{ "role": "user", "content": "hi" }] });
    let answer: Value = post(&gateway, "/v1/messages", &body).await.json().await.expect("JSON");
    assert_eq!((&answer["type"], &answer["role"]), (&json!("message"), &json!("assistant")), "{answer}");
    assert_eq!(sim.last_request().await["target"], "/v1/chat/completions");

    let body = json!({ "model": "native", "input": "hi" });
    assert_eq!(post(&gateway, "/v1/responses", &body).await.status(), 200);
    assert_eq!(sim.last_request().await["target"], "/v1/responses", "an alias may leave it to the engine");
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_that_nobody_here_can_run_are_dropped_and_named_in_the_head() {
    let (sim, gateway) = start(&[]).await;
    let function = json!({ "type": "function", "name": "shell", "parameters": { "type": "object" } });
    let tools = json!([function, { "type": "web_search" }, { "type": "image_generation" }, { "type": "custom", "name": "apply_patch" }]);
    for stream in [false, true] {
        let body = json!({ "model": "small", "input": "hi", "store": false, "stream": stream, "tools": tools });
        let reply = post(&gateway, "/v1/responses", &body).await;
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.headers()["x-enginehouse-dropped-tools"], "web_search, image_generation");
        let arrived: Value =
            serde_json::from_str(sim.last_request().await["body"].as_str().expect("text")).expect("JSON");
        assert_eq!(arrived["tools"].as_array().map(Vec::len), Some(2), "{arrived}");
    }
    let body = json!({ "model": "small", "input": "hi", "tools": [function] });
    let reply = post(&gateway, "/v1/responses", &body).await;
    assert!(!reply.headers().contains_key("x-enginehouse-dropped-tools"));
    let body = json!({ "model": "small", "max_tokens": 4, "messages": [{ "role": "user", "content": "hi" }],
        "tools": [{ "type": "web_search_20250305", "name": "web_search" }] });
    let reply = post(&gateway, "/v1/messages", &body).await;
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()["x-enginehouse-dropped-tools"], "web_search_20250305");
    let mut forced = body;
    forced["tool_choice"] = json!({ "type": "tool", "name": "web_search" });
    assert_eq!(post(&gateway, "/v1/messages", &forced).await.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_tool_is_called_with_a_text() {
    let (_sim, gateway) = start(&[]).await;
    let tools = json!([{ "type": "custom", "name": "apply_patch" }]);
    for stream in [false, true] {
        let body =
            json!({ "model": "small", "input": "hi", "stream": stream, "tools": tools, "tool_choice": "required" });
        let text = post(&gateway, "/v1/responses", &body).await.text().await.expect("an answer");
        assert!(text.contains("\"custom_tool_call\"") && !text.contains("\"function_call\""), "{text}");
        assert_eq!(text.contains("response.custom_tool_call_input.done"), stream, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_in_the_callers_api_with_the_engines_status() {
    let (_sim, gateway) = start(&["--max-model-len", "64"]).await;
    let long = "word ".repeat(500);
    let body = json!({ "model": "small", "max_tokens": 4, "messages": [{ "role": "user", "content": long }] });
    let reply = post(&gateway, "/v1/messages", &body).await;
    assert_eq!(reply.status(), 400);
    assert_eq!(reply.headers()["content-type"], "application/json");
    let error: Value = reply.json().await.expect("JSON");
    assert_eq!(
        (&error["type"], &error["error"]["type"]),
        (&json!("error"), &json!("invalid_request_error")),
        "{error}"
    );
    for stream in [false, true] {
        let reply =
            post(&gateway, "/v1/responses", &json!({ "model": "small", "input": long, "stream": stream })).await;
        assert_eq!(reply.status(), 400, "stream: {stream}");
        let error: Value = reply.json().await.expect("JSON");
        assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains("64")), "{error}");
    }
    let stored = json!({ "model": "small", "input": "x", "previous_response_id": "r" });
    assert_eq!(post(&gateway, "/v1/responses", &stored).await.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_engine_dies_ends_as_the_callers_api_says() {
    for (path, body, mark) in [
        ("/v1/responses", json!({ "input": "hi", "max_output_tokens": 400 }), "response.failed"),
        (
            "/v1/messages",
            json!({ "messages": [{ "role": "user", "content": "hi" }], "max_tokens": 400 }),
            "event: error",
        ),
    ] {
        let (mut sim, gateway) = start(&["--gap", "20ms", "--tokens", "400"]).await;
        let mut body = body;
        (body["model"], body["stream"], body["ignore_eos"]) = (json!("small"), json!(true), json!(true));
        let mut reply = post(&gateway, path, &body).await;
        assert_eq!(reply.status(), 200);
        let mut all = String::new();
        while let Some(chunk) = reply.chunk().await.expect("ended well") {
            all += &String::from_utf8_lossy(&chunk);
            if all.contains("delta") {
                sim.kill();
            }
        }
        assert!(all.contains(mark) && all.ends_with("\n\n"), "{path}: {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_packages_see_no_difference() {
    let args = ["--max-model-len", "512", "--gap", "5ms", "--tokens", "40", "--reasoning-parser", "qwen3"];
    let (sim, gateway) = start(&args).await;
    for package in ["openai", "anthropic"] {
        let Some(python) = python::with(package) else { continue };
        let (gateway, sim) = (gateway.url(""), sim.url());
        let arguments = ["--gateway", &gateway, "--engine", &sim, "--model", "small", "--short", "small-short"];
        let args = [arguments.as_slice(), &["--translated", "--tools", "--reasoning"]].concat();
        python.run(&format!("{package}_client.py"), &args).await;
    }
    let of_the_engine = sim.get("/sim/last_request?path=/v1/responses").await;
    assert!(of_the_engine.get("target").is_none(), "nothing but chat reached it: {of_the_engine}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_packages_talk_to_a_gym_alias() {
    let sim = Sim::start(&["--gap", "2ms", "--tokens", "40", "--reasoning-parser", "qwen3"]);
    let yaml = format!(
        "models: {{ small: {{ urls: [\"{}\"] }} }}\naliases: {{ gymnast: {{ model: small, gym: {{}} }} }}\n",
        sim.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    let Some(python) = python::with("openai, anthropic") else { return };
    let (door, sim) = (gateway.url("/a/gymnast"), sim.url());
    let args = ["--gateway", &door, "--engine", &sim, "--model", "gymnast", "--short", "gymnast"];
    let args = [args.as_slice(), &["--tools", "--reasoning"]].concat();
    python.run("gym_client.py", &args).await;
}

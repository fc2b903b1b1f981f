//! What an alias makes of requests and answers, seen at the engine and at the caller.

use serde_json::{Value, json};

use crate::support::{Gateway, Sim, eventually, http};

const ALIASES: &str = r#"
  base: { model: small, defaults: { top_p: 0.5, temperature: 0.5 }, headers: { x-tenant: research } }
  nice:
    model: base
    remove: [chat_template_kwargs.thinking_budget]
    map: { reasoning_effort: { medium: high } }
    defaults: { temperature: 0.25 }
    prompt: { text: Be brief. }
    when:
      - if: { body: { tools: { present: true } }, header: { x-tier: free }, endpoint: [chat] }
        overrides: { max_tokens: 3 }
  "v:*":
    model: small
    variants:
      - fast: { overrides: { chat_template_kwargs.enable_thinking: false } }
        slow: { overrides: { chat_template_kwargs.enable_thinking: true } }
      - cold: { overrides: { temperature: 0 } }
        hot: { overrides: { temperature: 1 } }
  plain: { model: small, response_model: engine }
  counted: { model: small, defaults: { stream_options: { include_usage: true } }, overrides: { stream_interval: 2 } }
  gymnast: { model: small, gym: {} }
  strict: { model: small, gym: { strict: true } }
"#;

async fn start(args: &[&str]) -> (Sim, Gateway) {
    let sim = Sim::start(args);
    let yaml = format!("models: {{ small: {{ urls: [\"{}\"] }} }}\naliases:{ALIASES}", sim.url());
    let gateway = Gateway::ready(&yaml).await;
    (sim, gateway)
}

fn arrived(seen: &Value) -> Value {
    serde_json::from_str(seen["body"].as_str().expect("text")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_every_kind_reach_the_engine() {
    let (sim, gateway) = start(&[]).await;
    let mut body = json!({
        "model": "nice", "messages": [{ "role": "user", "content": "hi" }], "reasoning_effort": "medium",
        "chat_template_kwargs": { "thinking_budget": 5, "other": 1 },
        "tools": [{ "type": "function", "function": { "name": "f" } }], "tool_choice": "none",
    });
    for (tier, expected) in [("free", json!(3)), ("paid", Value::Null)] {
        let request = http().post(gateway.url("/v1/chat/completions")).header("x-tier", tier);
        let reply = request.header("x-tenant", "mine").json(&body).send().await.expect("answered");
        assert_eq!(reply.status(), 200);
        let seen = sim.last_request().await;
        let got = arrived(&seen);
        assert_eq!(
            (&got["top_p"], &got["temperature"]),
            (&json!(0.5), &json!(0.25)),
            "an alias goes before what it is of"
        );
        assert_eq!((&got["reasoning_effort"], &got["max_tokens"]), (&json!("high"), &expected));
        assert_eq!(got["chat_template_kwargs"], json!({ "other": 1 }));
        assert_eq!(got["messages"][0], json!({ "role": "system", "content": "Be brief." }));
        let headers = seen["headers"].as_array().expect("headers");
        let tenants: Vec<_> = headers.iter().filter(|header| header[0] == "x-tenant").collect();
        assert_eq!(tenants, [&json!(["x-tenant", "research"])]);
    }
    body["model"] = json!("v:fast:hot");
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&body).send().await.expect("answered");
    assert_eq!(reply.status(), 200);
    let got = arrived(&sim.last_request().await);
    assert_eq!((&got["chat_template_kwargs"]["enable_thinking"], &got["temperature"]), (&json!(false), &json!(1)));
    // What has no such member gets none.
    let body = json!({ "model": "nice", "input": "hi" });
    assert_eq!(http().post(gateway.url("/v1/embeddings")).json(&body).send().await.expect("answered").status(), 200);
    assert_eq!(arrived(&sim.last_request().await), json!({ "model": "tiny", "input": "hi" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_streams_have_is_added_to_no_other_request() {
    let (sim, gateway) = start(&[]).await;
    let mut body = json!({ "model": "counted", "messages": [{ "role": "user", "content": "hi" }] });
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&body).send().await.expect("answered");
    // The engine refuses stream options where nothing is streamed.
    assert_eq!(reply.status(), 200, "{}", reply.text().await.expect("whole"));
    let got = arrived(&sim.last_request().await);
    assert_eq!((&got["stream_options"], &got["stream_interval"]), (&Value::Null, &Value::Null));
    let said = explain(&["--alias", "counted"], &body).expect("explained");
    assert!(!said.contains("stream_"), "{said}");

    body["stream"] = json!(true);
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&body).send().await.expect("answered");
    assert!(
        reply.text().await.expect("whole").contains("\"usage\":{"),
        "the alias asked for it, and the caller gets it"
    );
    let got = arrived(&sim.last_request().await);
    assert_eq!((&got["stream_options"], &got["stream_interval"]), (&json!({ "include_usage": true }), &json!(2)));
    let said = explain(&["--alias", "counted"], &body).expect("explained");
    assert!(
        said.contains("stream_options: (nothing) -> {\"include_usage\":true}\n    defaults of alias counted"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_name_the_alias_unless_the_engine_is_to_be_seen() {
    let (_sim, gateway) = start(&[]).await;
    for (alias, named) in [
        ("nice", "nice"),
        ("v:slow:cold", "v:slow:cold"),
        ("plain", "tiny"),
        ("gymnast", "gymnast"),
        ("strict", "tiny"),
    ] {
        for (path, body) in [
            ("/v1/chat/completions", json!({ "messages": [{ "role": "user", "content": "\"model\":\"tiny\"" }] })),
            ("/v1/responses", json!({ "input": "hi" })),
            ("/v1/messages", json!({ "messages": [{ "role": "user", "content": "hi" }], "max_tokens": 5 })),
        ] {
            // Gym's messages name what the client named.
            let named = if (alias, path) == ("strict", "/v1/messages") { "strict" } else { named };
            let mut body = body;
            body["model"] = json!(alias);
            let reply = http().post(gateway.url(path)).json(&body).send().await.expect("answered");
            let length = reply.headers().get("content-length").map(|length| length.to_str().expect("text").to_owned());
            let text = reply.text().await.expect("whole");
            assert_eq!(length, Some(text.len().to_string()), "{path}");
            let answer: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(answer["model"], named, "{path}: {answer}");
            body["stream"] = json!(true);
            let reply = http().post(gateway.url(path)).json(&body).send().await.expect("answered");
            let text = reply.text().await.expect("whole");
            let mut seen = 0;
            for data in text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]") {
                let event: Value = serde_json::from_str(data).expect("JSON");
                for place in ["/model", "/response/model", "/message/model"] {
                    if let Some(model) = event.pointer(place) {
                        assert_eq!(model, named, "{path} {place}: {event}");
                        seen += 1;
                    }
                }
            }
            assert!(seen > 0, "{path}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gym_client_that_leaves_ends_the_engines_work() {
    let (sim, gateway) = start(&["--ttft", "60s"]).await;
    let body = json!({ "model": "gymnast", "messages": [{ "role": "user", "content": "hi" }] });
    let call = http().post(gateway.url("/v1/chat/completions")).json(&body).send();
    let call = tokio::spawn(call);
    eventually("the engine to work", || async { (sim.stat("running").await == 1).then_some(()) }).await;
    call.abort();
    eventually("the work to be given up", || async { (sim.stat("aborted").await == 1).then_some(()) }).await;
    eventually("its line in the access log", || async { gateway.access_log().contains("alias=gymnast").then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gym_alias_waits_for_its_engine_and_gives_up_in_time() {
    let nobody = tokio::net::TcpSocket::new_v4().expect("socket");
    nobody.bind("127.0.0.1:0".parse().expect("address")).expect("bound");
    let address = nobody.local_addr().expect("address");
    let yaml = format!(
        "models: {{ gone: {{ urls: [\"http://{address}\"], health: off, served_name: tiny }} }}\n\
         aliases: {{ gymnast: {{ model: gone, gym: {{ retry_for: 1s }} }} }}\n"
    );
    let gateway = Gateway::start(&yaml);
    let body = json!({ "model": "gymnast", "messages": [{ "role": "user", "content": "hi" }] });
    let since = std::time::Instant::now();
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&body).send().await.expect("answered");
    let took = since.elapsed();
    assert_eq!(reply.status(), 502);
    let error: Value = reply.json().await.expect("JSON");
    assert!(
        error["error"]["message"].as_str().is_some_and(|text| text.contains(&format!("gone/{address}"))),
        "{error}"
    );
    assert!((0.4..10.0).contains(&took.as_secs_f64()), "tried again for a second: {took:?}");
}

#[test]
fn explain_shows_what_the_engine_would_get_and_who_changed_it() {
    let body =
        json!({ "model": "nice", "messages": [{ "role": "user", "content": "hi" }], "reasoning_effort": "medium" });
    let said = explain(&["--alias", "nice", "--header", "x-tier: free"], &body).expect("explained");
    for part in ["reasoning_effort", "medium", "high", "alias nice", "alias base", "Be brief.", "\"top_p\""] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
}

#[test]
fn explain_shows_every_place_where_a_request_may_go() {
    let all = explain(&["--alias", "canary"], &json!({})).expect("explained");
    let titles: Vec<&str> = all.lines().filter(|line| line.starts_with("===")).collect();
    assert_eq!(
        titles,
        [
            "=== part plain, 90 % of the requests -> small",
            "=== part nice, 10 % of the requests -> small",
            "=== fallback 1, base -> small"
        ]
    );
    let one = explain(&["--alias", "canary", "--part", "nice"], &json!({})).expect("explained");
    assert!(one.contains("part nice") && !one.contains("part plain") && !one.contains("fallback"), "{one}");
    for (words, hint) in [
        (&["--alias", "canray"][..], "Did you mean `canary`?"),
        (&["--alias", "canary", "--part", "gymnast"], "They go to: plain, nice, base."),
    ] {
        let refused = explain(words, &json!({})).expect_err("refused");
        assert!(refused.contains(hint), "{refused}");
    }
}

/// What `enginehouse explain` prints of `body`; as an error, what it complains of.
fn explain(words: &[&str], body: &Value) -> Result<String, String> {
    use std::io::Write;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("gateway.yaml");
    let canary = "  canary: { split: { plain: 90, nice: 10 }, fallback: [base] }";
    let models = "models: { small: { urls: [\"http://127.0.0.1:9\"], served_name: tiny } }";
    std::fs::write(&file, format!("{models}\naliases:{ALIASES}{canary}\n")).expect("written");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_enginehouse"))
        .args(["explain", &file.display().to_string()])
        .args(words)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("ran");
    child.stdin.take().expect("stdin").write_all(body.to_string().as_bytes()).expect("written");
    let output = child.wait_with_output().expect("ended");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn gyms_configuration_is_imported_and_served() {
    let sim = Sim::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let gym = folder.path().join("gym.yaml");
    let yaml = format!(
        "policy_model: {{ responses_api_models: {{ vllm_model: {{ entrypoint: app.py, base_url: {}/v1, api_key: dummy, model: tiny, \
         return_token_id_information: false, uses_reasoning_parser: true }} }} }}\n\
         quiet: {{ responses_api_models: {{ vllm_model: {{ entrypoint: app.py, base_url: {0}/v1, api_key: dummy, model: tiny, \
         return_token_id_information: false, uses_reasoning_parser: true, chat_template_kwargs: {{ enable_thinking: false }} }} }} }}\n",
        sim.url()
    );
    std::fs::write(&gym, yaml).expect("written");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_enginehouse"))
        .args(["import", "gym", &gym.display().to_string()])
        .output()
        .expect("ran");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let own = |line: &&str| !line.starts_with("listen:") && !line.starts_with("admin:");
    let gateway = Gateway::ready(&said.lines().filter(own).collect::<Vec<_>>().join("\n")).await;
    let body = json!({ "input": "hi" });
    let reply = http().post(gateway.url("/a/quiet/v1/responses")).json(&body).send().await.expect("answered");
    assert_eq!(reply.status(), 200);
    let got = arrived(&sim.last_request().await);
    assert_eq!((&got["model"], &got["chat_template_kwargs"]["enable_thinking"]), (&json!("tiny"), &json!(false)));
}

//! What is measured and written down.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Gateway, Sim, chat, eventually, http};

async fn start(sim: &Sim) -> Gateway {
    let yaml = format!(
        "models: {{ tiny: {{ urls: [\"{}\"] }} }}\naliases: {{ cold: {{ model: tiny, overrides: {{ temperature: 0 }} }} }}\n\
         log: {{ format: json }}\n",
        sim.url()
    );
    Gateway::ready(&yaml).await
}

async fn post(gateway: &Gateway, body: &Value) -> u16 {
    let reply = http().post(gateway.url("/v1/chat/completions")).json(body).send().await.expect("answered");
    let status = reply.status().as_u16();
    reply.bytes().await.expect("whole");
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_tokens_and_times_are_counted_by_model_and_alias() {
    let sim = Sim::start(&["--tokens", "12", "--ttft", "20ms", "--gap", "5ms"]);
    let gateway = start(&sim).await;
    assert_eq!(post(&gateway, &chat("tiny")).await, 200);
    let mut stream = chat("cold");
    stream["stream"] = json!(true);
    stream["stream_options"] = json!({ "include_usage": true });
    assert_eq!(post(&gateway, &stream).await, 200);
    for name in 0..20 {
        assert_eq!(post(&gateway, &chat(&format!("made-up-{name}"))).await, 404);
    }
    let up = format!("enginehouse_engine_up{{engine=\"tiny/{}\",model=\"tiny\"}}", sim.address);
    let wanted = [
        ("enginehouse_requests_total{alias=\"\",endpoint=\"/v1/chat/completions\",model=\"tiny\",status=\"200\"}", 1.0),
        (
            "enginehouse_requests_total{alias=\"cold\",endpoint=\"/v1/chat/completions\",model=\"tiny\",status=\"200\"}",
            1.0,
        ),
        (
            "enginehouse_requests_total{alias=\"\",endpoint=\"/v1/chat/completions\",model=\"none\",status=\"404\"}",
            20.0,
        ),
        ("enginehouse_completion_tokens_total{alias=\"\",model=\"tiny\"}", 12.0),
        ("enginehouse_completion_tokens_total{alias=\"cold\",model=\"tiny\"}", 12.0),
        ("enginehouse_time_to_first_token_seconds_count{model=\"tiny\"}", 1.0),
        ("enginehouse_requests_in_flight{alias=\"cold\",model=\"tiny\"}", 0.0),
        (&up, 1.0),
        ("enginehouse_overhead_seconds_count", 2.0),
    ];
    for (name, value) in wanted {
        eventually(name, || async { (gateway.metric(name).await == value).then_some(()) }).await;
    }
    assert!(gateway.metric("enginehouse_prompt_tokens_total{alias=\"cold\",model=\"tiny\"}").await > 0.0);
    let first = gateway.metric("enginehouse_time_to_first_token_seconds_sum{model=\"tiny\"}").await;
    assert!((0.02..2.0).contains(&first), "{first}");
    let gaps = gateway.metric("enginehouse_inter_token_latency_seconds_count{model=\"tiny\"}").await;
    assert!((11.0..=14.0).contains(&gaps), "{gaps}");
    let overhead = gateway.metric("enginehouse_overhead_seconds_sum").await;
    assert!(overhead < 0.1, "two requests spent {overhead} s in the gateway; the engine's 80 ms each are not its");
    let text = gateway.metrics().await;
    assert!(!text.contains("made-up"), "a made-up name became a label");
    for name in ["retries_total", "request_duration_seconds_bucket", "inter_token_latency_seconds_bucket"] {
        assert!(
            text.contains(&format!("# HELP enginehouse_{}", name.trim_end_matches("_bucket")))
                || name == "retries_total",
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_to_complain_about() {
    let sim = Sim::start(&[]);
    let gateway = start(&sim).await;
    post(&gateway, &chat("cold")).await;
    let text = gateway.metrics().await;
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = started else {
        println!("skipped: promtool is not installed (Debian: apt-get install prometheus)");
        return;
    };
    promtool.stdin.take().expect("stdin").write_all(text.as_bytes()).expect("written");
    let output = promtool.wait_with_output().expect("ended");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_has_one_line_per_request_and_no_bodies() {
    let sim = Sim::start(&[]);
    let gateway = start(&sim).await;
    let mut body = chat("cold");
    body["messages"][0]["content"] = json!("a very private question");
    let request = http().post(gateway.url("/v1/chat/completions?key=in-the-query")).header("x-request-id", "log-1");
    request.bearer_auth("sk-private").json(&body).send().await.expect("answered");
    let line = eventually("the line", || async {
        gateway.access_log().lines().find(|line| line.contains("log-1")).map(str::to_owned)
    })
    .await;
    let line: Value = serde_json::from_str(&line).expect("JSON");
    let wanted = json!({
        "id": "log-1", "client": "127.0.0.1", "method": "POST", "path": "/v1/chat/completions", "model": "tiny",
        "alias": "cold", "engine": format!("tiny/{}", sim.address), "status": 200, "stream": false, "retries": 0, "error": null,
    });
    for (key, value) in wanted.as_object().expect("object") {
        assert_eq!(&line[key], value, "{key}");
    }
    assert!(line["completion_tokens"].as_u64().is_some_and(|tokens| tokens > 0));
    let all = gateway.access_log() + &gateway.log();
    for secret in ["private", "sk-", "in-the-query"] {
        assert!(!all.contains(secret), "{secret} was logged");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_port_asks_for_its_token() {
    let sim = Sim::start(&[]);
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("gateway.yaml");
    let yaml = format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0, token: tok-1 }}\nmodels: {{ tiny: {{ urls: [\"{}\"] }} }}\n",
        sim.url()
    );
    std::fs::write(&file, yaml).expect("written");
    let gateway = Gateway::serve(&file, folder);
    let get = |path: &str, token: Option<&str>| {
        let request = http().get(format!("http://{}{path}", gateway.admin));
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
        .send()
    };
    for path in ["/metrics", "/api/v1/engines"] {
        assert_eq!(get(path, None).await.expect("answered").status(), 401, "{path}");
        assert_eq!(get(path, Some("tok-2")).await.expect("answered").status(), 401, "{path}");
        assert_eq!(get(path, Some("tok-1")).await.expect("answered").status(), 200, "{path}");
    }
    assert_eq!(get("/livez", None).await.expect("answered").status(), 200);
}

/// Case 10 of the field: most clients do not ask for usage, and their tokens were not counted.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_streams_are_counted_whether_the_client_asks_for_usage_or_not() {
    let sim = Sim::start(&["--gap", "0"]);
    let gateway = Gateway::ready(&format!(
        "models: {{ tiny: {{ urls: [\"{0}\"] }}, quiet: {{ urls: [\"{0}\"], served_name: tiny, usage: passive }} }}",
        sim.url()
    ))
    .await;
    let stream = async |model: &str, path: &str, options: Option<Value>| {
        let mut body = match path {
            "/v1/completions" => json!({ "model": model, "prompt": "hello there" }),
            _ => chat(model),
        };
        (body["stream"], body["max_tokens"], body["ignore_eos"]) = (json!(true), json!(7), json!(true));
        if let Some(options) = options {
            body["stream_options"] = options;
        }
        let reply = http().post(gateway.url(path)).json(&body).send().await.expect("answered");
        assert_eq!(reply.status(), 200);
        reply.text().await.expect("whole")
    };
    let counted = async |model: &str, tokens: f64| {
        let name = format!("enginehouse_completion_tokens_total{{alias=\"\",model=\"{model}\"}}");
        eventually("the tokens to be counted", async || (gateway.metric(&name).await == tokens).then_some(())).await;
    };
    for (number, path) in [(1.0, "/v1/chat/completions"), (2.0, "/v1/completions")] {
        let text = stream("tiny", path, None).await;
        assert!(!text.contains("\"usage\"") && text.ends_with("data: [DONE]\n\n"), "{text}");
        counted("tiny", 7.0 * number).await;
    }
    let text = stream("tiny", "/v1/chat/completions", Some(json!({ "include_usage": true }))).await;
    assert_eq!(text.matches("\"usage\":{").count(), 1, "whoever asks gets it: {text}");
    counted("tiny", 21.0).await;
    let text = stream("quiet", "/v1/chat/completions", None).await;
    assert!(!text.contains("\"usage\""), "{text}");
    let sent = sim.last_request().await["body"].to_string();
    assert!(sent.contains("messages") && !sent.contains("stream_options"), "it was not asked for: {sent}");
    let estimated = "enginehouse_estimated_completion_tokens_total{alias=\"\",model=\"tiny\"}";
    assert!(!gateway.metrics().await.contains(estimated), "all of it is known");
    assert!(gateway.metric("enginehouse_streams_total{alias=\"\",end=\"complete\",model=\"tiny\"}").await >= 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_stream_that_its_client_leaves_are_counted_as_far_as_they_came() {
    let sim = Sim::start(&["--gap", "40ms", "--ttft", "10ms"]);
    let gateway = Gateway::ready(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}", sim.url())).await;
    let mut expected = 0.0;
    for leave_after in [1, 2, 5] {
        let mut body = chat("tiny");
        (body["stream"], body["ignore_eos"], body["max_tokens"]) = (json!(true), json!(true), json!(200));
        let mut reply = http().post(gateway.url("/v1/chat/completions")).json(&body).send().await.expect("answered");
        let mut seen = 0;
        while seen < leave_after {
            let piece = reply.chunk().await.expect("a piece").expect("more");
            let text = String::from_utf8_lossy(&piece).into_owned();
            seen += text.matches("\"content\":\"").count() - text.matches("\"content\":\"\"").count();
        }
        drop(reply);
        let before = expected;
        let total = crate::support::eventually("the stream to be recorded", || async {
            let total =
                gateway.metric("enginehouse_estimated_completion_tokens_total{alias=\"\",model=\"tiny\"}").await;
            (total > before).then_some(total)
        })
        .await;
        // One more may have come while the client left.
        let counted = total - before;
        assert!(
            counted >= f64::from(leave_after as u32) && counted <= f64::from(leave_after as u32 + 2),
            "{counted} of {leave_after}"
        );
        expected = total;
    }
    assert_eq!(gateway.metric("enginehouse_streams_total{alias=\"\",end=\"client_gone\",model=\"tiny\"}").await, 3.0);
    eventually("an estimate in the access log", async || gateway.access_log().contains("tokens=~0+~").then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_stream_ended_is_counted_and_logged() {
    let sims = [Sim::start(&["--gap", "5ms", "--ttft", "5ms"]), Sim::start(&["--gap", "5ms", "--ttft", "5ms"])];
    let yaml = format!(
        "models:\n  tiny: {{ urls: [\"{}\"], health: off, served_name: tiny }}\n  \
         other: {{ urls: [\"{}\"], health: off, served_name: tiny }}\ntimeouts: {{ read: 500ms, drain: 300ms }}",
        sims[0].url(),
        sims[1].url()
    );
    let mut gateway = Gateway::ready(&yaml).await;
    let stream = |model: &str, fault: Option<&str>, tokens: u32| {
        let mut body = chat(model);
        (body["stream"], body["ignore_eos"], body["max_tokens"]) = (json!(true), json!(true), json!(tokens));
        let request = http().post(gateway.url("/v1/chat/completions")).json(&body);
        fault.iter().fold(request, |request, fault| request.header("x-sim-fault", *fault))
    };
    for (fault, end, error) in [
        ("refuse:503", "engine_error", "engine_error"),
        ("hang-after:2", "timeout", "engine_timeout"),
        ("die-after:2", "engine_died", "engine_died"),
    ] {
        let text = stream("tiny", Some(fault), 20).send().await.expect("begun").text().await.expect("ended well");
        assert!(text.contains("\"error\""), "{fault}: {text}");
        let line = format!("enginehouse_streams_total{{alias=\"\",end=\"{end}\",model=\"tiny\"}}");
        eventually(&line, || async { (gateway.metric(&line).await == 1.0).then_some(()) }).await;
        let line = format!("error={error} stream end={end}");
        eventually(&line, || async { gateway.access_log().contains(&line).then_some(()) }).await;
    }
    let long = stream("other", None, 2000).send().await.expect("begun");
    gateway.terminate();
    let text = long.text().await.expect("ended well");
    assert!(text.contains("shutting_down"), "{text}");
    gateway.ended().await;
    assert!(gateway.access_log().contains("error=shutting_down"), "{}", gateway.access_log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_the_aliases_and_a_name_that_is_not_served_is_told() {
    let sim = Sim::start(&[]);
    let yaml = format!(
        "models: {{ tiny: {{ urls: [\"{}\"] }} }}\naliases: {{ spoken: {{ model: tiny, dialect: {{ responses: chat }} }} }}\n\
         log: {{ format: json }}",
        sim.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    let body = json!({ "model": "spoken", "input": "hi", "previous_response_id": "resp_1" });
    let reply = http().post(gateway.url("/v1/responses")).json(&body).send().await.expect("answered");
    assert_eq!(reply.status(), 400);
    let line = "enginehouse_requests_total{alias=\"spoken\",endpoint=\"/v1/responses\",model=\"tiny\",status=\"400\"}";
    eventually(line, || async { (gateway.metric(line).await == 1.0).then_some(()) }).await;
    assert_eq!(post(&gateway, &chat("tyni \"x\"")).await, 404);
    let log = || gateway.access_log();
    eventually("the name in the log", || async {
        log().contains("\"unknown_model\":\"tyni \\\"x\\\"\"").then_some(())
    })
    .await;
    assert!(!gateway.metrics().await.contains("tyni"), "names of clients are no labels");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_token_and_the_time_between_tokens_are_those_of_output_in_every_api() {
    let sim = Sim::start(&["--ttft", "500ms", "--gap", "50ms"]);
    let apis = [
        ("/v1/chat/completions", json!({ "messages": [{ "role": "user", "content": "hi" }], "max_tokens": 6 })),
        ("/v1/completions", json!({ "prompt": "hi", "max_tokens": 6 })),
        ("/v1/responses", json!({ "input": "hi", "max_output_tokens": 6 })),
        ("/v1/messages", json!({ "messages": [{ "role": "user", "content": "hi" }], "max_tokens": 6 })),
    ];
    for (path, mut body) in apis {
        let yaml = format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}", sim.url());
        let gateway = Gateway::ready(&yaml).await;
        (body["model"], body["stream"], body["ignore_eos"]) = (json!("tiny"), json!(true), json!(true));
        let reply = http().post(gateway.url(path)).json(&body).send().await.expect("answered");
        assert_eq!(reply.status(), 200);
        reply.bytes().await.expect("whole");
        let metric = async |name: &str| gateway.metric(&format!("enginehouse_{name}{{model=\"tiny\"}}")).await;
        assert_eq!(metric("time_to_first_token_seconds_count").await, 1.0, "{path}");
        assert!(metric("time_to_first_token_seconds_sum").await >= 0.5, "{path}");
        assert_eq!(metric("inter_token_latency_seconds_count").await, 5.0, "{path}: six tokens");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_stream_that_its_client_leaves_are_exactly_those_that_had_come() {
    let sim = Sim::start(&["--gap", "1ms", "--ttft", "1ms"]);
    let gateway = Gateway::ready(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}", sim.url())).await;
    let mut expected = 0.0;
    // The first event has no token.
    for tokens in [1, 2, 5, 11, 23] {
        let mut body = chat("tiny");
        (body["stream"], body["ignore_eos"], body["max_tokens"]) = (json!(true), json!(true), json!(200));
        let request = http()
            .post(gateway.url("/v1/chat/completions"))
            .header("x-sim-fault", format!("hang-after:{}", tokens + 1));
        let mut reply = request.json(&body).send().await.expect("answered");
        let mut seen = 0;
        while seen < tokens {
            let piece = reply.chunk().await.expect("a piece").expect("more");
            let text = String::from_utf8_lossy(&piece).into_owned();
            seen += text.matches("\"content\":\"").count() - text.matches("\"content\":\"\"").count();
        }
        drop(reply);
        expected += tokens as f64;
        let counted = "enginehouse_estimated_completion_tokens_total{alias=\"\",model=\"tiny\"}";
        let before = expected - tokens as f64;
        let total = eventually("the stream to be recorded", || async {
            let total = gateway.metric(counted).await;
            (total > before).then_some(total)
        })
        .await;
        assert_eq!(total, expected, "{tokens} had come");
    }
}

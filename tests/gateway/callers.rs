//! Callers with keys: who is let in, who is turned away, and what depends on who it is.

use serde_json::{Value, json};

use crate::support::{Gateway, Sim, eventually, http};

/// `abc` is the key of `batch`.
const CALLERS: &str = "callers: { bot: { keys: [k-bot, k-bot-2] }, batch: { keys: \
    ['sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'] } }\n";

async fn start(more: &str) -> (Sim, Gateway) {
    let sim = Sim::start(&[]);
    let aliases = "aliases:\n  polite:\n    model: small\n    when:\n      - if: { caller: [batch] }\n        overrides: { priority: 7 }\n      \
        - if: { caller: [bot] }\n        limits: { max_tokens: 5 }\n  own: { model: small, listen: \"127.0.0.1:0\" }\n  \
        gymnast: { model: small, gym: {}, when: [{ if: { caller: [bot], header: { x-tier: gold }, endpoint: [responses] }, overrides: { seed: 11 } }] }\n";
    let yaml = format!("models: {{ small: {{ urls: [\"{}\"] }} }}\n{aliases}{CALLERS}{more}", sim.url());
    let gateway = Gateway::ready(&yaml).await;
    (sim, gateway)
}

async fn ask(url: &str, body: &Value, headers: &[(&str, &str)]) -> (u16, Value) {
    let request = http().post(url).json(body);
    let reply = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await;
    let reply = reply.expect("answered");
    let status = reply.status().as_u16();
    let challenge = reply.headers().get("www-authenticate").cloned();
    assert_eq!(challenge.map(|value| value == "Bearer"), (status == 401).then_some(true));
    (status, reply.json().await.expect("JSON"))
}

fn chat(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }], "max_tokens": 50 })
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_depend_on_who_asks_and_engines_see_no_keys() {
    let (sim, gateway) = start("anonymous: true\n").await;
    let url = gateway.url("/v1/chat/completions");
    for (headers, priority, most) in [
        (&[("authorization", "Bearer abc")][..], json!(7), json!(50)),
        (&[("x-api-key", "abc")], json!(7), json!(50)),
        (&[("authorization", "Bearer k-bot-2"), ("x-api-key", "made-up")], Value::Null, json!(5)),
        (&[("authorization", "Bearer ")], Value::Null, json!(50)),
        (&[], Value::Null, json!(50)),
    ] {
        assert_eq!(ask(&url, &chat("polite"), headers).await.0, 200, "{headers:?}");
        let seen = sim.last_request().await;
        let got: Value = serde_json::from_str(seen["body"].as_str().expect("text")).expect("JSON");
        assert_eq!((&got["priority"], &got["max_tokens"]), (&priority, &most), "{headers:?}");
        for (name, _) in headers {
            let arrived = seen["headers"].as_array().expect("headers").iter().any(|header| header[0] == *name);
            assert!(!arrived, "{name} was for the gateway: {seen}");
        }
    }
    // The alias of a gym knows its callers too, under the API that they speak.
    let body = json!({ "model": "gymnast", "input": "hi" });
    let url = gateway.url("/a/gymnast/v1/responses");
    for (key, seed) in [("Bearer k-bot", json!(11)), ("Bearer abc", Value::Null)] {
        assert_eq!(ask(&url, &body, &[("authorization", key), ("x-tier", "gold")]).await.0, 200);
        let seen = sim.last_request().await;
        let got: Value = serde_json::from_str(seen["body"].as_str().expect("text")).expect("JSON");
        assert_eq!(got["seed"], seed, "{got}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_callers_are_refused_everywhere_in_the_shape_of_each_api() {
    let (sim, gateway) = start("").await;
    let own = format!("http://{}", gateway.alias_address("own"));
    let before = sim.stat("started").await;
    let messages = json!({ "model": "polite", "messages": [], "max_tokens": 5 });
    for (headers, code) in [
        (&[][..], "missing_api_key"),
        (&[("authorization", "Bearer k-bo")], "invalid_api_key"),
        (&[("x-api-key", "K-BOT")], "invalid_api_key"),
    ] {
        for url in [
            gateway.url("/v1/chat/completions"),
            gateway.url("/v1/embeddings"),
            gateway.url("/a/polite/v1/chat/completions"),
            gateway.url("/a/gymnast/v1/chat/completions"),
            gateway.url("/a/gymnast/ng-rollout/r1/v1/responses"),
            gateway.url("/nowhere"),
            format!("{own}/v1/chat/completions"),
        ] {
            let (status, error) = ask(&url, &chat("polite"), headers).await;
            assert_eq!((status, &error["error"]["code"]), (401, &json!(code)), "{url} {error}");
            assert_eq!(error["error"]["type"], "invalid_request_error");
        }
        let (status, error) = ask(&gateway.url("/v1/messages"), &messages, headers).await;
        assert_eq!(
            (status, &error["type"], &error["error"]["type"]),
            (401, &json!("error"), &json!("authentication_error"))
        );
    }
    for path in ["/v1/models", "/v1/models/small"] {
        assert_eq!(http().get(gateway.url(path)).send().await.expect("answered").status(), 401, "{path}");
        let known = http().get(gateway.url(path)).bearer_auth("k-bot").send().await.expect("answered");
        assert_eq!(known.status(), 200, "{path}");
    }
    for open in ["/health", "/livez", "/readyz", "/a/gymnast/"] {
        assert_eq!(http().get(gateway.url(open)).send().await.expect("answered").status(), 200, "{open}");
    }
    assert_eq!(sim.stat("started").await, before, "no engine heard of any of them");
    // A large body is not read before its sender is known.
    let large = vec![b' '; 8 << 20];
    let reply = http().post(gateway.url("/v1/chat/completions")).header("content-type", "application/json").body(large);
    assert_eq!(reply.send().await.expect("answered").status(), 401);
    assert!(gateway.metric("enginehouse_request_body_bytes").await < 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_are_counted_and_logged_by_name_never_by_key() {
    let (_sim, gateway) = start("").await;
    let url = gateway.url("/v1/chat/completions");
    for key in ["Bearer k-bot", "Bearer k-bot-2", "Bearer abc", "Bearer stolen-guess"] {
        let _ = ask(&url, &chat("polite"), &[("authorization", key)]).await;
    }
    let counted = |caller: &'static str| {
        let gateway = &gateway;
        async move {
            let name = format!("enginehouse_caller_requests_total{{caller=\"{caller}\"}}");
            (gateway.metrics().await.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse::<f64>().ok()))
                .unwrap_or_default()
        }
    };
    eventually("both keys of the bot to be counted as one", || async { (counted("bot").await == 2.0).then_some(()) })
        .await;
    assert_eq!(counted("batch").await, 1.0);
    let metrics = gateway.metrics().await;
    let tokens = metrics
        .lines()
        .find(|line| line.starts_with("enginehouse_caller_tokens_total{caller=\"bot\",kind=\"completion\"}"));
    // Two answers, each cut at five.
    assert!(tokens.is_some_and(|line| line.ends_with(" 10")), "{tokens:?}");
    let log = eventually("four lines", || async {
        let log = gateway.access_log();
        (log.lines().filter(|line| line.contains("POST")).count() == 4).then_some(log)
    })
    .await;
    assert!(
        log.contains("caller=bot") && log.contains("caller=batch") && log.contains("error=invalid_api_key"),
        "{log}"
    );
    for secret in ["k-bot", "stolen-guess"] {
        for text in [&log, &metrics, &gateway.log()] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_insist_on_a_key_are_visitors_where_visitors_are_taken() {
    let (sim, gateway) = start("anonymous: true\n").await;
    let own = format!("http://{}", gateway.alias_address("own"));
    for value in ["Bearer none", "Bearer EMPTY", "undefined", "Bearer undefined", "Bearer sk-no-key-required"] {
        for url in [gateway.url("/v1/chat/completions"), format!("{own}/v1/chat/completions")] {
            let (status, said) = ask(&url, &chat("polite"), &[("authorization", value)]).await;
            assert_eq!(status, 200, "{value}: {said}");
            let seen = sim.last_request().await;
            let arrived =
                seen["headers"].as_array().expect("headers").iter().any(|header| header[0] == "authorization");
            assert!(!arrived, "it was for the gateway: {seen}");
        }
        let messages = json!({ "model": "polite", "max_tokens": 5, "messages": [{ "role": "user", "content": "hi" }] });
        let (status, said) = ask(&gateway.url("/v1/messages"), &messages, &[("x-api-key", "EMPTY")]).await;
        assert_eq!(status, 200, "{said}");
    }
    let url = gateway.url("/v1/chat/completions");
    assert_eq!(ask(&url, &chat("polite"), &[("authorization", "Bearer nobody")]).await.0, 401);
    let closed = start("").await.1;
    let (status, error) =
        ask(&closed.url("/v1/chat/completions"), &chat("polite"), &[("authorization", "Bearer none")]).await;
    assert_eq!((status, &error["error"]["code"]), (401, &json!("invalid_api_key")));
}

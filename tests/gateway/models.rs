//! What a gateway offers (`/v1/models`), and how it reports its health.

use serde_json::Value;

use crate::support::{Gateway, Sim, Wire, http};

async fn start() -> (Sim, Gateway) {
    let sim = Sim::start(&["--max-model-len", "4096"]);
    let yaml = format!(
        "models:\n  small: {{ urls: [\"{}\"] }}\naliases:\n  org/think: {{ model: small }}\n  secret: {{ model: small, hidden: true }}\n",
        sim.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    (sim, gateway)
}

async fn get(gateway: &Gateway, path: &str) -> (u16, Value) {
    let reply = http().get(gateway.url(path)).send().await.expect("answered");
    (reply.status().as_u16(), reply.json().await.unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_merges_models_and_aliases_with_what_the_engine_said() {
    let (_sim, gateway) = start().await;
    let (status, list) = get(&gateway, "/v1/models").await;
    assert_eq!((status, &list["object"]), (200, &Value::from("list")));
    let ids: Vec<_> = list["data"].as_array().expect("list").iter().map(|card| card["id"].clone()).collect();
    assert_eq!(ids, ["small", "org/think"], "hidden aliases are not listed");
    for card in list["data"].as_array().expect("list") {
        assert_eq!(card["max_model_len"], 4096, "{card}");
        assert_eq!(card["root"], "tiny", "{card}");
        assert_eq!(card["object"], "model");
        assert!(card.get("parent").is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_model_is_found_by_any_spelling_of_its_path_and_hidden_ones_too() {
    let (_sim, gateway) = start().await;
    for path in ["/v1/models/small", "/v1/models/org/think", "/v1/models/org%2Fthink", "/v1/models/secret"] {
        let (status, card) = get(&gateway, path).await;
        assert_eq!(status, 200, "{path}: {card}");
        assert_eq!(card["max_model_len"], 4096);
    }
    let (status, error) = get(&gateway, "/v1/models/smal").await;
    assert_eq!((status, &error["error"]["code"]), (404, &Value::from("model_not_found")));
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_tell_alive_from_ready() {
    let (mut sim, gateway) = start().await;
    for path in ["/livez", "/readyz", "/health"] {
        assert_eq!(get(&gateway, path).await.0, 200, "{path}");
        let mut wire = Wire::to(gateway.address).await;
        wire.send(format!("HEAD {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")).await;
        let all = wire.read_until(b"\r\n\r\n").await;
        assert!(all.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&all));
    }
    sim.kill();
    crate::support::eventually("the gateway to be not ready", || async {
        (get(&gateway, "/readyz").await.0 == 503).then_some(())
    })
    .await;
    assert_eq!(get(&gateway, "/livez").await.0, 200);
    let (status, error) = get(&gateway, "/health").await;
    assert_eq!((status, &error["error"]["code"]), (503, &Value::from("not_ready")));
}

/// A bug: one failed model made the gateway not ready for all of them.
#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_is_ready_when_any_model_is_and_tells_of_one_when_asked() {
    let (mut sim, other) = (Sim::start(&[]), Sim::start(&[]));
    let health = "health: { interval: 100ms, failures: 1 }";
    let yaml = format!(
        "models:\n  a: {{ urls: [\"{}\"], {health} }}\n  b: {{ urls: [\"{}\"], {health} }}\naliases:\n  \
         of-a: {{ model: a }}\n  sure: {{ model: a, fallback: [b] }}\n",
        sim.url(),
        other.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    sim.kill();
    crate::support::eventually("model a to be down", || async {
        (get(&gateway, "/readyz?model=a").await.0 == 503).then_some(())
    })
    .await;
    let (status, told) = get(&gateway, "/readyz").await;
    assert_eq!((status, &told["models"], &told["not_ready"]), (200, &Value::from(2), &serde_json::json!(["a"])));
    for (name, expected) in [("b", 200), ("of-a", 503), ("sure", 200), ("nobody", 404), ("a&x=1", 503)] {
        assert_eq!(get(&gateway, &format!("/readyz?model={name}")).await.0, expected, "{name}");
    }
    let admin = |path: &str| http().get(format!("http://{}{path}", gateway.admin)).send();
    for (path, expected) in
        [("/readyz", 200), ("/readyz?model=b", 200), ("/readyz?model=a", 503), ("/readyz?model=nobody", 404)]
    {
        assert_eq!(admin(path).await.expect("answered").status(), expected, "admin {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropics_clients_get_lists_errors_and_request_ids_in_their_shape() {
    let (_sim, gateway) = start().await;
    let ask = async |path: &str| {
        let reply =
            http().get(gateway.url(path)).header("anthropic-version", "2023-06-01").send().await.expect("answered");
        let id = reply.headers().get("request-id").is_some_and(|id| Some(id) == reply.headers().get("x-request-id"));
        assert!(id, "{path}: {:?}", reply.headers());
        (reply.status().as_u16(), reply.json::<Value>().await.expect("JSON"))
    };
    let (status, list) = ask("/v1/models").await;
    assert_eq!((status, &list["has_more"], &list["first_id"]), (200, &Value::from(false), &Value::from("small")));
    let ids: Vec<_> = list["data"].as_array().expect("list").iter().map(|card| (&card["type"], &card["id"])).collect();
    let model = Value::from("model");
    assert_eq!(ids, [(&model, &Value::from("small")), (&model, &Value::from("org/think"))]);
    let (status, one) = ask("/v1/models/small").await;
    assert_eq!((status, &one["type"], &one["display_name"]), (200, &model, &Value::from("small")));
    let (status, error) = ask("/v1/models/smal").await;
    assert_eq!((status, &error["type"], &error["error"]["type"]), (404, &"error".into(), &"not_found_error".into()));
    // Without the header the path says it.
    for path in ["/v1/messages/batches", "/a/small/v1/messages/batches"] {
        let body = serde_json::json!({ "requests": [] });
        let reply = http().post(gateway.url(path)).json(&body).send().await.expect("answered");
        assert!(reply.headers().contains_key("request-id"), "{path}");
        assert_eq!(reply.status(), 404);
        let error: Value = reply.json().await.expect("JSON");
        assert_eq!((&error["type"], &error["error"]["type"]), (&"error".into(), &"not_found_error".into()), "{path}");
    }
    let mut body =
        serde_json::json!({ "model": "small", "max_tokens": 5, "messages": [{ "role": "user", "content": "hi" }] });
    for stream in [false, true] {
        body["stream"] = stream.into();
        let reply = http().post(gateway.url("/v1/messages")).json(&body).send().await.expect("answered");
        assert_eq!(reply.headers().get("request-id"), reply.headers().get("x-request-id"), "stream: {stream}");
        assert_eq!(reply.status(), 200);
    }
    let plain = http().get(gateway.url("/v1/models")).send().await.expect("answered");
    assert!(!plain.headers().contains_key("request-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ping_and_version_are_answered_as_vllm_does() {
    let (_sim, gateway) = start().await;
    assert_eq!(get(&gateway, "/ping").await.0, 200);
    assert_eq!(http().post(gateway.url("/ping")).send().await.expect("answered").status(), 200);
    let (status, said) = get(&gateway, "/version").await;
    assert_eq!((status, said["version"].as_str()), (200, Some(env!("CARGO_PKG_VERSION"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn models_that_are_required_must_be_served_for_the_gateway_to_be_ready() {
    let (mut sim, other) = (Sim::start(&[]), Sim::start(&[]));
    let health = "health: { interval: 100ms, failures: 1 }";
    let yaml = format!(
        "models:\n  a: {{ urls: [\"{}\"], {health} }}\n  b: {{ urls: [\"{}\"], {health} }}\nreadiness: {{ required: [a] }}\n",
        sim.url(),
        other.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    sim.kill();
    crate::support::eventually("the gateway to be not ready", || async {
        (get(&gateway, "/readyz").await.0 == 503).then_some(())
    })
    .await;
    let (_, told) = get(&gateway, "/readyz").await;
    assert!(
        told["error"]["message"].as_str().is_some_and(|text| text.contains("a is") && !text.contains("b is")),
        "{told}"
    );
    let admin = http().get(format!("http://{}/readyz", gateway.admin)).send().await.expect("answered");
    assert_eq!(admin.status(), 503);
    assert_eq!(get(&gateway, "/health").await.0, 200, "b serves");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_no_requests_in_metrics_and_those_that_fail_are_logged() {
    let (mut sim, gateway) = start().await;
    for path in ["/livez", "/readyz", "/health", "/ping", "/health/"] {
        assert_eq!(get(&gateway, path).await.0, 200, "{path}");
    }
    assert_eq!(get(&gateway, "/v1/models").await.0, 200);
    let counted = "enginehouse_requests_total{alias=\"\",endpoint=\"other\",model=\"none\",status=\"200\"}";
    crate::support::eventually("the list to be counted", || async {
        (gateway.metric(counted).await == 1.0).then_some(())
    })
    .await;
    assert!(!gateway.access_log().contains("/livez"), "{}", gateway.access_log());
    sim.kill();
    crate::support::eventually("a failed probe in the log", || async {
        get(&gateway, "/readyz").await;
        gateway.access_log().contains("503 GET /readyz").then_some(())
    })
    .await;
}

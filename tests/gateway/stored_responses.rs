//! `GET /v1/responses/{id}`, its `cancel` and `previous_response_id`: at the engine that made the response, for its caller.

use serde_json::{Value, json};

use crate::support::{Gateway, Sim, eventually, http};

const CALLERS: &str = "callers: { ann: { keys: [sk-ann] }, bob: { keys: [sk-bob] } }\n";

fn sim(more: &[&str]) -> Sim {
    Sim::start_with("tiny", more, &[("VLLM_ENABLE_RESPONSES_API_STORE", "1")])
}

async fn start(more: &[&str]) -> ([Sim; 2], Gateway) {
    let sims = [sim(more), sim(more)];
    let yaml = format!(
        "models: {{ m: {{ urls: [\"{}\", \"{}\"], balance: round_robin }} }}\n\
         aliases: {{ a: {{ model: m }}, 'c-*': {{ model: m }} }}\n{CALLERS}",
        sims[0].url(),
        sims[1].url()
    );
    let gateway = Gateway::ready(&yaml).await;
    (sims, gateway)
}

async fn post(gateway: &Gateway, path: &str, key: &str, body: &Value) -> (u16, Value) {
    let reply = http().post(gateway.url(path)).bearer_auth(key).json(body).send().await.expect("answered");
    (reply.status().as_u16(), reply.json().await.expect("JSON"))
}

async fn get(gateway: &Gateway, path: &str, key: &str) -> (u16, Value) {
    let reply = http().get(gateway.url(path)).bearer_auth(key).send().await.expect("answered");
    (reply.status().as_u16(), reply.json().await.expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_read_at_the_engine_that_made_it_by_its_caller_alone() {
    let (_sims, gateway) = start(&[]).await;
    for model in ["m", "a", "c-x"] {
        for at in 0..6 {
            let stream = at % 2 == 1;
            let body = json!({ "model": model, "input": "hi", "stream": stream, "max_output_tokens": 4 });
            let made = http().post(gateway.url("/v1/responses")).bearer_auth("sk-ann").json(&body).send().await;
            let text = made.expect("answered").text().await.expect("text");
            let first = if stream { text.lines().find_map(|line| line.strip_prefix("data: ")) } else { Some(&*text) };
            let first: Value = serde_json::from_str(first.expect("data")).expect("JSON");
            let id = first.pointer("/response/id").or(first.get("id")).and_then(Value::as_str).expect("an id");
            let path = format!("/v1/responses/{id}");
            let (status, stored) = get(&gateway, &path, "sk-ann").await;
            assert_eq!((status, &stored["id"], &stored["model"]), (200, &json!(id), &json!(model)), "{stored}");
            assert_eq!(stored["usage"]["output_tokens"], 4);
            for same in [format!("/v1/{path}/"), format!("/a/{model}{path}")] {
                assert_eq!(get(&gateway, &same, "sk-ann").await.0, 200, "{same}");
            }
            let (status, refused) = get(&gateway, &path, "sk-bob").await;
            assert_eq!((status, &refused["error"]["code"]), (404, &json!("response_not_found")), "{refused}");
            let next = json!({ "model": model, "input": "on", "previous_response_id": id });
            assert_eq!(post(&gateway, "/v1/responses", "sk-ann", &next).await.0, 200);
            assert_eq!(post(&gateway, "/v1/responses", "sk-bob", &next).await.0, 404);
            let (status, refused) = post(&gateway, &format!("{path}/cancel"), "sk-ann", &json!({})).await;
            assert_eq!((status, &refused["error"]["param"]), (400, &json!("response_id")), "{refused}");
        }
    }
    let unknown = json!({ "model": "m", "input": "on", "previous_response_id": "resp_of_nobody" });
    let (status, refused) = post(&gateway, "/v1/responses", "sk-bob", &unknown).await;
    assert_eq!((status, &refused["error"]["code"]), (404, &json!("response_not_found")), "whose it is has to be known");
    for unknown in ["/v1/responses/resp_x", "/v1/responses/resp_x/input_items", "/v1/responses/resp_x/cancel/x"] {
        assert_eq!(get(&gateway, unknown, "sk-ann").await.0, 404, "{unknown}");
    }
    let reply =
        http().delete(gateway.url("/v1/responses/resp_x")).bearer_auth("sk-ann").send().await.expect("answered");
    assert_eq!((reply.status().as_u16(), &reply.headers()["allow"]), (405, &"GET".parse().expect("a value")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_made_in_the_background_is_read_later_cancelled_and_counted_once() {
    let (_sims, gateway) = start(&["--gap", "20ms"]).await;
    let make = |tokens: u32| {
        let body = json!({ "model": "m", "input": "hi", "background": true, "max_output_tokens": tokens });
        let gateway = &gateway;
        async move {
            let (status, queued) = post(gateway, "/v1/responses", "sk-ann", &body).await;
            assert_eq!((status, &queued["status"], &queued["usage"]), (200, &json!("queued"), &Value::Null));
            format!("/v1/responses/{}", queued["id"].as_str().expect("an id"))
        }
    };
    let path = make(6).await;
    eventually("it is made", async || (get(&gateway, &path, "sk-ann").await.1["status"] == "incomplete").then_some(()))
        .await;
    for _ in 0..3 {
        assert_eq!(get(&gateway, &path, "sk-ann").await.1["usage"]["output_tokens"], 6);
    }
    let long = make(2000).await;
    let (status, cancelled) = post(&gateway, &format!("{long}/cancel"), "sk-ann", &json!({})).await;
    assert_eq!((status, &cancelled["status"]), (200, &json!("cancelled")), "{cancelled}");
    assert_eq!(get(&gateway, &long, "sk-ann").await.1["status"], "cancelled");
    let counted = "enginehouse_completion_tokens_total{alias=\"\",model=\"m\"}";
    assert_eq!(gateway.metric(counted).await, 6.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_of_an_engine_that_is_gone_is_gone() {
    let ([first, second], gateway) = start(&[]).await;
    let mut paths = Vec::new();
    for _ in 0..2 {
        let body = json!({ "model": "m", "input": "hi" });
        let (_, made) = post(&gateway, "/v1/responses", "sk-ann", &body).await;
        paths.push(format!("/v1/responses/{}", made["id"].as_str().expect("an id")));
    }
    drop(first);
    let mut seen = Vec::new();
    for path in &paths {
        seen.push(get(&gateway, path, "sk-ann").await.0);
    }
    seen.sort_unstable();
    assert_eq!(seen[0], 200, "the other engine has its own");
    assert!(matches!(seen[1], 502 | 503 | 404), "{seen:?}");
    drop(second);
}

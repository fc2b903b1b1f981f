//! Aliases with addresses and paths of their own, for callers that cannot name a model.

use serde_json::{Value, json};

use crate::support::{Gateway, Sim, http};

async fn house(sim: &Sim) -> Gateway {
    let yaml = format!(
        "models:\n  small: {{ urls: [\"{}\"] }}\naliases:\n  org/cool: {{ model: small, overrides: {{ temperature: 0.5 }} }}\n  \
         plain: {{ model: small }}\n",
        sim.url()
    );
    Gateway::ready(&yaml).await
}

async fn get(gateway: &Gateway, path: &str) -> (u16, Value) {
    let reply = http().get(gateway.url(path)).send().await.expect("answered");
    (reply.status().as_u16(), reply.json().await.unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_is_reached_by_its_path_whatever_model_the_request_names() {
    let sim = Sim::start(&[]);
    let gateway = house(&sim).await;
    for model in [json!({}), json!({ "model": "plain" }), json!({ "model": "nobody" }), json!({ "model": null })] {
        let mut body = json!({ "messages": [{ "role": "user", "content": "hi" }] });
        body.as_object_mut().expect("object").extend(model.as_object().expect("object").clone());
        let url = gateway.url("/a/org%2Fcool/v1/chat/completions?trace=1");
        let reply = http().post(url).json(&body).send().await.expect("answered");
        assert_eq!(reply.status(), 200, "{body}");
        let seen = sim.last_request().await;
        assert_eq!(seen["target"], "/v1/chat/completions?trace=1", "{seen}");
        let arrived: Value = serde_json::from_str(seen["body"].as_str().expect("text")).expect("JSON");
        assert_eq!((&arrived["model"], &arrived["temperature"]), (&json!("tiny"), &json!(0.5)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_its_own_path_an_alias_is_all_there_is() {
    let sim = Sim::start(&[]);
    let gateway = house(&sim).await;
    let (status, list) = get(&gateway, "/a/plain/v1/models").await;
    assert_eq!(
        (status, list["data"].as_array().map(Vec::len), &list["data"][0]["id"]),
        (200, Some(1), &json!("plain"))
    );
    assert_eq!(get(&gateway, "/a/plain/v1/models/plain").await.0, 200);
    assert_eq!(get(&gateway, "/a/plain/v1/models/small").await.0, 404);
    for probe in ["health", "readyz", "livez"] {
        assert_eq!(get(&gateway, &format!("/a/plain/{probe}")).await.0, 200, "{probe}");
    }
    for nowhere in ["/a/plain/metrics", "/a/plain/sleep", "/a/plain/a/plain/v1/models", "/a/plain"] {
        assert_eq!(get(&gateway, nowhere).await.0, 404, "{nowhere}");
    }
    let (status, error) = get(&gateway, "/a/plane/v1/models").await;
    assert_eq!((status, &error["error"]["code"]), (404, &json!("model_not_found")));
    assert!(error["error"]["message"].as_str().expect("text").contains("`plain`"), "{error}");
    let body = json!({ "messages": [] });
    let reply = http().post(gateway.url("/a/plane/v1/chat/completions")).json(&body).send().await.expect("answered");
    assert_eq!(reply.status(), 404);
}

//! Clients of Azure's API: the deployment in the path is an alias, and the key is in a header of their own.

use serde_json::{Value, json};

use crate::support::{Gateway, Sim, http};

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_an_alias_and_its_key_is_a_callers() {
    let sim = Sim::start(&[]);
    let yaml = format!(
        "models: {{ small: {{ urls: [\"{}\"] }} }}\naliases: {{ gpt-4o: {{ model: small, overrides: {{ top_p: 0.5 }} }} }}\n\
         callers: {{ bot: {{ keys: [k-bot] }} }}\n",
        sim.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    let ask = async |path: &str, key: &str, body: Value| {
        let url = gateway.url(&format!("/openai/deployments/{path}?api-version=2024-10-21"));
        http().post(url).header("api-key", key).json(&body).send().await.expect("answered")
    };
    let chat = json!({ "messages": [{ "role": "user", "content": "hi" }] });
    // These clients send the model of the deployment, or none.
    for model in [json!(null), json!("gpt-4o"), json!("whatever")] {
        let mut body = chat.clone();
        body["model"] = model;
        let reply = ask("gpt-4o/chat/completions", "k-bot", body).await;
        assert_eq!(reply.status(), 200);
        let seen = sim.last_request().await;
        assert_eq!(seen["target"].as_str().and_then(|target| target.split('?').next()), Some("/v1/chat/completions"));
        let arrived: Value = serde_json::from_str(seen["body"].as_str().expect("text")).expect("JSON");
        assert_eq!((&arrived["model"], &arrived["top_p"]), (&json!("tiny"), &json!(0.5)));
        let headers = seen["headers"].as_array().expect("headers");
        assert!(!headers.iter().any(|header| header[0] == "api-key"), "it was for the gateway: {seen}");
        assert_eq!(reply.json::<Value>().await.expect("JSON")["model"], "gpt-4o");
    }
    assert_eq!(ask("small/embeddings", "k-bot", json!({ "input": "hi" })).await.status(), 200);
    for (path, key, status, code) in [
        ("gpt-4o/chat/completions", "k-bit", 401, "invalid_api_key"),
        ("gpt-4o/chat/completions", "", 401, "missing_api_key"),
        ("gpt-4/chat/completions", "k-bot", 404, "model_not_found"),
        ("gpt-4o/assistants", "k-bot", 404, "not_found"),
    ] {
        let reply = ask(path, key, chat.clone()).await;
        assert_eq!(reply.status(), status, "{path} {key}");
        assert_eq!(reply.json::<Value>().await.expect("JSON")["error"]["code"], code, "{path} {key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_with_a_key_of_its_own_sees_no_other() {
    let sim = Sim::start(&["--api-key", "engine-key"]);
    let yaml = format!("models: {{ small: {{ urls: [\"{}\"], api_key: engine-key }} }}\n", sim.url());
    let gateway = Gateway::ready(&yaml).await;
    let request = http().post(gateway.url("/openai/deployments/small/completions")).header("api-key", "mine");
    assert_eq!(request.json(&json!({ "prompt": "hi" })).send().await.expect("answered").status(), 200);
    let seen = sim.last_request().await;
    assert!(!seen["headers"].as_array().expect("headers").iter().any(|header| header[0] == "api-key"), "{seen}");
}

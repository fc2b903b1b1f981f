//! Aliases with addresses and paths of their own, for callers that cannot name a model.

use serde_json::{Value, json};

use crate::support::{Gateway, Sim, http};

async fn start(sim: &Sim) -> Gateway {
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
    let gateway = start(&sim).await;
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
    let gateway = start(&sim).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_has_an_address_to_itself() {
    let sim = Sim::start(&[]);
    let yaml = format!(
        "models: {{ small: {{ urls: [\"{}\"] }} }}\naliases:\n  cool: {{ model: small, listen: \"127.0.0.1:0\", overrides: {{ top_p: 0.5 }} }}\n  \
         plain: {{ model: small }}\n",
        sim.url()
    );
    let mut gateway = Gateway::ready(&yaml).await;
    let door = gateway.alias_address("cool");
    assert_ne!(door, gateway.address);
    let url = |path: &str| format!("http://{door}{path}");
    let body = json!({ "model": "whatever", "messages": [{ "role": "user", "content": "hi" }] });
    let reply = http().post(url("/v1/chat/completions")).json(&body).send().await.expect("answered");
    assert_eq!(reply.status(), 200);
    let seen = sim.last_request().await;
    let arrived: Value = serde_json::from_str(seen["body"].as_str().expect("text")).expect("JSON");
    assert_eq!((&arrived["model"], &arrived["top_p"]), (&json!("tiny"), &json!(0.5)));
    let list: Value =
        http().get(url("/v1/models")).send().await.expect("answered").json().await.expect("a list of models");
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1), "{list}");
    // Another alias cannot be had here, and the alias can be had by name elsewhere.
    assert_eq!(http().get(url("/a/plain/v1/models")).send().await.expect("answered").status(), 404);
    let named = json!({ "model": "cool", "messages": [{ "role": "user", "content": "hi" }] });
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&named).send().await.expect("answered");
    assert_eq!(reply.status(), 200);
    // A stream that is under way there when the gateway is told to end is finished.
    let long = json!({ "messages": [{ "role": "user", "content": "hi" }], "stream": true, "max_tokens": 100, "ignore_eos": true });
    let mut stream = http().post(url("/v1/chat/completions")).json(&long).send().await.expect("answered");
    assert!(stream.chunk().await.expect("a chunk").is_some());
    gateway.terminate();
    let mut all = Vec::new();
    while let Some(chunk) = stream.chunk().await.expect("the stream goes on") {
        all.extend_from_slice(&chunk);
    }
    assert!(String::from_utf8_lossy(&all).contains("[DONE]"));
    drop(stream);
    assert_eq!(gateway.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("gateway.yaml");
    let yaml = format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nmodels: {{ small: {{ urls: [\"http://127.0.0.1:9\"] }} }}\n\
         aliases: {{ cool: {{ model: small, listen: \"{address}\" }} }}\n"
    );
    std::fs::write(&file, yaml).expect("written");
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_enginehouse"))
        .arg("serve")
        .arg(&file)
        .arg("--state-dir")
        .arg(folder.path().join("state"))
        .output()
        .await
        .expect("ran");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("aliases.cool.listen") && said.contains(&address.to_string()),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_others_can_reach_without_a_key_is_warned_of() {
    const WARNING: &str = "may send requests: the configuration has no `callers`";
    let warned = async |more: &str| {
        let yaml = "models: { small: { urls: [\"http://127.0.0.1:9\"], health: off } }\naliases: { cool: { model: small, listen: ADDRESS } }\n";
        let gateway = Gateway::start(
            &(yaml.replace("ADDRESS", more.lines().next().expect("an address"))
                + more.split_once('\n').map_or("", |(_, rest)| rest)),
        );
        let log = crate::support::eventually("the line that says where it serves", async || {
            Some(gateway.log()).filter(|log| log.contains("serving http://"))
        });
        let log = log.await;
        let line = log.lines().find(|line| line.contains(WARNING)).map(str::to_owned);
        (line, gateway.alias_address("cool"))
    };
    let (line, address) = warned("\"0.0.0.0:0\"").await;
    let line = line.expect("a warning");
    assert!(line.contains("WARN") && line.contains(&format!("reach 0.0.0.0:{} may", address.port())), "{line}");
    for fine in ["\"127.0.0.1:0\"", "\"0.0.0.0:0\"\ncallers: { bot: { keys: [k] } }\n"] {
        assert_eq!(warned(fine).await.0, None, "{fine}");
    }
}

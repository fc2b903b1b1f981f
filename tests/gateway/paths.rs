//! Base URLs as people configure them: what is served all the same, and what a wrong path is told.

use serde_json::{Value, json};

use crate::support::{Gateway, Sim, chat, http};

async fn start(more: &str) -> (Sim, Gateway) {
    let sim = Sim::start(&[]);
    let yaml = format!(
        "models:\n  small: {{ urls: [\"{}\"] }}\naliases:\n  cool: {{ model: small }}\n  own: {{ model: small, listen: \"127.0.0.1:0\" }}\n  \
         gymnast: {{ model: small, gym: {{}} }}\n{more}",
        sim.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    (sim, gateway)
}

/// HTTP/1.1 and HTTP/2.
fn clients() -> [reqwest::Client; 2] {
    let h2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("client");
    [http(), h2]
}

/// Base URLs of a gateway that differ from the right one by slashes and `/v1`.
const BASES: [&str; 5] = ["/v1/v1", "/v1/", "//v1", "/v1/v1/v1/", "/v1//v1"];

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_too_many_and_v1_twice_are_served_on_every_route() {
    let (sim, gateway) = start("").await;
    let own = format!("http://{}", gateway.alias_address("own"));
    let roots = [gateway.url(""), gateway.url("/a/cool"), gateway.url("//a/cool/"), own, gateway.url("/a/gymnast")];
    let mut chat = chat("small");
    chat["max_tokens"] = 1.into();
    let responses = json!({ "model": "small", "input": "hi", "max_output_tokens": 1 });
    let embeddings = json!({ "model": "small", "input": "hi" });
    let messages = json!({ "model": "small", "max_tokens": 1, "messages": [{ "role": "user", "content": "hi" }] });
    for client in clients() {
        for root in &roots {
            for base in BASES {
                for (path, body) in [
                    ("/chat/completions", &chat),
                    ("/responses", &responses),
                    ("/embeddings", &embeddings),
                    ("/messages", &messages),
                ] {
                    let url = format!("{root}{base}{path}/?trace=1");
                    let reply = client.post(&url).json(body).send().await.expect("answered");
                    assert_eq!(reply.status(), 200, "{url}: {:?}", reply.text().await);
                    let gym = root.contains("gymnast") && path != "/embeddings";
                    let expected = if gym { format!("/v1{path}") } else { format!("/v1{path}?trace=1") };
                    let target = sim.last_request().await["target"].clone();
                    assert!(gym || target == *expected, "{url}: {target}");
                }
                for path in ["/models", "/models/"] {
                    let url = format!("{root}{base}{path}");
                    assert_eq!(client.get(&url).send().await.expect("answered").status(), 200, "{url}");
                }
                let url = gateway.url(&format!("{base}/models/cool//"));
                assert_eq!(client.get(&url).send().await.expect("answered").status(), 200, "{url}");
            }
            for path in ["/tokenize/", "//rerank"] {
                let body = json!({ "model": "small", "prompt": "hi", "query": "q", "documents": ["d"] });
                let url = format!("{root}{path}");
                let status = client.post(&url).json(&body).send().await.expect("answered").status();
                assert_eq!(status, 200, "{url}");
            }
            for path in ["/health/", "//livez", "/readyz/"] {
                let url = format!("{root}{path}");
                assert_eq!(client.get(&url).send().await.expect("answered").status(), 200, "{url}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_with_a_slash_at_the_end_need_no_key_either() {
    let (_sim, gateway) = start("callers: { bot: { keys: [k-bot-of-16-chars] } }\n").await;
    for (path, status) in [("/health/", 200), ("/readyz//", 200), ("/", 200), ("/v1/models/", 401), ("/x", 401)] {
        assert_eq!(http().get(gateway.url(path)).send().await.expect("answered").status(), status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_not_there_is_told_the_one_that_was_meant() {
    let (sim, gateway) = start("").await;
    let own = format!("http://{}", gateway.alias_address("own"));
    let before = sim.stat("started").await;
    for client in clients() {
        for (url, hint) in [
            (
                gateway.url("/chat/completions"),
                "There is no /chat/completions here. Did you mean /v1/chat/completions?",
            ),
            (gateway.url("/a/cool/chat/completions"), "Did you mean /a/cool/v1/chat/completions?"),
            (format!("{own}/embeddings/"), "Did you mean /v1/embeddings?"),
            (gateway.url("/api/v1/messages"), "Did you mean /v1/messages?"),
            (gateway.url("/v1/tokenize"), "Did you mean /tokenize?"),
            (gateway.url("/models"), "Did you mean /v1/models?"),
            (gateway.url("/a/cool"), "/a/NAME/v1/"),
            (gateway.url("/metrics"), "admin.listen"),
            (gateway.url("/v1"), "The base URL of this API is /v1"),
            (gateway.url("/a/cool/nothing"), "The base URL of this API is /a/cool/v1"),
        ] {
            let reply = client.post(&url).json(&chat("small")).send().await.expect("answered");
            assert_eq!(reply.status(), 404, "{url}");
            let error: Value = reply.json().await.expect("JSON");
            assert_eq!(error["error"]["code"], "not_found", "{url}: {error}");
            assert!(error["error"]["message"].as_str().expect("text").contains(hint), "{url}: {error}");
        }
    }
    assert_eq!(sim.stat("started").await, before, "nothing of this may reach an engine");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ports_say_what_they_are_at_their_root() {
    let sim = Sim::start(&[]);
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("gateway.yaml");
    let yaml = format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0, token: a-token-of-16-chars }}\n\
         models: {{ small: {{ urls: [\"{}\"] }} }}\naliases: {{ cool: {{ model: small }} }}\n",
        sim.url()
    );
    std::fs::write(&file, yaml).expect("configuration written");
    let gateway = Gateway::serve(&file, folder);
    let admin = format!("http://{}/", gateway.admin);
    for (url, says) in [(gateway.url("/"), "/v1/models"), (gateway.url("/a/cool/"), "/v1/models"), (admin, "/metrics")]
    {
        let text = http().get(&url).send().await.expect("answered");
        assert_eq!(text.status(), 200, "{url}: no token is asked for");
        assert_eq!(text.headers()["content-type"], "text/plain; charset=utf-8", "{url}");
        assert!(text.text().await.expect("text").contains(says), "{url}");
        let json = http().get(&url).header("accept", "application/json").send().await.expect("answered");
        assert!(json.json::<Value>().await.expect("JSON").to_string().contains(says), "{url}");
        assert_eq!(http().head(&url).send().await.expect("answered").status(), 200, "{url}");
        assert_eq!(http().post(&url).json(&json!({})).send().await.expect("answered").status(), 405, "{url}");
    }
}

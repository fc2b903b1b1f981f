//! Bodies of requests and answers are kept for operators where an alias says so, and nowhere else.

use serde_json::{Value, json};

use crate::support::{Gateway, Sim, chat, eventually, http};

/// A gateway in front of a simulated engine, and its file.
struct Place {
    sim: Sim,
    gateway: Gateway,
    folder: tempfile::TempDir,
}

impl Place {
    async fn new(aliases: &str) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let sim = Sim::start(&["--ttft", "0", "--tokens", "8"]);
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, text(&sim, aliases)).expect("written");
        let gateway = Gateway::serve(&file, tempfile::tempdir().expect("temporary folder"));
        gateway.wait_ready().await;
        Self { sim, gateway, folder }
    }

    /// Sends `body` as a request `id` to `path`; the answer.
    async fn send(&self, id: &str, path: &str, body: impl Into<reqwest::Body>) -> String {
        let request = http().post(self.gateway.url(path)).header("content-type", "application/json");
        let reply = request.header("x-request-id", id).body(body).send().await.expect("answered");
        reply.text().await.expect("whole")
    }

    /// Sends a chat as a request `id`; what was sent, and the answer.
    async fn ask(&self, id: &str, model: &str, content: &str, stream: bool) -> (String, String) {
        let mut body = chat(model);
        (body["messages"][0]["content"], body["stream"]) = (content.into(), stream.into());
        // As no program would write it anew.
        let sent = body.to_string().replacen(':', " : ", 1);
        let answer = self.send(id, "/v1/chat/completions", sent.clone()).await;
        (sent, answer)
    }

    /// What operators are told of a request, once it is known.
    async fn told(&self, id: &str) -> Value {
        let url = format!("http://{}/api/v1/requests/{id}", self.gateway.admin);
        eventually("the record of a request", async || {
            let reply = http().get(&url).send().await.expect("answered");
            if reply.status() == 200 { reply.json().await.ok() } else { None }
        })
        .await
    }
}

fn text(sim: &Sim, aliases: &str) -> String {
    let head = "listen: 127.0.0.1:0\nadmin: { listen: 127.0.0.1:0 }\n";
    format!("{head}models: {{ tiny: {{ urls: [\"{}\"] }} }}\naliases: {{ {aliases} }}\n", sim.url())
}

fn whole(text: &str) -> Value {
    json!({ "bytes": text.len(), "cut": false, "text": text })
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_kept_of_the_newest_requests_of_an_alias_that_says_so() {
    let place = Place::new(
        "plain: { model: tiny }, seen: { model: tiny, capture: { requests: 2 } }, inner: { model: seen }, \
         short: { model: tiny, capture: { bytes: 1KiB } }, wrong: { model: tiny, capture: {} }",
    )
    .await;
    place.ask("plain", "plain", "Hi", false).await;
    place.ask("model", "tiny", "Hi", false).await;
    for id in ["plain", "model"] {
        let told = place.told(id).await;
        assert!(told.get("request_body").is_none() && told.get("response_body").is_none(), "{told}");
    }

    place.ask("first", "seen", "Hi", false).await;
    assert!(place.told("first").await.get("request_body").is_some());
    let (sent, answer) = place.ask("second", "seen", "<b>Hi</b>", false).await;
    let (sent_stream, stream) = place.ask("third", "seen", "Hi", true).await;
    place.ask("inner", "inner", "Hi", false).await;
    assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
    let third = place.told("third").await;
    assert_eq!((&third["request_body"], &third["response_body"]), (&whole(&sent_stream), &whole(&stream)));
    let second = place.told("second").await;
    assert_eq!((&second["request_body"], &second["response_body"]), (&whole(&sent), &whole(&answer)));
    assert!(place.told("first").await.get("request_body").is_none(), "others have taken its place");
    assert!(place.told("inner").await.get("request_body").is_some(), "as what it points at");
    let list = http().get(format!("http://{}/api/v1/requests", place.gateway.admin)).send().await.expect("answered");
    let list = list.text().await.expect("text");
    assert!(list.contains("\"id\":\"second\"") && !list.contains("_body"), "{list}");

    let (sent, answer) = place.ask("long", "short", &"ä".repeat(5000), true).await;
    let long = place.told("long").await;
    for (body, whole) in [(&long["request_body"], sent), (&long["response_body"], answer)] {
        let kept = body["text"].as_str().expect("text");
        assert!((1023..=1024).contains(&kept.len()) && whole.starts_with(kept), "{body}");
        assert_eq!((&body["bytes"], &body["cut"]), (&json!(whole.len()), &json!(true)));
    }

    let refusal = place.send("wrong", "/a/wrong/v1/chat/completions", "{\"messages\": [").await;
    let wrong = place.told("wrong").await;
    assert_eq!((&wrong["status"], &wrong["request_body"]), (&json!(400), &whole("{\"messages\": [")));
    assert_eq!(wrong["response_body"], whole(&refusal));
    let form = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n";
    let form = [form.as_bytes(), b"\xff\xfe", b"\r\n--b--\r\n"].concat();
    let request = http().post(place.gateway.url("/a/wrong/v1/audio/transcriptions"));
    let request = request.header("content-type", "multipart/form-data; boundary=b").header("x-request-id", "audio");
    request.body(form.clone()).send().await.expect("answered").bytes().await.expect("whole");
    let audio = place.told("audio").await;
    assert_eq!(audio["request_body"], json!({ "bytes": form.len(), "cut": false, "omitted": "binary" }));
    assert!(!place.gateway.log().contains("<b>Hi") && !place.gateway.access_log().contains("<b>Hi"));
}

#[tokio::test(flavor = "multi_thread")]
async fn masked_members_are_kept_of_no_body_and_no_event() {
    let mask = "mask: [messages.content, choices.message.content, choices.delta.content, error.message]";
    let place = Place::new(&format!(
        "hushed: {{ model: tiny, capture: {{ {mask} }} }}, short: {{ model: tiny, capture: {{ bytes: 1KiB, {mask} }} }}"
    ))
    .await;
    let (_, answer) = place.ask("plain", "hushed", "s3cret", false).await;
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let plain = place.told("plain").await;
    let json = |body: &Value| -> Value { serde_json::from_str(body["text"].as_str().expect("text")).expect("JSON") };
    let request = json(&plain["request_body"]);
    assert_eq!((&request["messages"][0]["content"], &request["model"]), (&json!("***"), &json!("hushed")));
    let mut masked = answer.clone();
    masked["choices"][0]["message"]["content"] = json!("***");
    assert_ne!(masked, answer, "it says something");
    assert_eq!(json(&plain["response_body"]), masked);
    assert!(!plain.to_string().contains("s3cret"));

    let (_, stream) = place.ask("stream", "hushed", "s3cret", true).await;
    let told = place.told("stream").await;
    let kept = told["response_body"]["text"].as_str().expect("text").to_owned();
    let events = |text: &str| -> Vec<Value> {
        text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
    };
    let (mut came, mut hidden) = (events(&stream), 0);
    for event in &mut came {
        if let Some(content) = event.pointer_mut("/choices/0/delta/content") {
            *content = json!("***");
            hidden += 1;
        }
    }
    assert!(hidden >= 8 && kept.ends_with("data: [DONE]\n\n"), "{kept}");
    assert_eq!(events(&kept), came);
    assert_eq!(told["response_body"]["cut"], false);

    place.ask("long", "short", &"s3cret".repeat(500), true).await;
    let told = place.told("long").await;
    assert_eq!(told["request_body"]["omitted"], "incomplete");
    assert_eq!((&told["response_body"]["cut"], told.to_string().contains("s3cret")), (&json!(true), false));
    let wrong = place.send("wrong", "/a/hushed/v1/chat/completions", "{\"messages\": \"s3cret").await;
    assert!(wrong.contains("error"), "{wrong}");
    let told = place.told("wrong").await;
    assert_eq!((&told["request_body"]["omitted"], told.to_string().contains("s3cret")), (&json!("not_json"), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_or_removed_capture_forgets_what_was_kept() {
    let two = "one: { model: tiny, capture: {} }, two: { model: tiny, capture: {} }";
    let place = Place::new(two).await;
    let ask_both = async |suffix: &str| {
        for name in ["one", "two"] {
            place.ask(&format!("{name}-{suffix}"), name, "Hi", false).await;
        }
    };
    let kept = async |id: &str| place.told(id).await.get("request_body").is_some();
    ask_both("before").await;
    assert!(kept("one-before").await && kept("two-before").await);
    let put = |body: Value| {
        let url = format!("http://{}/api/v1/aliases/one", place.gateway.admin);
        http().put(url).body(body.to_string()).send()
    };
    let changed = put(json!({ "model": "tiny", "capture": { "mask": ["user"] } })).await.expect("answered");
    assert_eq!(changed.status(), 200);
    let alias = http().get(format!("http://{}/api/v1/aliases/one", place.gateway.admin)).send().await;
    let alias: Value = alias.expect("answered").json().await.expect("JSON");
    assert_eq!(alias["capture"], json!({ "requests": 20, "bytes": 64 << 10, "mask": ["user"] }), "{alias}");
    assert!(!kept("one-before").await && kept("two-before").await, "only that of the other is left");
    ask_both("after").await;
    assert!(kept("one-after").await);
    let removed = put(json!({ "model": "tiny" })).await.expect("answered");
    assert_eq!((removed.status().as_u16(), kept("one-after").await), (200, false));

    std::fs::write(place.folder.path().join("gateway.yaml"), text(&place.sim, "two: { model: tiny }"))
        .expect("written");
    let url = format!("http://{}/api/v1/reload", place.gateway.admin);
    assert_eq!(http().post(url).send().await.expect("answered").status(), 200);
    assert!(!kept("two-after").await && place.told("two-after").await["status"] == 200);
}

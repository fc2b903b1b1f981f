//! Web pages of other origins: what a browser is told before it sends a page's request, and with every answer.

use serde_json::json;

use crate::support::{Gateway, Sim, chat, http};

const PAGE: &str = "http://localhost:5173";

async fn start(more: &str) -> (Sim, Gateway) {
    let sim = Sim::start(&[]);
    let yaml = format!(
        "models: {{ small: {{ urls: [\"{}\"] }} }}\naliases:\n  cool: {{ model: small }}\n  own: {{ model: small, listen: \"127.0.0.1:0\" }}\n  \
         translated: {{ model: small, dialect: {{ responses: chat, messages: chat }} }}\n  gymnast: {{ model: small, gym: {{}} }}\n{more}",
        sim.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    (sim, gateway)
}

/// Two requests for the same thing: what a browser asks first, over HTTP/1.1 and HTTP/2.
async fn preflight(url: &str, method: &str) -> reqwest::Response {
    let h2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("client");
    let ask = async |client: reqwest::Client| {
        let request = client.request(reqwest::Method::OPTIONS, url).header("origin", PAGE);
        let request = request.header("access-control-request-method", method);
        let asked = "authorization,content-type,x-stainless-os";
        request.header("access-control-request-headers", asked).send().await.expect("answered")
    };
    let (first, second) = (ask(http()).await, ask(h2).await);
    let told = |reply: &reqwest::Response| {
        let headers = reply.headers().iter().map(|(name, value)| format!("{name}: {value:?}"));
        headers.filter(|header| header.starts_with("access-control")).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!((first.status(), told(&first)), (second.status(), told(&second)), "{url}");
    first
}

fn header(reply: &reqwest::Response, name: &str) -> Option<String> {
    let values: Vec<&str> = reply.headers().get_all(name).iter().map(|value| value.to_str().expect("text")).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_are_answered_without_a_key_on_every_route() {
    let (sim, gateway) = start("callers: { web: { keys: [k-web] } }\ncors: { origins: [\"*\"] }\n").await;
    let before = sim.stat("started").await;
    let own = format!("http://{}", gateway.alias_address("own"));
    for (url, asked, methods) in [
        (gateway.url("/v1/chat/completions"), "POST", "POST"),
        (gateway.url("/v1/messages/"), "POST", "POST"),
        (gateway.url("/a/cool/v1/responses"), "POST", "POST"),
        (gateway.url("/a/gymnast/v1/responses"), "POST", "POST"),
        (format!("{own}/v1/embeddings"), "POST", "POST"),
        (gateway.url("/v1/models"), "GET", "GET, HEAD"),
        (gateway.url("/v1/models/small"), "GET", "GET, HEAD"),
        (gateway.url("/health"), "GET", "GET, HEAD"),
        (gateway.url("/chat/completions"), "POST", "GET, HEAD, POST"),
    ] {
        let reply = preflight(&url, asked).await;
        assert_eq!(reply.status(), 204, "{url}");
        assert_eq!(header(&reply, "access-control-allow-origin").as_deref(), Some("*"), "{url}");
        assert_eq!(header(&reply, "access-control-allow-methods").as_deref(), Some(methods), "{url}");
        let headers = header(&reply, "access-control-allow-headers");
        assert_eq!(headers.as_deref(), Some("authorization,content-type,x-stainless-os"), "{url}");
        assert_eq!(header(&reply, "access-control-max-age").as_deref(), Some("7200"), "{url}");
        assert_eq!(header(&reply, "content-length"), None, "{url}");
    }
    // What is no preflight is what it was.
    let url = gateway.url("/v1/chat/completions");
    let plain = http().request(reqwest::Method::OPTIONS, &url).header("origin", PAGE).send().await.expect("answered");
    assert_eq!(plain.status(), 401);
    assert_eq!(sim.stat("started").await, before, "nothing of this may reach an engine");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_may_be_read_by_listed_pages_and_by_no_others() {
    let (_sim, gateway) =
        start(&format!("callers: {{ web: {{ keys: [k-web] }} }}\ncors: {{ origins: [\"{PAGE}\"] }}\n")).await;
    let mut streamed = chat("small");
    streamed["stream"] = true.into();
    let responses = json!({ "model": "translated", "input": "hi", "stream": true });
    let messages = json!({ "model": "translated", "max_tokens": 5, "messages": [{ "role": "user", "content": "hi" }] });
    let chat = "/v1/chat/completions";
    for (path, key, body, status) in [
        (chat, "k-web", &self::chat("small"), 200),
        (chat, "k-web", &streamed, 200),
        (chat, "k-web", &self::chat("nobody"), 404),
        (chat, "k-wrong", &self::chat("small"), 401),
        (chat, "k-web", &json!({ "model": "small" }), 400),
        ("/v1/responses", "k-web", &responses, 200),
        ("/v1/messages", "k-web", &messages, 200),
        ("/a/gymnast/v1/responses", "k-web", &json!({ "input": "hi" }), 200),
        ("/chat/completions", "k-web", &streamed, 404),
        ("/health", "k-web", &streamed, 405),
    ] {
        for (origin, allowed) in [(Some(PAGE), Some(PAGE)), (Some("http://evil.example"), None), (None, None)] {
            let request = http().post(gateway.url(path)).json(body).bearer_auth(key);
            let request = origin.into_iter().fold(request, |request, origin| request.header("origin", origin));
            let reply = request.send().await.expect("answered");
            assert_eq!(reply.status(), status, "{path} {origin:?}");
            assert_eq!(header(&reply, "access-control-allow-origin").as_deref(), allowed, "{path} {status} {origin:?}");
            let exposed = header(&reply, "access-control-expose-headers").unwrap_or_default();
            assert_eq!(
                exposed.contains("x-request-id, request-id, retry-after"),
                allowed.is_some(),
                "{path} {origin:?}"
            );
            let vary = header(&reply, "vary").unwrap_or_default();
            assert!(vary.contains("Origin"), "caches keep them apart: {path} {origin:?} {vary}");
        }
    }
    let url = gateway.url("/v1/models");
    let list = http().get(&url).bearer_auth("k-web").header("origin", PAGE).send().await.expect("answered");
    assert_eq!((list.status().as_u16(), header(&list, "access-control-allow-origin").as_deref()), (200, Some(PAGE)));
    let request = http().request(reqwest::Method::OPTIONS, &url).header("origin", "http://evil.example");
    let refused = request.header("access-control-request-method", "GET").send().await.expect("answered");
    assert_eq!((refused.status().as_u16(), header(&refused, "access-control-allow-origin")), (403, None));
    assert!(refused.text().await.expect("text").contains("cors.origins"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_origins_nothing_is_said_of_them() {
    let (_sim, gateway) = start("").await;
    let reply = preflight(&gateway.url("/v1/chat/completions"), "POST").await;
    assert_eq!(reply.status(), 405);
    let url = gateway.url("/v1/models");
    let list = http().get(url).header("origin", PAGE).send().await.expect("answered");
    for reply in [reply, list] {
        assert_eq!((header(&reply, "vary"), header(&reply, "access-control-allow-origin")), (None, None));
    }
}

/// Browsers send forms of any page without asking first.
#[tokio::test(flavor = "multi_thread")]
async fn forms_of_pages_that_may_not_use_the_gateway_are_refused_unless_they_have_a_key() {
    let own_page = |gateway: &Gateway| format!("http://{}", gateway.address);
    let send = async |gateway: &Gateway, origin: Option<&str>, key: Option<&str>| {
        let form = "--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nsmall\r\n--x\r\n\
                    content-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\naudio\r\n--x--\r\n";
        let request = http().post(gateway.url("/v1/audio/transcriptions")).body(form);
        let request = request.header("content-type", "multipart/form-data; boundary=x");
        let request = origin.iter().fold(request, |request, origin| request.header("origin", *origin));
        let request = key.iter().fold(request, |request, key| request.bearer_auth(key));
        request.send().await.expect("answered").status().as_u16()
    };
    let keys = "callers: { ann: { keys: [sk-ann] } }\nanonymous: true\n";
    let (_sim, gateway) = start("").await;
    assert_eq!(send(&gateway, None, None).await, 200);
    assert_eq!(send(&gateway, Some(&own_page(&gateway)), None).await, 200);
    for foreign in [PAGE, "null", "http://evil.example"] {
        assert_eq!(send(&gateway, Some(foreign), None).await, 403, "{foreign}");
    }
    let (_sim, gateway) = start(&format!("cors: {{ origins: [\"{PAGE}\"] }}\n")).await;
    assert_eq!(
        (send(&gateway, Some(PAGE), None).await, send(&gateway, Some("http://evil.example"), None).await),
        (200, 403)
    );
    let (_sim, gateway) = start(keys).await;
    assert_eq!((send(&gateway, Some(PAGE), Some("sk-ann")).await, send(&gateway, Some(PAGE), None).await), (200, 403));
}

/// A page whose name was made to lead to this machine is no foreign page to its browser.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_knows_its_names_is_called_by_no_other() {
    let (_sim, gateway) = start("hosts: [localhost, 127.0.0.1, LLM.example]\n").await;
    let h2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("client");
    for (host, status) in [
        ("llm.example", 200),
        ("LLM.example:8000", 200),
        ("localhost", 200),
        ("evil.example", 403),
        ("[::1]:8000", 403),
    ] {
        let reply = http().get(gateway.url("/v1/models")).header("host", host).send().await.expect("answered");
        assert_eq!(reply.status(), status, "{host}");
    }
    assert_eq!(h2.get(gateway.url("/v1/models")).send().await.expect("answered").status(), 200);
    let probe = http().get(gateway.url("/livez")).header("host", "10.0.0.7:8000").send().await.expect("answered");
    assert_eq!(probe.status(), 200, "probes come by address");
}

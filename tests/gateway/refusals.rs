//! Bad input: a clear answer in OpenAI's shape, and nothing of it reaches an engine.

use crate::support::{Gateway, Sim, Wire, eventually};

async fn start() -> (Sim, Gateway) {
    let sim = Sim::start(&[]);
    let yaml = format!(
        "models:\n  tiny: {{ urls: [\"{}\"] }}\naliases:\n  tiny-hot: {{ model: tiny, defaults: {{ temperature: 2 }} }}\n\
         limits: {{ body: 100KiB, head: 8KiB }}\ntimeouts: {{ body: 1s }}\n",
        sim.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    (sim, gateway)
}

/// A POST of a JSON body as bytes on the wire.
fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn with_headers(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

const CHAT: &str = "/v1/chat/completions";

/// What is wrong, the bytes, and the status and code that are expected.
type Case = (&'static str, Vec<u8>, u16, &'static str);

/// Requests whose path, method or JSON is wrong.
#[rustfmt::skip]
fn malformed() -> Vec<Case> {
    let deep = [b"{\"model\":\"tiny\",\"x\":".as_slice(), &b"[".repeat(5000), &b"]".repeat(5000), b"}"].concat();
    vec![
        ("empty body", post(CHAT, b""), 400, "missing_body"),
        ("not JSON", post(CHAT, b"model=tiny"), 400, "invalid_json"),
        ("torn JSON", post(CHAT, b"{\"model\":\"tiny\""), 400, "invalid_json"),
        ("trailing bytes", post(CHAT, b"{\"model\":\"tiny\"}}"), 400, "invalid_json"),
        ("NaN", post(CHAT, b"{\"model\":\"tiny\",\"temperature\":NaN}"), 400, "invalid_json"),
        ("an array", post(CHAT, b"[{\"model\":\"tiny\"}]"), 400, "not_an_object"),
        ("invalid UTF-8", post(CHAT, b"{\"model\":\"tiny\",\"x\":\"\xff\"}"), 400, "invalid_utf8"),
        ("too deep", post(CHAT, &deep), 400, "invalid_json"),
        ("no model", post(CHAT, b"{\"messages\":[{\"model\":\"tiny\"}]}"), 400, "missing_model"),
        ("model null", post(CHAT, b"{\"model\":null}"), 400, "missing_model"),
        ("model a number", post(CHAT, b"{\"model\":5}"), 400, "invalid_model"),
        ("model twice", post(CHAT, b"{\"model\":\"tiny\",\"model\":\"tiny\"}"), 400, "duplicate_model"),
        ("unknown model", post(CHAT, b"{\"model\":\"tinny\"}"), 404, "model_not_found"),
        ("unknown path", post("/v1/nothing", b"{}"), 404, "not_found"),
        ("engine control", post("/sleep", b"{}"), 404, "not_found"),
        ("engine LoRA control", post("/v1/load_lora_adapter", b"{}"), 404, "not_found"),
        ("engine metrics", b"GET /metrics HTTP/1.1\r\nhost: t\r\n\r\n".to_vec(), 404, "not_found"),
        ("a path that climbs", post("/v1/../v1/chat/completions", b"{}"), 404, "not_found"),
        ("GET on an inference route", b"GET /v1/chat/completions HTTP/1.1\r\nhost: t\r\n\r\n".to_vec(), 405, "method_not_allowed"),
        ("POST on models", post("/v1/models", b"{}"), 405, "method_not_allowed"),
        ("TRACE", b"TRACE /v1/models HTTP/1.1\r\nhost: t\r\n\r\n".to_vec(), 405, "method_not_allowed"),
        ("CONNECT", b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n".to_vec(), 405, "method_not_allowed"),
    ]
}

/// Requests whose head, framing or form is wrong.
#[rustfmt::skip]
fn unframed() -> Vec<Case> {
    let json = "content-type: application/json\r\n";
    let long_header = format!("{json}x-long: {}\r\ncontent-length: 2\r\n", "x".repeat(9000));
    let huge_header = format!("{json}x-long: {}\r\ncontent-length: 2\r\n", "x".repeat(1_200_000));
    let many_headers = format!("{json}{}content-length: 2\r\n", "x-h: 1\r\n".repeat(300));
    vec![
        ("too large, declared", with_headers(&format!("{json}content-length: 200000\r\n"), b""), 413, "request_too_large"),
        ("too large, chunked", with_headers(&format!("{json}transfer-encoding: chunked\r\n"), &[b"19000\r\n".as_slice(), &[b' '; 0x19000], b"\r\n19000\r\n", &[b' '; 0x19000]].concat()), 413, "request_too_large"),
        ("no content type", with_headers("content-length: 16\r\n", b"{\"model\":\"tiny\"}"), 415, "unsupported_media_type"),
        ("a form", with_headers("content-type: application/x-www-form-urlencoded\r\ncontent-length: 2\r\n", b"{}"), 415, "unsupported_media_type"),
        ("brotli", with_headers(&format!("{json}content-encoding: br\r\ncontent-length: 2\r\n"), b"{}"), 415, "unsupported_content_encoding"),
        ("false gzip", with_headers(&format!("{json}content-encoding: gzip\r\ncontent-length: 2\r\n"), b"{}"), 400, "invalid_gzip"),
        ("a length that is none", with_headers(&format!("{json}content-length: 0x10\r\n"), b""), 400, "*"),
        ("two lengths", with_headers(&format!("{json}content-length: 2\r\ncontent-length: 2\r\n"), b"{}"), 400, "invalid_content_length"),
        ("a coding that is not undone", with_headers(&format!("{json}transfer-encoding: gzip, chunked\r\n"), b"0\r\n\r\n"), 400, "*"),
        ("a body that never comes", with_headers(&format!("{json}content-length: 10\r\n"), b"{"), 408, "request_timeout"),
        ("head over the limit", with_headers(&long_header, b"{}"), 431, "request_header_fields_too_large"),
        ("head over all limits", with_headers(&huge_header, b"{}"), 431, "request_header_fields_too_large"),
        ("a target over the longest", format!("GET /{} HTTP/1.1\r\nhost: t\r\n\r\n", "x".repeat(70_000)).into_bytes(), 414, "uri_too_long"),
        ("a target without an end", [&b"GET /"[..], &[b'x'; 200_000]].concat(), 414, "uri_too_long"),
        ("too many headers", with_headers(&many_headers, b"{}"), 431, "request_header_fields_too_large"),
        ("no host", b"GET /v1/models HTTP/1.1\r\n\r\n".to_vec(), 400, "missing_host"),
        ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n".to_vec(), 400, "invalid_http"),
        ("a torn request line", b"GET\r\n\r\n".to_vec(), 400, "invalid_http"),
        ("a form without boundary", b"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: t\r\ncontent-type: multipart/form-data\r\ncontent-length: 2\r\n\r\n--".to_vec(), 400, "missing_boundary"),
        ("a form that is none", b"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: t\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: 2\r\n\r\n--".to_vec(), 400, "*"),
        ("JSON where a form belongs", post("/v1/audio/transcriptions", b"{\"model\":\"tiny\"}"), 415, "unsupported_media_type"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_refused_in_openais_shape_and_never_reaches_an_engine() {
    let (sim, gateway) = start().await;
    for (name, bytes, status, code) in malformed().into_iter().chain(unframed()) {
        let mut wire = Wire::to(gateway.address).await;
        wire.send(bytes).await;
        let reply = wire.reply().await;
        assert_eq!(reply.status, status, "{name}: {}", String::from_utf8_lossy(&reply.body));
        let error = reply.json();
        let error = &error["error"];
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{name}: {error}");
        assert!(error["type"].as_str().is_some_and(|kind| kind.ends_with("_error")), "{name}: {error}");
        assert!(error.get("param").is_some(), "{name}: {error}");
        assert!(code == "*" || error["code"] == code, "{name}: {error}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{name}");
        assert_eq!(reply.header("allow").is_some(), status == 405, "{name}");
        let id = reply.header("x-request-id").expect("an id");
        eventually("its line", async || gateway.access_log().contains(&format!("id={id}")).then_some(())).await;
    }
    assert!(gateway.access_log().contains(" 414 GET /xxx") && gateway.access_log().contains(" 400 - - "));
    assert_eq!(sim.stat("started").await, 0, "nothing of this may reach an engine");
    // And the gateway still serves.
    let mut wire = Wire::to(gateway.address).await;
    wire.post(CHAT, b"{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}").await;
    assert_eq!(wire.reply().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_model_is_told_the_near_names() {
    let (_sim, gateway) = start().await;
    let mut wire = Wire::to(gateway.address).await;
    wire.post(CHAT, b"{\"model\":\"tiny-hott\"}").await;
    let reply = wire.reply().await;
    let message = reply.json()["error"]["message"].as_str().expect("text").to_owned();
    assert!(message.contains("`tiny-hott` does not exist") && message.contains("`tiny-hot`"), "{message}");
    // The connection stays usable after a refusal.
    wire.post("/v1/messages", b"{\"model\":\"nobody\"}").await;
    let error = wire.reply().await.json();
    assert_eq!(error["type"], "error", "Anthropic's shape on Anthropic's route: {error}");
    assert_eq!(error["error"]["type"], "not_found_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn defined_answers_for_odd_but_valid_json() {
    let (sim, gateway) = start().await;
    let messages = "\"messages\":[{\"role\":\"user\",\"content\":\"hi\",\"model\":\"decoy\"}]";
    // The simulated engine's own parser knows neither infinity nor 200 levels; what counts is that both get there whole.
    let odd = [
        (format!("\u{feff}{{\"model\":\"tiny\",{messages}}}"), 3, true),
        (format!("{{\"mod\\u0065l\":\"t\\u0069ny\",{messages}}}"), 0, true),
        (format!("{{\"model\":\"tiny\",\"seed\":1,\"seed\":2,{messages}}}"), 0, true),
        (format!("  {{ \"model\" : \"tiny\" , {messages} }}\r\n"), 0, true),
        (format!("{{\"model\":\"tiny\",\"metadata\":{{\"n\":1e400}},{messages}}}"), 0, false),
        (format!("{{\"model\":\"tiny\",\"metadata\":{}1{},{messages}}}", "[".repeat(200), "]".repeat(200)), 0, false),
    ];
    for (body, dropped, served) in &odd {
        let mut wire = Wire::to(gateway.address).await;
        wire.post(CHAT, body.as_bytes()).await;
        let reply = wire.reply().await;
        assert!(!served || reply.status == 200, "{body}: {}", String::from_utf8_lossy(&reply.body));
        assert_eq!(sim.last_request().await["body"].as_str(), Some(&body[*dropped..]));
    }
}

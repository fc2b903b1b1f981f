//! Engines that are not at the root of their server: behind a reverse proxy, by a path of their own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::support::{Gateway, Sim, chat, http};

/// A server that has each engine below a path of its own, and nothing else; and the paths that were not there.
async fn below(engines: &[(&'static str, &Sim)]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let misses = Arc::<Mutex<Vec<String>>>::default();
    let mut router = Router::new();
    for (base, sim) in engines {
        let (base, url) = (*base, sim.url());
        router =
            router.route(&format!("{base}/{{*path}}"), axum::routing::any(move |request| pass(base, url, request)));
    }
    let seen = misses.clone();
    let router = router.fallback(async move |request: Request| {
        seen.lock().expect("kept").push(request.uri().path().to_owned());
        StatusCode::NOT_FOUND
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, misses)
}

/// Passes a request on without the path of its engine.
async fn pass(base: &'static str, url: String, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().expect("a path").as_str().strip_prefix(base).expect("the base").to_owned();
    let body = to_bytes(body, usize::MAX).await.expect("whole");
    let mut headers = head.headers;
    headers.remove("host");
    let asked = http().request(head.method, format!("{url}{path}")).headers(headers).body(body).send().await;
    let answer = asked.expect("an engine");
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut response = Body::from_stream(answer.bytes_stream()).into_response();
    *response.status_mut() = status;
    for name in ["content-type", "x-request-id"] {
        if let Some(value) = headers.get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_below_a_path_is_asked_nothing_outside_of_it() {
    let (first, second) = (Sim::start(&[]), Sim::start(&[]));
    let (address, misses) = below(&[("/team/first", &first), ("/team/second", &second)]).await;
    let gateway = Gateway::ready(&format!(
        "models:\n  one: {{ urls: ['http://{address}/team/first/v1'] }}\n  \
         both: {{ urls: ['http://{address}/team/first', 'http://{address}/team/second/'], balance: round_robin }}\n\
         aliases: {{ gym: {{ model: one, gym: {{}} }}, spare: {{ model: one, fallback: [both] }} }}\n"
    ))
    .await;
    // Whoever asks: the proxy, for answers at once and for streams; the gateway itself, for Gym and for its checks.
    for (path, body) in [
        ("/v1/chat/completions?beta=true", chat("one")),
        (
            "/v1/chat/completions",
            json!({ "stream": true, "model": "spare", "messages": [{ "role": "user", "content": "hi" }] }),
        ),
        ("/v1/responses", json!({ "model": "gym", "input": "hi" })),
        ("/tokenize", json!({ "model": "one", "prompt": "hi" })),
        ("/a/spare/v1/completions", json!({ "prompt": "hi" })),
    ] {
        let reply = http().post(gateway.url(path)).json(&body).send().await.expect("answered");
        assert_eq!(reply.status(), 200, "{path}: {}", reply.text().await.expect("whole"));
    }
    assert_eq!(first.last_request().await["target"], "/v1/completions");
    for _ in 0..4 {
        assert_eq!(gateway.ask("both").await.0, 200);
    }
    assert!(first.stat("completed").await >= 2 && second.stat("completed").await >= 2, "both got some");
    let models: Value =
        http().get(gateway.url("/v1/models")).send().await.expect("answered").json().await.expect("JSON");
    assert!(models["data"][0]["max_model_len"].is_u64(), "the engine was asked for its cards: {models}");
    let mut ids: Vec<String> =
        gateway.engines().await.iter().map(|engine| engine["engine"].as_str().expect("an id").to_owned()).collect();
    ids.sort();
    assert_eq!(
        ids,
        [
            format!("both/{address}~team~first"),
            format!("both/{address}~team~second"),
            format!("one/{address}~team~first")
        ]
    );
    assert_eq!(gateway.engine(&format!("one/{address}~team~first")).await["state"], "ready");
    assert_eq!(*misses.lock().expect("kept"), <[String; 0]>::default());
}

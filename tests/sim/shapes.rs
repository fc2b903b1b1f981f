//! The simulated engine against recordings of a real vLLM 0.32.0: same statuses, headers, shapes and events.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::recording::{Answer, Recording, dechunk, events, exchange, exchange_torn, load, parse, shape};
use enginehouse::sim::{Args, Running, start};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Recordings that only make sense in this order, on one server.
const IN_ORDER: &[&str] = &[
    "lora_load",
    "lora_models",
    "lora_chat",
    "lora_base_chat",
    "lora_load_again",
    "lora_load_in_place",
    "lora_load_bad_path",
    "lora_load_missing_field",
    "lora_unload",
    "lora_unload_again",
    "lora_chat_after_unload",
    "sleep_is_sleeping_before",
    "sleep_level1",
    "sleep_is_sleeping_asleep",
    "sleep_health_asleep",
    "sleep_models_asleep",
    "sleep_twice",
    "sleep_again_level2",
    "sleep_wake_up",
    "sleep_is_sleeping_after",
    "sleep_wake_when_awake",
    "sleep_mode_wait",
    "sleep_wake_tags",
    "sleep_is_sleeping_after_weights",
    "sleep_wake_tags_kv",
    "sleep_is_sleeping_end",
    "sleep_get_method",
    "sleep_bad_level",
    "pause",
    "is_paused",
    "resume",
];

/// Recordings of a request that another one interrupts: they have tests of their own.
const APART: &[&str] = &[
    "sleep_chat_stream_while_asleep",
    "sleep_inflight_plain_abort",
    "drain_new_request",
    "drain_new_stream",
    "full_chat_stream",
    "full_messages",
    "full_messages_stream",
    "full_responses_stream",
    "paused_chat",
    "paused_responses_stream",
];

/// Limits of the recordings' requests, and ours, which cut our answers in the same place: a model with random weights thinks and
/// writes longer.
const LIMITS: &[(&str, &str, &str)] = &[
    ("chat_thinking_tool", r#""max_tokens":10"#, r#""max_tokens":8"#),
    ("responses_json_object", r#""max_output_tokens":3"#, r#""max_output_tokens":60"#),
    ("responses_thinking", r#""max_output_tokens":12"#, r#""max_output_tokens":8"#),
    ("responses_tool_custom", r#""max_output_tokens":60"#, r#""max_output_tokens":2"#),
    ("responses_tool_required_stream", r#""max_output_tokens":40"#, r#""max_output_tokens":2"#),
];

/// A hang is a failure that names its recording.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/vllm")
}

async fn server(port: &str) -> Running {
    let common = ["/models/tiny", "--max-model-len", "512", "--port", "0", "--ttft", "0", "--gap", "0"];
    let own: &[&str] = match port {
        "8101" => &[
            "--served-model-name",
            "tiny",
            "--runner",
            "generate",
            "--enable-prompt-tokens-details",
            "--enable-auto-tool-choice",
            "--tool-call-parser",
            "hermes",
        ],
        "8103" => &[
            "--served-model-name",
            "tiny",
            "--runner",
            "generate",
            "--enable-sleep-mode",
            "--dev-mode",
            "--api-key",
            "sk-test-123",
            "--enable-lora",
            "--runtime-lora",
            "--reasoning-parser",
            "qwen3",
            "--enable-request-id-headers",
            "--enable-force-include-usage",
            "--sse-keep-alive-interval",
            "1",
        ],
        "8104" => &["--served-model-name", "tiny", "tiny-alias", "--runner", "generate", "--shutdown-timeout", "20"],
        "8106" => &[
            "--served-model-name",
            "tiny",
            "--runner",
            "generate",
            "--dev-mode",
            "--reasoning-parser",
            "deepseek_v3",
            "--enable-auto-tool-choice",
            "--tool-call-parser",
            "hermes",
            "--max-num-queued-reqs",
            "4",
        ],
        "8105" => &["--served-model-name", "tiny-embed", "--runner", "pooling", "--convert", "embed"],
        other => panic!("no recording was made on port {other}"),
    };
    start(Args::parse(common.iter().chain(own)).unwrap()).await.unwrap()
}

/// Differences between what was recorded and what the simulation says.
fn differences(recording: &Recording, ours: &Answer) -> String {
    let mut found = String::new();
    let real = &recording.answer;
    let mut check = |what: &str, real: String, ours: String| {
        if real != ours {
            let _ = writeln!(found, "{}: {what}\n  real {real}\n  ours {ours}", recording.name);
        }
    };
    check("status", real.status.to_string(), ours.status.to_string());
    for name in ["content-type", "allow", "server", "vary", "connection"] {
        let of = |answer: &Answer| answer.headers.get(name).cloned().unwrap_or_else(|| "(none)".into());
        check(name, of(real), of(ours));
    }
    let names = |answer: &Answer| answer.headers.keys().cloned().collect::<Vec<_>>().join(" ");
    check("header names", names(real), names(ours));
    let body = |answer: &Answer| match answer.headers.get("content-type").map(String::as_str) {
        _ if answer.body.trim().is_empty() => String::new(),
        Some("application/json") if real.status >= 400 => answer.body.trim().to_owned(),
        Some("application/json") => shape(&serde_json::from_str(answer.body.trim()).unwrap()),
        Some(kind) if kind.starts_with("text/event-stream") => events(&answer.body).join("\n       "),
        _ => answer.body.trim().to_owned(),
    };
    check("body", body(real), body(ours));
    found
}

/// The request of a recording with the limit that our answer needs.
fn limited(recording: &Recording) -> Vec<u8> {
    let is_of = |name: &str| name == recording.name || format!("{name}_stream") == recording.name;
    let Some((_, theirs, ours)) = LIMITS.iter().find(|(name, ..)| is_of(name)) else {
        return recording.request.clone();
    };
    let request = String::from_utf8(recording.request.clone()).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(body.contains(theirs), "{}", recording.name);
    let length = format!("Content-Length: {}", body.len());
    let body = body.replace(theirs, ours);
    format!("{}\r\n\r\n{body}", head.replace(&length, &format!("Content-Length: {}", body.len()))).into_bytes()
}

#[tokio::test]
async fn every_recorded_exchange_has_the_same_shape() {
    let mut recordings: Vec<Recording> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
        .map(|path| load(&path))
        .filter(|recording| !APART.contains(&recording.name.as_str()))
        .collect();
    let place = |name: &str| IN_ORDER.iter().position(|known| *known == name);
    recordings.sort_by_key(|recording| (place(&recording.name), recording.name.clone()));
    let in_order = recordings.iter().filter(|recording| place(&recording.name).is_some()).count();
    assert_eq!(in_order, IN_ORDER.len(), "every ordered recording is there");
    assert_eq!(recordings.len(), 181, "no recording got lost");

    let mut engines: BTreeMap<String, Running> = BTreeMap::new();
    let mut found = String::new();
    for recording in &recordings {
        if !engines.contains_key(&recording.port) {
            engines.insert(recording.port.clone(), server(&recording.port).await);
        }
        let request = limited(recording);
        let answering = exchange(&engines[&recording.port], &request);
        let ours = tokio::time::timeout(PATIENCE, answering)
            .await
            .unwrap_or_else(|_| panic!("no answer to {}", recording.name));
        found += &differences(recording, &ours);
    }
    assert!(found.is_empty(), "\n{found}");
}

#[tokio::test]
async fn a_sleeping_engine_takes_a_stream_and_goes_on_after_waking() {
    let engine = server("8103").await;
    let recording = load(&folder().join("sleep_chat_stream_while_asleep.http"));
    let post =
        |path: &str| format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    exchange(&engine, post("/sleep?level=1").as_bytes()).await;
    let mut tcp = TcpStream::connect(engine.addr()).await.unwrap();
    tcp.write_all(&recording.request).await.unwrap();
    let mut raw = vec![0; 4096];
    // The head and the first keep-alive comment come while it sleeps, and nothing else does.
    let mut text = String::new();
    while !text.contains(": keep-alive") {
        let length = tcp.read(&mut raw).await.unwrap();
        assert!(length > 0);
        text += &String::from_utf8_lossy(&raw[..length]);
    }
    assert!(text.starts_with("HTTP/1.1 200 OK") && !text.contains("data:"), "{text}");
    exchange(&engine, post("/wake_up").as_bytes()).await;
    let mut rest = String::new();
    tcp.read_to_string(&mut rest).await.unwrap();
    let (_, body) = (text + &rest).split_once("\r\n\r\n").map(|(head, body)| (head.to_owned(), dechunk(body))).unwrap();
    assert_eq!(events(&body), events(&recording.answer.body));
}

#[tokio::test]
async fn sleep_aborts_what_runs() {
    let engine = server("8103").await;
    let recording = load(&folder().join("sleep_inflight_plain_abort.http"));
    let slow = String::from_utf8(recording.request.clone()).unwrap().replacen("\r\n", "\r\nx-sim-gap: 10s\r\n", 1);
    let stats = engine.stats();
    let (ours, _) = tokio::join!(exchange(&engine, slow.as_bytes()), async {
        while stats.counts().in_flight() == 0 {
            tokio::task::yield_now().await;
        }
        exchange(&engine, b"POST /sleep HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await
    });
    let body: Value = serde_json::from_str(&ours.body).unwrap();
    assert_eq!(body["choices"][0]["finish_reason"], "abort");
    let real: Value = serde_json::from_str(recording.answer.body.trim()).unwrap();
    assert_eq!(shape(&body["usage"]), shape(&real["usage"]));
}

#[tokio::test]
async fn a_draining_engine_finishes_a_stream_and_refuses_new_requests() {
    let engine = server("8104").await;
    let chat = |stream: &str| {
        let body = format!(r#"{{"model":"tiny","messages":[{{"role":"user","content":"x"}}]{stream}}}"#);
        let length = body.len();
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-sim-gap: 20ms\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
    };
    let addr = engine.addr();
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(chat(r#","stream":true"#).as_bytes()).await.unwrap();
    let mut first = [0; 64];
    tcp.read_exact(&mut first).await.unwrap();
    // A second connection that is open before the end begins.
    let mut late = TcpStream::connect(addr).await.unwrap();
    let stopping = tokio::spawn(engine.stop(std::time::Duration::from_secs(20)));
    tokio::task::yield_now().await;
    late.write_all(chat("").as_bytes()).await.unwrap();
    let mut refused = String::new();
    late.read_to_string(&mut refused).await.unwrap();
    let recorded = load(&folder().join("drain_new_request.http")).answer;
    assert!(refused.starts_with("HTTP/1.1 500 ") && refused.ends_with(recorded.body.trim()), "{refused}");
    let mut rest = String::new();
    tcp.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains(r#""finish_reason":"stop""#) && rest.contains("data: [DONE]"), "{rest}");
    stopping.await.unwrap();
    assert!(TcpStream::connect(addr).await.is_err(), "the port refuses after the end");
}

async fn metrics(engine: &Running) -> String {
    exchange(engine, b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.body
}

/// In a burst all are let in before any is counted: a stream that is one too many has begun, and ends with an error.
#[tokio::test]
async fn a_burst_over_a_full_queue_is_answered_as_recorded() {
    let engine = server("8106").await;
    for name in ["full_chat_stream", "full_messages", "full_messages_stream", "full_responses_stream"] {
        let recording = load(&folder().join(format!("{name}.http")));
        let request = String::from_utf8(recording.request.clone()).unwrap();
        let slow = request.replacen("\r\n", "\r\nx-sim-ttft: 500ms\r\n", 1);
        let is_torn = name == "full_responses_stream";
        let is_refused = |(answer, torn): &(Answer, bool)| {
            *torn == is_torn && answer.status == recording.answer.status && said(answer) == said(&recording.answer)
        };
        // One that comes late, on a busy machine, is refused with a head of its own.
        let is_late = |(answer, _): &(Answer, bool)| answer.status == 503;
        loop {
            let answers = futures::future::join_all((0..10).map(|_| exchange_torn(&engine, slow.as_bytes()))).await;
            let refused = answers.iter().filter(|answer| is_refused(answer)).count();
            let late = answers.iter().filter(|answer| is_late(answer) && !is_refused(answer)).count();
            assert_eq!(refused + late, 6, "{name}: {answers:?}");
            if refused > 0 {
                break;
            }
        }
    }
}

/// What a refusal says word for word, or the events before it.
fn said(answer: &Answer) -> Vec<String> {
    if !answer.headers.get("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
        return vec![answer.body.trim().to_owned()];
    }
    let errors =
        answer.body.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| data.contains("error\""));
    let errors = errors.map(|data| serde_json::from_str::<Value>(data).unwrap().to_string());
    errors.chain(events(&answer.body)).collect()
}

/// A paused engine, whatever the mode, takes requests in and answers them when it goes on.
#[tokio::test]
async fn a_paused_engine_answers_after_it_goes_on_as_recorded() {
    let engine = server("8106").await;
    let post =
        |path: &str| format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    for mode in ["", "?mode=abort", "?mode=wait", "?mode=keep"] {
        for name in ["paused_chat", "paused_responses_stream"] {
            exchange(&engine, post(&format!("/pause{mode}")).as_bytes()).await;
            let recording = load(&folder().join(format!("{name}.http")));
            let mut tcp = TcpStream::connect(engine.addr()).await.unwrap();
            tcp.write_all(&recording.request).await.unwrap();
            // A stream of the Responses API begins at once.
            let mut text = String::new();
            while name == "paused_responses_stream" && text.matches("event: ").count() < 2 {
                let mut raw = vec![0; 4096];
                let length = tcp.read(&mut raw).await.unwrap();
                assert!(length > 0, "{mode}: {text}");
                text += &String::from_utf8_lossy(&raw[..length]);
            }
            while !metrics(&engine).await.contains("vllm:num_requests_waiting{engine=\"0\",model_name=\"tiny\"} 1.0") {
                tokio::task::yield_now().await;
            }
            assert!(!text.contains("output_item"), "{mode}: {text}");
            exchange(&engine, post("/resume").as_bytes()).await;
            tcp.read_to_string(&mut text).await.unwrap();
            let answer = parse(&text);
            let bare = differences(&recording, &answer);
            assert!(bare.is_empty(), "{mode} {bare}");
        }
    }
}

#[tokio::test]
async fn a_full_queue_answers_as_recorded() {
    let flags = ["tiny", "--port", "0", "--concurrency", "1", "--max-num-queued-reqs", "2", "--ttft", "60s"];
    let engine = start(Args::parse(flags).unwrap()).await.unwrap();
    let request =
        b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\
        connection: close\r\n\r\n{\"prompt\":\"x\"}";
    let mut waiting = Vec::new();
    for number in 1..=2 {
        let mut tcp = TcpStream::connect(engine.addr()).await.unwrap();
        tcp.write_all(request).await.unwrap();
        waiting.push(tcp);
        let gauges = [("running", 1), ("waiting", number - 1)];
        for line in gauges
            .map(|(name, count)| format!("vllm:num_requests_{name}{{engine=\"0\",model_name=\"tiny\"}} {count}.0"))
        {
            while !metrics(&engine).await.lines().any(|have| have == line) {
                tokio::task::yield_now().await;
            }
        }
    }
    let refused = exchange(&engine, request).await;
    let recorded = std::fs::read_to_string(folder().join("err_queue_full.txt")).unwrap();
    assert_eq!(refused.status.to_string(), recorded.lines().next().unwrap());
    assert_eq!(refused.body, recorded.lines().last().unwrap());
    let metrics = metrics(&engine).await;
    for line in [
        r#"vllm:num_requests_running{engine="0",model_name="tiny"} 1.0"#,
        r#"vllm:num_requests_waiting{engine="0",model_name="tiny"} 1.0"#,
        r#"vllm:admission_rejections_total{model_name="tiny",reason="max_num_queued_reqs"} 1.0"#,
    ] {
        assert!(metrics.lines().any(|have| have == line), "{line} is missing from\n{metrics}");
    }
}

/// Metrics of a Python process and of features a simulation has no use for.
const NOT_SIMULATED: &[&str] = &[
    "http_request_duration_highr_seconds",
    "http_response_size_bytes",
    "process_max_fds",
    "python_gc_collections_total",
    "python_gc_objects_collected_total",
    "python_gc_objects_uncollectable_total",
    "vllm:lora_requests_info",
    "vllm:tool_call_parser_invocations_total",
];

#[tokio::test]
async fn metrics_have_vllms_names_types_and_labels() {
    let engine = server("8101").await;
    exchange(&engine, &load(&folder().join("chat_stream_usage.http")).request).await;
    let page = exchange(&engine, b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.body;
    let recorded = std::fs::read_to_string(folder().join("metrics-names.txt")).unwrap();
    let mut seen = 0;
    for line in recorded.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let (name, kind, labels) = (columns[0], columns[1], columns[2]);
        if NOT_SIMULATED.contains(&name) {
            continue;
        }
        seen += 1;
        assert!(page.lines().any(|have| have == format!("# TYPE {name} {kind}")), "{name} {kind} is missing");
        if kind == "summary" || name == "vllm:cache_config_info" {
            continue;
        }
        let sample = if kind == "histogram" { format!("{name}_bucket{{") } else { name.to_owned() };
        let line = page.lines().find(|have| have.starts_with(&sample)).unwrap();
        let have = line.split_once('{').map_or(String::new(), |(_, rest)| {
            let mut names: Vec<&str> =
                rest.split('}').next().unwrap().split(',').map(|pair| pair.split('=').next().unwrap()).collect();
            names.sort_unstable();
            names.join(",")
        });
        assert_eq!(have, labels, "{name}");
    }
    assert_eq!(seen, 48);
    let prompt = page.lines().find(|line| line.starts_with("vllm:generation_tokens_total{")).unwrap();
    assert!(prompt.ends_with(" 12.0"), "{prompt}");
}

//! Traces of requests, as a collector gets them from the real program, over HTTP and gRPC.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::collector::{Collector, Seen};
use crate::support::{BINARY, Gateway, Sim, chat, eventually, http};

/// A span of a caller, which is kept.
const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A gateway with a configuration and variables of OpenTelemetry.
struct Traced {
    gateway: Gateway,
    _folder: TempDir,
}

fn command(folder: &TempDir, yaml: &str, variables: &[(&str, &str)]) -> Command {
    let file = folder.path().join("gateway.yaml");
    let yaml = format!("listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\n{yaml}");
    std::fs::write(&file, yaml).expect("configuration written");
    let mut command = Command::new(BINARY);
    command.arg("serve").arg(file).arg("--state-dir").arg(folder.path().join("state")).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs(variables.iter().copied());
    command
}

impl Traced {
    async fn start(yaml: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let gateway = Gateway::of(command(&folder, yaml, variables));
        gateway.wait_ready().await;
        Self { gateway, _folder: folder }
    }

    /// Sends a request with this id, and reads its whole answer.
    async fn ask(&self, body: &Value, id: &str, headers: &[(&str, &str)]) {
        let mut request = http().post(self.gateway.url("/v1/chat/completions")).header("x-request-id", id);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let reply = request.json(body).send().await.expect("answered");
        assert_eq!(reply.status(), 200);
        reply.bytes().await.expect("whole");
    }
}

fn stream(model: &str) -> Value {
    let mut body = chat(model);
    body["stream"] = json!(true);
    body
}

/// A header of the last request that an engine got.
async fn got(sim: &Sim, name: &str) -> Option<String> {
    let seen = sim.last_request().await;
    let mut headers = seen["headers"].as_array().expect("a list").iter();
    headers.find(|pair| pair[0] == name).map(|pair| pair[1].as_str().expect("text").to_owned())
}

/// The span of a stream for the alias `sure`, which the model `good` answered.
fn has_attributes(request: &Seen, good: &Sim) {
    for (name, value) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("vllm")),
        ("gen_ai.request.model", json!("sure")),
        ("gen_ai.response.model", json!("good")),
        ("gen_ai.request.stream", json!(true)),
        ("gen_ai.usage.output_tokens", json!(4)),
        ("http.request.method", json!("POST")),
        ("http.response.status_code", json!(200)),
        ("enginehouse.alias", json!("sure")),
        ("enginehouse.engine", json!(format!("good/{}", good.address))),
        ("enginehouse.retries", json!(1)),
        ("error.type", Value::Null),
    ] {
        assert_eq!(request.attribute(name), value, "{name}");
    }
    assert!(request.attribute("gen_ai.response.time_to_first_chunk").as_f64().is_some_and(|time| time > 0.0));
}

/// Operators see the trace of the request `r-1`.
async fn is_found_by_operators(gateway: &Gateway, trace: &str) {
    let url = format!("http://{}/api/v1/requests/r-1", gateway.admin);
    let told = eventually("the request's record", async || {
        let told: Value = http().get(&url).send().await.expect("answered").json().await.expect("JSON");
        (told["id"] == "r-1").then_some(told)
    })
    .await;
    assert_eq!(told["trace_id"], trace);
    eventually("the line of the request", async || {
        gateway.access_log().contains(&format!("trace={trace} id=r-1")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_span_below_its_callers_with_a_child_for_each_attempt_that_the_engine_knows() {
    let (broken, good) = (Sim::start(&[]), Sim::start(&["--tokens", "4"]));
    let collector = Collector::http().await;
    let yaml = format!(
        "models:\n  broken: {{ urls: [\"{}\"] }}\n  good: {{ urls: [\"{}\"] }}\n\
         aliases: {{ sure: {{ model: broken, fallback: [good] }} }}\n",
        broken.url(),
        good.url()
    );
    let endpoint = format!("http://{}/", collector.address);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20k-otel"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let traced = Traced::start(&yaml, &variables).await;
    let order = json!({ "kind": "status:503" });
    assert_eq!(http().post(broken.url() + "/sim/fault").json(&order).send().await.expect("planned").status(), 200);
    traced.ask(&stream("sure"), "r-1", &[("traceparent", CALLER), ("tracestate", "vendor=1")]).await;

    let spans = collector.of_request("r-1").await;
    let [request, first, second] = &spans[..] else { panic!("{spans:?}") };
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    assert_eq!((request.ids().0.as_str(), request.parent().as_str()), (trace, "00f067aa0ba902b7"));
    // SPAN_KIND_SERVER, and the parent is another process's (0x300), sampled (0x1).
    assert_eq!((request.0.name.as_str(), request.0.kind, request.0.flags), ("chat sure", 2, 0x301));
    assert_eq!(request.0.trace_state, "vendor=1");
    has_attributes(request, &good);
    let outcome = |span: &Seen| span.attribute("enginehouse.attempt.outcome");
    assert_eq!((outcome(first), outcome(second)), (json!("busy"), json!("answered")));
    assert_eq!(first.attribute("error.type"), json!("busy"));
    for attempt in [first, second] {
        assert_eq!((&attempt.ids().0, attempt.parent()), (&request.ids().0, request.ids().1));
        let ((began, ended), (from, to)) = (attempt.times(), request.times());
        assert!(from <= began && began <= ended && ended <= to, "{spans:?}");
        assert_eq!((attempt.0.name.as_str(), attempt.0.kind), ("attempt", 3));
    }
    assert_eq!((first.events(), second.events()), (vec!["response_head"], vec!["response_head", "first_token"]));
    // Each engine was told the attempt that it got, and what came with the request.
    for (sim, attempt) in [(&broken, first), (&good, second)] {
        let parent = format!("00-{trace}-{}-01", attempt.ids().1);
        assert_eq!(got(sim, "traceparent").await, Some(parent));
        assert_eq!(got(sim, "tracestate").await.as_deref(), Some("vendor=1"));
    }
    assert_eq!(collector.headers()["authorization"], "Bearer k-otel");
    assert_eq!(collector.resource("service.name"), json!("enginehouse"));
    assert_eq!(collector.resource("deployment.environment.name"), json!("test"));
    is_found_by_operators(&traced.gateway, trace).await;
    assert_eq!(traced.gateway.metric("enginehouse_spans_exported_total").await, 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_go_over_grpc_and_those_that_wait_are_sent_when_the_gateway_ends() {
    let (sim, collector) = (Sim::start(&[]), Collector::grpc().await);
    let endpoint = format!("http://{}", collector.address);
    let variables = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a"),
        ("OTEL_SERVICE_NAME", "edge"),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ];
    let yaml = format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}\n", sim.url());
    let mut traced = Traced::start(&yaml, &variables).await;
    // What says nothing that can be relied upon begins no trace, and goes no further.
    traced.ask(&chat("tiny"), "r-2", &[("traceparent", "00-zz"), ("tracestate", "vendor=1")]).await;
    assert_eq!(got(&sim, "tracestate").await, None);
    let parent = got(&sim, "traceparent").await.expect("told");
    assert!(collector.spans().is_empty());
    traced.gateway.stop().await;
    let spans = collector.of_request("r-2").await;
    let [request, attempt] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((request.parent().as_str(), attempt.parent()), ("", request.ids().1));
    // A random id (0x2).
    assert_eq!(parent, format!("00-{}-{}-03", attempt.ids().0, attempt.ids().1));
    assert_eq!(
        (collector.resource("service.name"), collector.headers()["x-tenant"].as_bytes()),
        (json!("edge"), &b"a"[..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_name_a_trace_for_each_bucket_to_those_who_ask_for_openmetrics() {
    let (sim, collector) = (Sim::start(&["--tokens", "2"]), Collector::http().await);
    let endpoint = format!("http://{}", collector.address);
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let traced = Traced::start(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}\n", sim.url()), &variables).await;
    traced.ask(&stream("tiny"), "r-3", &[("traceparent", CALLER)]).await;
    collector.of_request("r-3").await;
    let url = format!("http://{}/metrics", traced.gateway.admin);
    let asked = http().get(&url).header("accept", "application/openmetrics-text; version=1.0.0");
    let reply = asked.send().await.expect("answered");
    assert_eq!(reply.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = reply.text().await.expect("text");
    assert!(text.ends_with("# EOF\n"));
    for family in ["enginehouse_request_duration_seconds_bucket{", "enginehouse_time_to_first_token_seconds_bucket{"] {
        let named: Vec<&str> = text.lines().filter(|line| line.starts_with(family) && line.contains(" # {")).collect();
        let [line] = &named[..] else { panic!("{family}: {named:?}") };
        assert!(
            line.contains("model=\"tiny\"") && line.contains(&format!("trace_id=\"{}\"", &CALLER[3..35])),
            "{line}"
        );
    }
    let plain = http().get(&url).send().await.expect("answered");
    assert_eq!(plain.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let plain = plain.text().await.expect("text");
    assert!(!plain.contains("trace_id") && !plain.contains("# EOF"));
    // Both have the same series.
    let series = |text: &str| {
        let names = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next());
        names.map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(series(&plain), series(&text));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_keep_no_spans_are_followed_and_a_wait_is_a_span() {
    let (sim, collector) = (Sim::start(&[]), Collector::http().await);
    let nobody = tokio::net::TcpSocket::new_v4().expect("socket");
    nobody.bind("127.0.0.1:0".parse().expect("address")).expect("bound");
    let gone = nobody.local_addr().expect("address");
    let endpoint = format!("http://{}", collector.address);
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let yaml = format!(
        "models:\n  tiny: {{ urls: [\"{}\"] }}\n  gone: {{ urls: [\"http://{gone}\"], health: off, served_name: tiny }}\n\
         aliases:\n  gym: {{ model: tiny, gym: {{}} }}\n  patient: {{ model: gone, gym: {{ retry_for: 700ms }} }}\n",
        sim.url(),
    );
    let traced = Traced::start(&yaml, &variables).await;
    let unkept = CALLER.replace("-01", "-00");
    traced.ask(&chat("tiny"), "unkept", &[("traceparent", &unkept)]).await;
    let parent = got(&sim, "traceparent").await.expect("told");
    assert!(parent.starts_with(&unkept[..36]) && parent.ends_with("-00") && parent != unkept, "{parent}");
    // A call of the gateway's own names its attempt, too.
    traced.ask(&chat("gym"), "gym", &[("traceparent", CALLER)]).await;
    let spans = collector.of_request("gym").await;
    let [_, attempt] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(got(&sim, "traceparent").await, Some(format!("{}{}-01", &CALLER[..36], attempt.ids().1)));

    let request = http().post(traced.gateway.url("/v1/chat/completions")).header("x-request-id", "patient");
    let reply = request.json(&json!({ "model": "patient", "messages": [{ "role": "user", "content": "hi" }] }));
    assert_eq!(reply.send().await.expect("answered").status(), 502);
    let spans = collector.of_request("patient").await;
    let (request, children) = spans.split_first().expect("spans");
    assert_eq!(request.0.status.as_ref().map(|status| status.code), Some(2), "an error: {request:?}");
    let queue = children.iter().find(|span| span.0.name == "queue").unwrap_or_else(|| panic!("{spans:?}"));
    assert_eq!(queue.parent(), request.ids().1);
    assert!(queue.times().1 - queue.times().0 > 100_000_000, "{queue:?}");
    assert!(children.iter().filter(|span| span.0.name == "attempt").count() > 1, "{spans:?}");
    let ids: Vec<Value> = collector.spans().iter().map(|span| span.attribute("enginehouse.request.id")).collect();
    assert!(!ids.contains(&json!("unkept")), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_costs_no_request_and_is_told_of_once() {
    let sim = Sim::start(&[]);
    let nobody = tokio::net::TcpSocket::new_v4().expect("socket");
    nobody.bind("127.0.0.1:0".parse().expect("address")).expect("bound");
    let endpoint = format!("http://{}", nobody.local_addr().expect("address"));
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "200"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1"),
    ];
    let mut traced = Traced::start(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}\n", sim.url()), &variables).await;
    let lost = async |reason: &str| {
        traced.gateway.metric(&format!("enginehouse_spans_dropped_total{{reason=\"{reason}\"}}")).await
    };
    eventually("spans to be lost in both ways", async || {
        traced.ask(&chat("tiny"), "lost", &[]).await;
        (lost("queue_full").await > 0.0 && lost("export_failed").await > 3.0).then_some(())
    })
    .await;
    let log = traced.gateway.log();
    assert_eq!(log.matches("traces cannot be sent").count(), 1, "{log}");
    assert!(traced.gateway.stop().await < Duration::from_secs(4));
}

#[test]
fn a_variable_with_a_wrong_value_is_named_before_anything_is_started() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")];
    let output =
        command(&folder, "models: { m: { urls: [\"http://127.0.0.1:1\"] } }\n", &variables).output().expect("ran");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("OTEL_EXPORTER_OTLP_PROTOCOL is `http/json`") && said.contains("http/protobuf, grpc"),
        "{said}"
    );
}

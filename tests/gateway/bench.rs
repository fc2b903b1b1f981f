//! `enginehouse bench` against a gateway over simulated engines, whose times are known.

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::support::{BINARY, Gateway, Sim};

/// Runs the command; a gateway in this runtime's children goes on meanwhile.
async fn bench(args: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command
        .arg("bench")
        .args(args)
        .env_remove("ENGINEHOUSE_URL")
        .env_remove("ENGINEHOUSE_API_KEY")
        .env_remove("ENGINEHOUSE_ADMIN")
        .env("LC_ALL", "C");
    let ran = tokio::task::spawn_blocking(move || command.output());
    tokio::time::timeout(Duration::from_secs(120), ran).await.expect("in time").expect("joined").expect("ran")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

async fn over(sim: &Sim) -> Gateway {
    Gateway::ready(&format!(
        "models: {{ tiny: {{ urls: [\"{}\"] }} }}\naliases: {{ small: {{ model: tiny }} }}\nretry: {{ attempts: 1 }}",
        sim.url()
    ))
    .await
}

/// A figure.
fn at(figures: &Value, pointer: &str) -> f64 {
    figures.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {pointer} in {figures}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_load_measures_what_the_engine_was_told_to_take() {
    let sim = Sim::start(&["--ttft", "60ms", "--gap", "10ms"]);
    let gateway = over(&sim).await;
    // Found by its operators' API.
    let (admin, folder) = (gateway.admin.to_string(), tempfile::tempdir().expect("folder"));
    let saved = folder.path().join("run.json");
    let saved = saved.to_str().expect("UTF-8");
    let load = ["small", "--admin", &admin, "--requests", "12", "--concurrency", "4", "--max-tokens", "20"];
    let output = bench(&[&load[..], &["--json", "--save", saved]].concat()).await;
    assert_eq!(code(&output), Some(0), "{output:?}");
    let figures = json(&output);
    assert_eq!(figures["requests"]["succeeded"], 12, "{figures}");
    assert_eq!(figures["tokens"]["output"], 240, "{figures}");
    assert_eq!(figures["tokens"]["counted_by"], "usage");
    assert_eq!(figures["url"], gateway.url(""));
    assert_eq!(figures["gateway_version"], env!("CARGO_PKG_VERSION"));
    assert!(figures["tokens"]["input"].as_u64().is_some_and(|tokens| tokens > 12 * 100), "{figures}");
    // The engine's times, and no more than a busy machine adds.
    for (pointer, least, most) in [
        ("/ttft_ms/p50", 60.0, 200.0),
        ("/itl_ms/p50", 8.0, 40.0),
        ("/tpot_ms/p50", 8.0, 40.0),
        ("/e2e_ms/p50", 250.0, 1000.0),
        ("/e2e_ms/min", 250.0, 1000.0),
    ] {
        let found = at(&figures, pointer);
        assert!((least..most).contains(&found), "{pointer}: {found} in {figures}");
    }
    assert_eq!(at(&figures, "/itl_ms/count"), 12.0 * 19.0, "{figures}");
    let seconds = at(&figures, "/duration_seconds");
    assert!((at(&figures, "/throughput/output_tokens_per_second") - 240.0 / seconds).abs() < 0.01, "{figures}");
    // The warm-up reached the engine, and counts for nothing.
    assert_eq!(sim.stat("started").await, 13);

    let shown = bench(&["--show", saved, "--compare", saved]).await;
    let report = text(&shown.stdout);
    assert_eq!(code(&shown), Some(0), "{shown:?}");
    assert!(report.contains("TTFT (time to first token)") && report.contains("Output tokens/s, at most"), "{report}");
    assert!(report.contains("0 better, 0 worse") && report.is_ascii(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_counts_where_requests_are_sent_at_a_rate() {
    // One request at a time, 100 ms each, and 40 a second: each one waits longer than the one before.
    let sim = Sim::start(&["--ttft", "100ms", "--gap", "0ms", "--concurrency", "1"]);
    let gateway = over(&sim).await;
    let url = gateway.url("");
    let load = ["small", "--url", &url, "--rate", "40", "--requests", "20", "--max-tokens", "2", "--json"];
    let output = bench(&load).await;
    assert_eq!(code(&output), Some(0), "{output:?}");
    let figures = json(&output);
    assert_eq!(figures["parameters"]["load"], "rate");
    // Request number 20 is due after 475 ms, and answered after 2 s.
    assert!(at(&figures, "/ttft_ms/max") > 1300.0, "{figures}");
    assert!(at(&figures, "/ttft_ms/min") < 500.0, "{figures}");

    // The same with one connection: the generator waits instead of the engine, and the figures say the same.
    let output = bench(&[&load[..], &["--concurrency", "1"]].concat()).await;
    let figures = json(&output);
    assert!(at(&figures, "/ttft_ms/max") > 1300.0, "{figures}");
    assert!(at(&figures, "/lateness_ms/max") > 1000.0, "the generator tells its own part: {figures}");
}

#[tokio::test(flavor = "multi_thread")]
async fn random_distances_last_as_long_as_they_should() {
    let sim = Sim::start(&["--ttft", "1ms", "--gap", "0ms"]);
    let gateway = over(&sim).await;
    let url = gateway.url("");
    let load = ["tiny", "--url", &url, "--rate", "100", "--poisson", "--duration", "1s", "--seed", "3"];
    let output = bench(&[&load[..], &["--max-tokens", "2", "--json", "--api", "completions"]].concat()).await;
    assert_eq!(code(&output), Some(0), "{output:?}");
    let figures = json(&output);
    let sent = at(&figures, "/requests/sent");
    assert!((60.0..140.0).contains(&sent), "{figures}");
    assert_eq!(
        (&figures["requests"]["succeeded"], &figures["requests"]["sent"]),
        (&sent_of(&figures), &sent_of(&figures))
    );
    assert_eq!(figures["parameters"]["api"], "completions");
}

fn sent_of(figures: &Value) -> Value {
    figures["requests"]["sent"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_and_sheds_are_told_apart() {
    let sim = Sim::start(&["--ttft", "1ms", "--gap", "0ms"]);
    let gateway = over(&sim).await;
    let url = gateway.url("");
    let load = ["small", "--url", &url, "--requests", "4", "--warmup", "0", "--json", "--concurrency", "1"];
    let fault = async |kind: &str| {
        let body = serde_json::json!({ "kind": kind, "times": 1 });
        let sent = crate::support::http().post(sim.url() + "/sim/fault").json(&body).send().await.expect("engine");
        assert!(sent.status().is_success());
    };
    fault("status:429").await;
    let output = bench(&load).await;
    let figures = json(&output);
    assert_eq!((code(&output), &figures["requests"]["shed"]), (Some(0), &1.into()), "{output:?}");
    assert_eq!(figures["errors"][0]["shed"], true, "{figures}");

    fault("status:400").await;
    let output = bench(&load).await;
    let figures = json(&output);
    assert_eq!((code(&output), &figures["requests"]["failed"]), (Some(1), &1.into()), "{output:?}");
    assert!(figures["errors"][0]["kind"].as_str().is_some_and(|kind| kind.starts_with("400")), "{figures}");
    assert!(text(&output.stderr).contains("one request failed"), "{output:?}");

    fault("die-after:3").await;
    let output = bench(&[&load[..], &["--allow-failures"]].concat()).await;
    let figures = json(&output);
    assert_eq!((code(&output), &figures["requests"]["failed"]), (Some(0), &1.into()), "{output:?}");
    let errors = figures["errors"].as_array().expect("errors");
    let failures: Vec<_> = errors.iter().filter(|error| error["shed"] == false).map(|error| &error["kind"]).collect();
    assert_eq!(failures, ["error in the stream: engine_died"], "{figures}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_one_piece_and_prompts_of_a_file_are_measured() {
    let sim = Sim::start(&["--ttft", "30ms", "--gap", "1ms"]);
    let gateway = over(&sim).await;
    let (url, folder) = (gateway.url(""), tempfile::tempdir().expect("folder"));
    let file = folder.path().join("prompts.jsonl");
    std::fs::write(&file, "How are you?\n{\"prompt\": \"Well?\", \"max_tokens\": 3}\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let load = ["small", "--url", &url, "--requests", "2", "--no-stream", "--prompts", file, "--concurrency", "1"];
    let output = bench(&[&load[..], &["--max-tokens", "5", "--set", "seed=7", "--json"]].concat()).await;
    let figures = json(&output);
    assert_eq!(code(&output), Some(0), "{output:?}");
    assert_eq!((&figures["ttft_ms"], &figures["tokens"]["output"]), (&Value::Null, &8.into()), "{figures}");
    assert!(at(&figures, "/e2e_ms/min") >= 30.0, "{figures}");
    let last = sim.last_request().await;
    let last: Value = serde_json::from_str(last["body"].as_str().expect("text")).expect("JSON");
    assert_eq!((&last["seed"], &last["messages"][0]["content"]), (&7.into(), &"Well?".into()), "{last}");

    std::fs::write(file, "{").expect("written");
    let output = bench(&load).await;
    assert!(code(&output) == Some(1) && text(&output.stderr).contains("line 1: no JSON"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_measured_has_its_exit_code() {
    let sim = Sim::start(&[]);
    let gateway = over(&sim).await;
    let url = gateway.url("");
    for more in [["--warmup", "1"], ["--warmup", "0"]] {
        let output = bench(&[&["smal", "--url", &url][..], &more].concat()).await;
        assert_eq!(code(&output), Some(4), "{output:?}");
        assert!(text(&output.stderr).contains("Did you mean `small`?"), "{output:?}");
    }
    // A port that was just free.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let output = bench(&["small", "--url", &free.to_string()]).await;
    assert_eq!(code(&output), Some(3), "{output:?}");
    assert!(text(&output.stderr).contains("no gateway answers at http://127.0.0.1:"), "{output:?}");
    for wrong in [&["small", "--url", "https://127.0.0.1"][..], &["small", "--poisson"], &["small", "--rate", "0"], &[]]
    {
        assert_eq!(code(&bench(wrong).await), Some(2), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_run_with_its_report() {
    let sim = Sim::start(&["--ttft", "5ms", "--gap", "1ms"]);
    let gateway = over(&sim).await;
    let mut command = Command::new(BINARY);
    command.args(["bench", "small", "--url", &gateway.url(""), "--duration", "10m", "--max-tokens", "3", "--json"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let child = command.spawn().expect("started");
    let pid = child.id();
    crate::support::eventually("some requests", async || (sim.stat("started").await > 20).then_some(())).await;
    crate::support::processes::signal(pid, rustix::process::Signal::INT);
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.expect("joined").expect("ended");
    let figures = json(&output);
    assert_eq!((code(&output), &figures["ended_early"]), (Some(0), &true.into()), "{output:?}");
    assert!(figures["requests"]["succeeded"].as_u64().is_some_and(|count| count > 10), "{figures}");
}

//! What Prometheus is served: where it finds engines, their own metrics, and all of it within bounds.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::machine::{DRIVER, Machine, card};
use crate::support::{Gateway, Sim, chat, eventually, http};

/// `GET path` of the operators' API: status, content type and text.
async fn get(gateway: &Gateway, path: &str) -> (u16, String, String) {
    let request = http().get(format!("http://{}{path}", gateway.admin));
    let reply = request.header("x-prometheus-scrape-timeout-seconds", "0.3").send().await.expect("answered");
    let kind = reply.headers()["content-type"].to_str().expect("text").to_owned();
    (reply.status().as_u16(), kind, reply.text().await.expect("text"))
}

async fn targets(gateway: &Gateway) -> Vec<Value> {
    let (status, kind, text) = get(gateway, "/api/v1/sd").await;
    assert_eq!((status, &*kind), (200, "application/json"), "{text}");
    serde_json::from_str(&text).expect("a list")
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_are_found_and_what_they_measure_is_passed_on() {
    let mut sim = Sim::start(&[]);
    let gateway = Gateway::start(&format!(
        "models:\n  org/tiny: {{ urls: [\"{}\"], served_name: tiny }}\n  own: {{ source: own, command: [enginehouse, sim] }}",
        sim.url()
    ));
    gateway.all_ready().await;
    let remote = format!("org/tiny/{}", sim.address);
    let found = targets(&gateway).await;
    let wanted = |id: &str, model: &str| {
        let path = format!("/api/v1/engines/{id}/metrics");
        json!({
            "targets": [gateway.admin.to_string()],
            "labels": { "__metrics_path__": path, "engine": id, "model": model },
        })
    };
    assert_eq!(found, [wanted(&remote, "org/tiny"), wanted("own/0", "own")]);
    for target in &found {
        let path = target["labels"]["__metrics_path__"].as_str().expect("a path");
        for path in [path.to_owned(), path.replace("org/tiny/", "org%2Ftiny%2F")] {
            let (status, kind, text) = get(&gateway, &path).await;
            assert_eq!((status, &*kind), (200, "text/plain; version=0.0.4; charset=utf-8"), "{path}: {text}");
            assert!(text.contains("vllm:num_requests_running{"), "{path}: {text}");
        }
    }
    // The address is the one by which the client reached us.
    let url = format!("http://localhost:{}/api/v1/sd", gateway.admin.port());
    let named: Value = http().get(url).send().await.expect("answered").json().await.expect("JSON");
    assert_eq!(named[0]["targets"][0], format!("localhost:{}", gateway.admin.port()));

    let of = |id: &str| format!("/api/v1/engines/{id}/metrics");
    assert_eq!(get(&gateway, &of("own/7")).await.0, 404);
    let stop = format!("http://{}/api/v1/engines/own/0/stop", gateway.admin);
    assert_eq!(http().post(stop).send().await.expect("answered").status(), 200);
    assert_eq!(targets(&gateway).await, [wanted(&remote, "org/tiny")], "one that was stopped is not looked for");
    let (status, _, text) = get(&gateway, &of("own/0")).await;
    assert!(status == 409 && text.contains("it is stopped"), "{status}: {text}");
    sim.signal(Signal::STOP);
    let (status, _, text) = get(&gateway, &of(&remote)).await;
    assert!(status == 502 && text.contains("no answer"), "{status}: {text}");
    sim.kill();
    let (status, _, text) = get(&gateway, &of(&remote)).await;
    assert!(status == 502 && text.contains(&remote), "{status}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_can_be_turned_off_and_on_again() {
    let sim = Sim::start(&[]);
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("gateway.yaml");
    let write = |metrics: bool| {
        let yaml = format!(
            "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0, metrics: {metrics} }}\nmodels: {{ tiny: {{ urls: [\"{}\"] }} }}\n",
            sim.url()
        );
        std::fs::write(&file, yaml).expect("written");
    };
    write(false);
    let gateway = Gateway::serve(&file, tempfile::tempdir().expect("folder"));
    gateway.wait_ready().await;
    let paths =
        ["/metrics".to_owned(), "/api/v1/sd".to_owned(), format!("/api/v1/engines/tiny/{}/metrics", sim.address)];
    for is_on in [false, true, false] {
        write(is_on);
        let reload = format!("http://{}/api/v1/reload", gateway.admin);
        assert_eq!(http().post(reload).send().await.expect("answered").status(), 200);
        for path in &paths {
            let (status, _, text) = get(&gateway, path).await;
            assert_eq!(status, if is_on { 200 } else { 404 }, "{path}: {text}");
            assert_eq!(text.contains("`admin.metrics`"), !is_on, "{path}: {text}");
        }
    }
    assert_eq!(get(&gateway, "/api/v1/engines").await.0, 200, "everything else is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_many_engines_aliases_and_gpus_are_small_and_quick() {
    const MODELS: usize = 64;
    const ALIASES: usize = 500;
    let sim = Sim::start(&["--ttft", "0", "--gap", "0"]);
    let machine = Machine::new(&(0..8).fold(DRIVER.to_owned(), |all, index| all + &card(index)));
    let mut yaml = "models:\n".to_owned();
    for number in 0..MODELS {
        let _ = writeln!(yaml, "  model-{number}: {{ urls: [\"{}\"], served_name: tiny }}", sim.url());
    }
    yaml += "aliases:\n";
    for number in 0..ALIASES {
        let _ = writeln!(yaml, "  alias-{number}: {{ model: model-{} }}", number % MODELS);
    }
    let gateway = Gateway::start_on(&machine, &yaml);
    gateway.wait_ready().await;
    let client = http();
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..ALIASES {
        let mut body = chat(&format!("alias-{number}"));
        body["stream"] = json!(number % 2 == 0);
        let request = client.post(gateway.url("/v1/chat/completions")).json(&body);
        asked.spawn(async move {
            let reply = request.send().await.expect("answered");
            assert_eq!(reply.status(), 200);
            reply.bytes().await.expect("whole");
        });
        if asked.len() >= 16 {
            asked.join_next().await.expect("one").expect("done");
        }
    }
    asked.join_all().await;
    let complete = |text: &str| {
        let lines = |beginning: &str| text.lines().filter(|line| line.starts_with(beginning)).count();
        lines("enginehouse_engine_kv_cache_usage_ratio{") == MODELS
            && lines("enginehouse_requests_in_flight{") > ALIASES
            && lines("enginehouse_gpu_power_watts{") == 8
    };
    eventually("metrics of everything", async || complete(&gateway.metrics().await).then_some(())).await;
    let url = format!("http://{}/metrics", gateway.admin);
    let (mut best, mut size) = (Duration::MAX, 0);
    for _ in 0..20 {
        let since = Instant::now();
        let text = client.get(&url).send().await.expect("answered").text().await.expect("text");
        best = best.min(since.elapsed());
        size = text.len();
    }
    println!("{size} bytes in {best:?}");
    assert!(size < 2_000_000, "{size} bytes");
    assert!(best < Duration::from_millis(20), "{best:?}");
}

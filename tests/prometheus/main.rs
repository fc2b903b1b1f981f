//! `conf/` for Prometheus and Grafana, against a gateway under load: a real Prometheus scrapes it, and every rule and every query
//! finds something.
//!
//! It runs where `ENGINEHOUSE_PROMETHEUS` names the program `prometheus` (Debian: `prometheus`); `.ci/run` sets it.

#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub, reason = "a test binary tells what it saw")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::machine::{DRIVER, GIB, Machine, card};
use crate::support::{Gateway, Sim, chat, eventually, http};

const CONFIGURATION: &str = "
callers: { bot: { keys: [k-bot] } }
anonymous: {}
models:
  m: { source: m, command: [enginehouse, sim], gpus: 1, gpu_memory: 0.5, stall_timeout: 2s, sleep_mode: true }
  other: { source: other, command: [enginehouse, sim], gpus: 1, gpu_memory: 0.5, stall_timeout: 2s }
  called: { source: called, command: [enginehouse, sim], gpus: 1, gpu_memory: 0.2, load: on_demand }
aliases: { quick: { model: m, defaults: { temperature: 0.5 } } }
";

fn conf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(name)
}

/// A Prometheus that scrapes one gateway five times a second; ends when dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    fn start(program: &Path, gateway: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
        // The one of conf/, but faster.
        let mut yaml = std::fs::read_to_string(conf("prometheus.yml")).expect("read");
        for (ours, here) in [
            ("127.0.0.1:8001", gateway.to_string()),
            ("scrape_interval: 15s", "scrape_interval: 200ms\n  evaluation_interval: 200ms".to_owned()),
            ("refresh_interval: 30s", "refresh_interval: 1s".to_owned()),
        ] {
            assert!(yaml.contains(ours), "{ours}");
            yaml = yaml.replace(ours, &here);
        }
        yaml += &format!("rule_files: [{:?}]\n", conf("alerts.yml"));
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, yaml).expect("written");
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus");
        Self { child, address, _folder: folder }
    }

    async fn get(&self, path: &str) -> Option<Value> {
        http().get(format!("http://{}/api/v1/{path}", self.address)).send().await.ok()?.json().await.ok()
    }

    /// The series that a query finds, or why it is none.
    async fn query(&self, query: &str) -> Result<usize, String> {
        let query = percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC);
        let answer = self.get(&format!("query?query={query}")).await.ok_or("no answer")?;
        match answer["data"]["result"].as_array() {
            Some(found) if answer["status"] == "success" => Ok(found.len()),
            _ => Err(answer.to_string()),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Requests of all kinds: answered well, by alias, as a stream, of a caller, at the second try, refused.
async fn load(gateway: &Gateway) {
    for (model, stream) in [
        ("m", false),
        ("m", true),
        ("quick", true),
        ("other", false),
        ("called", false),
        ("half", false),
        ("half", false),
        ("none", false),
    ] {
        let mut body = chat(model);
        body["stream"] = json!(stream);
        let request = http().post(gateway.url("/v1/chat/completions")).bearer_auth("k-bot").json(&body);
        request.send().await.expect("answered").bytes().await.expect("whole");
    }
}

/// The names of our metrics in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    expression.split(word).filter(|word| word.starts_with("enginehouse_")).map(str::to_owned).collect()
}

/// The titles of the dashboard's panels, with their queries.
fn queries() -> Vec<(String, String)> {
    let grafana: Value =
        serde_json::from_str(&std::fs::read_to_string(conf("grafana.json")).expect("read")).expect("JSON");
    let panels = grafana["panels"].as_array().expect("panels");
    let mut queries = Vec::new();
    for panel in panels {
        for target in panel["targets"].as_array().expect("targets") {
            let query =
                target["expr"].as_str().expect("a query").replace("$__rate_interval", "1m").replace("$model", ".*");
            queries.push((panel["title"].as_str().expect("a title").to_owned(), query));
        }
    }
    queries
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_and_every_panel_finds_something() {
    let Some(program) = std::env::var_os("ENGINEHOUSE_PROMETHEUS").map(PathBuf::from) else {
        println!("skipped: set ENGINEHOUSE_PROMETHEUS to the program prometheus to run it");
        return;
    };
    let machine = Machine::new(&format!("{DRIVER}{}{}", card(0), card(1)));
    let sim = Sim::start(&[]);
    // One of its engines is not there.
    let half = format!(
        "models:\n  half: {{ urls: [\"{}\", 'http://127.0.0.1:9'], health: off, served_name: tiny, balance: round_robin }}",
        sim.url()
    );
    let mut gateway = Gateway::start_on(&machine, &CONFIGURATION.replace("models:", &half));
    let pids = gateway.all_ready().await;
    let process = format!("process pid={} memory={}\n", pids[0], 2 * GIB);
    machine.becomes(&format!("{DRIVER}{}{process}{}", card(0), card(1)));
    for action in ["sleep", "wake"] {
        let url = format!("http://{}/api/v1/engines/m/0/{action}", gateway.admin);
        assert_eq!(http().post(url).send().await.expect("answered").status(), 200);
    }
    let prometheus = Prometheus::start(&program, gateway.admin);
    eventually("prometheus", async || prometheus.get("status/buildinfo").await.map(drop)).await;

    let queries = queries();
    assert!(queries.len() > 35, "{}", queries.len());
    // Until every query finds something: counters must move between two scrapes.
    let mut empty = Vec::new();
    for _ in 0..40 {
        load(&gateway).await;
        empty.clear();
        for (title, query) in &queries {
            match prometheus.query(query).await {
                Ok(0) => empty.push(format!("{title}: {query}")),
                Ok(_) => {}
                Err(why) => panic!("{title}: {query}: {why}"),
            }
        }
        if empty.is_empty() {
            break;
        }
    }
    assert!(empty.is_empty(), "panels that show nothing: {empty:#?}");

    let told = eventually("rules that were evaluated", async || {
        let told = prometheus.get("rules").await?;
        let rules = told["data"]["groups"][0]["rules"].as_array()?.clone();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    })
    .await;
    assert!(told.len() > 10, "{told:?}");
    for rule in &told {
        assert_eq!((&rule["health"], &rule["lastError"]), (&json!("ok"), &Value::Null), "{rule}");
        for name in names(rule["query"].as_str().expect("a query")) {
            assert!(prometheus.query(&name).await.expect("a query") > 0, "{}: there is no {name}", rule["name"]);
        }
        assert_ne!(rule["state"], "firing", "all is well: {rule}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_finds_engines_and_their_metrics_have_our_labels() {
    let Some(program) = std::env::var_os("ENGINEHOUSE_PROMETHEUS").map(PathBuf::from) else {
        println!("skipped: set ENGINEHOUSE_PROMETHEUS to the program prometheus to run it");
        return;
    };
    let machine = Machine::new(&format!("{DRIVER}{}", card(0)));
    let sim = Sim::start(&[]);
    let yaml = format!(
        "models:\n  org/m: {{ source: org/m, command: [enginehouse, sim], gpus: 1, gpu_memory: 0.5 }}\n  \
         \"odd name?\": {{ urls: [\"{}\"], served_name: tiny }}",
        sim.url()
    );
    let mut gateway = Gateway::start_on(&machine, &yaml);
    gateway.all_ready().await;
    let prometheus = Prometheus::start(&program, gateway.admin);
    let remote = format!("engine=\"odd name?/{}\",model=\"odd name?\",gpus=\"\"", sim.address);
    for labels in ["engine=\"org/m/0\",model=\"org/m\",gpus=~\".+\"", &remote] {
        // The engine's own label `engine`, the number of an engine core, makes room for ours.
        for (metric, more) in [("up", ""), ("vllm:num_requests_running", ",exported_engine=\"0\"")] {
            let is_up = if metric == "up" { " == 1" } else { "" };
            let query = format!("{metric}{{job=\"enginehouse-engines\",{labels}{more}}}{is_up}");
            eventually(&query, async || prometheus.query(&query).await.ok().filter(|found| *found == 1).map(drop))
                .await;
        }
    }
    let targets = eventually("every target to have been read", async || {
        let told = prometheus.get("targets").await?;
        let targets = told["data"]["activeTargets"].as_array()?.clone();
        targets.iter().all(|target| target["health"] != "unknown").then_some(targets)
    })
    .await;
    assert_eq!(targets.len(), 3, "{targets:?}");
    for target in &targets {
        assert_eq!((&target["health"], &target["lastError"]), (&json!("up"), &json!("")), "{target}");
    }
    gateway.stop().await;
}

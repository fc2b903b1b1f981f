//! Where the access log goes costs requests nothing.

use std::fs::File;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::{Gateway, Sim, chat, eventually, http};

/// Lines of the access log that were not written, as the metrics say.
const LOST: &str = "enginehouse_log_lines_lost_total{log=\"access\"}";

/// A gateway whose access log goes to `out`.
fn start(deployment: &Deployment, sim: &Sim, out: impl Into<Stdio>) -> Gateway {
    deployment.write(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}", sim.url()), None);
    let mut command = deployment.command();
    command.stdout(out);
    Gateway::of(command)
}

async fn answers(gateway: &Gateway) {
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&chat("tiny")).send().await.expect("answered");
    assert_eq!(reply.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_behind_the_access_log_costs_no_request_and_lost_lines_are_counted() {
    let (deployment, sim) = (Deployment::new(), Sim::start(&[]));
    let full = File::options().write(true).open("/dev/full").expect("a full disk");
    let mut gateway = start(&deployment, &sim, full);
    gateway.wait_ready().await;
    for _ in 0..3 {
        answers(&gateway).await;
    }
    eventually("lines to be counted", async || (gateway.metric(LOST).await >= 3.0).then_some(())).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_access_log_that_stands_still_costs_no_request_and_lost_lines_are_counted() {
    let (deployment, sim) = (Deployment::new(), Sim::start(&[]));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut gateway = start(&deployment, &sim, writer);
    gateway.wait_ready().await;
    // Each line has the path: soon there are more bytes than may wait.
    let (client, url) = (http(), gateway.url(&format!("/{}", "x".repeat(7000))));
    for _ in 0..1500 {
        assert_eq!(client.get(&url).send().await.expect("answered").status(), 404);
    }
    assert!(gateway.metric(LOST).await > 100.0, "lines that cannot wait are lost");
    answers(&gateway).await;
    drop(reader);
    gateway.stop().await;
}

/// A gateway of `yaml` that can be reloaded with another one.
struct Place {
    folder: tempfile::TempDir,
    gateway: Gateway,
}

impl Place {
    async fn new(yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, yaml).expect("written");
        let gateway = Gateway::serve(&file, tempfile::tempdir().expect("folder"));
        gateway.wait_ready().await;
        Self { folder, gateway }
    }

    async fn reload(&self, yaml: &str) {
        std::fs::write(self.folder.path().join("gateway.yaml"), yaml).expect("written");
        let url = format!("http://{}/api/v1/reload", self.gateway.admin);
        assert_eq!(http().post(url).send().await.expect("answered").status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_an_alias_can_be_left_out_of_the_access_log() {
    let sim = Sim::start(&[]);
    let yaml = |quiet: &str, access: bool| {
        format!(
            "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nmodels: {{ tiny: {{ urls: [\"{}\"] }} }}\naliases:\n  \
             quiet: {{ model: tiny{quiet} }}\n  as-quiet: {{ model: quiet }}\n  loud: {{ model: quiet, access_log: true }}\n\
             log: {{ access: {access} }}\n",
            sim.url()
        )
    };
    let place = Place::new(&yaml(", access_log: false", true)).await;
    let ask = async |round: &str| {
        for model in ["quiet", "as-quiet", "loud", "tiny"] {
            let request = http().post(place.gateway.url("/v1/chat/completions")).json(&chat(model));
            let reply = request.header("x-request-id", format!("{round}-{model}")).send().await.expect("answered");
            assert_eq!(reply.status(), 200);
        }
    };
    let has = |id: &str| place.gateway.access_log().contains(&format!("id={id}\n"));
    ask("first").await;
    // Lines are written in order.
    eventually("the last line", async || has("first-tiny").then_some(())).await;
    assert!(has("first-loud") && !has("first-quiet") && !has("first-as-quiet"), "{}", place.gateway.access_log());
    let counted =
        "enginehouse_requests_total{alias=\"quiet\",endpoint=\"/v1/chat/completions\",model=\"tiny\",status=\"200\"}";
    assert_eq!(place.gateway.metric(counted).await, 1.0, "it is counted all the same");
    place.reload(&yaml("", false)).await;
    ask("second").await;
    place.reload(&yaml("", true)).await;
    ask("third").await;
    eventually("the last line", async || has("third-tiny").then_some(())).await;
    assert!(has("third-quiet") && has("third-as-quiet"), "{}", place.gateway.access_log());
    assert!(!place.gateway.access_log().contains("id=second-"), "there was no log");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_level_changes_at_run_time_until_the_configuration_says_another_one() {
    let sim = Sim::start(&[]);
    let yaml = |log: &str| {
        let models = format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}", sim.url());
        format!("listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\n{models}\n{log}\n")
    };
    let place = Place::new(&yaml("")).await;
    let url = format!("http://{}/api/v1/log-level", place.gateway.admin);
    let get = async || {
        let said: Value = http().get(&url).send().await.expect("answered").json().await.expect("JSON");
        [&said["level"], &said["configured"]].map(|level| level.as_str().expect("text").to_owned())
    };
    let put = async |level: &str| {
        let reply = http().put(&url).json(&json!({ "level": level })).send().await.expect("answered");
        (reply.status().as_u16(), reply.text().await.expect("text"))
    };
    let lines = || place.gateway.log().matches("an operator changed the log level").count();
    assert_eq!(get().await, ["info", "info"]);
    let (status, text) = put("debgu").await;
    assert!(status == 400 && text.contains("`debug`"), "{status}: {text}");
    assert_eq!(http().put(&url).json(&json!({ "lvl": "debug" })).send().await.expect("answered").status(), 400);
    assert_eq!(http().post(&url).send().await.expect("answered").status(), 405);
    assert_eq!(put("error").await.0, 200);
    assert_eq!(get().await, ["error", "info"]);
    assert_eq!(put("off,enginehouse::admin=info").await.0, 200);
    eventually("the line of the second change", async || (lines() > 0).then_some(())).await;
    assert_eq!(lines(), 1, "the first one was not to be written");
    place.reload(&yaml("timeouts: { read: 5m }")).await;
    assert_eq!(
        get().await,
        ["off,enginehouse::admin=info", "info"],
        "a reload that says nothing of it changes nothing"
    );
    place.reload(&yaml("log: { level: warn }")).await;
    assert_eq!(get().await, ["warn", "warn"]);
}

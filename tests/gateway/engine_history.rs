//! What happens to engines is counted and measured, and stays so when a reload replaces them.

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Gateway, Sim, chat, eventually, http};

/// A gateway whose configuration changes.
struct Place {
    folder: TempDir,
    gateway: Gateway,
}

impl Place {
    fn new(yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, whole(yaml)).expect("written");
        let gateway = Gateway::serve(&file, tempfile::tempdir().expect("temporary folder"));
        Self { folder, gateway }
    }

    async fn reload(&self, yaml: &str) {
        std::fs::write(self.folder.path().join("gateway.yaml"), whole(yaml)).expect("written");
        self.post("reload").await;
    }

    async fn post(&self, path: &str) {
        let url = format!("http://{}/api/v1/{path}", self.gateway.admin);
        let reply = http().post(url).send().await.expect("answered");
        assert_eq!(reply.status(), 200, "{path}: {}", reply.text().await.expect("text"));
    }

    /// The value of a metric of the engine `m/0`.
    async fn metric(&self, name: &str, cause: Option<&str>) -> f64 {
        let cause = cause.map(|cause| format!("cause=\"{cause}\",")).unwrap_or_default();
        self.gateway.metric(&format!("enginehouse_engine_{name}{{{cause}engine=\"m/0\",model=\"m\"}}")).await
    }

    async fn restarts(&self) -> [f64; 2] {
        [self.metric("restarts_total", Some("exited")).await, self.metric("restarts_total", Some("ordered")).await]
    }
}

fn whole(yaml: &str) -> String {
    format!("listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\n{yaml}")
}

/// The model `m`, which runs here with `args`.
fn model(args: &str) -> String {
    format!(
        "m: {{ source: m, command: [enginehouse, sim], sleep_mode: true, restart: {{ initial_backoff: 10ms }}, \
         args: {{ {args} }} }}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_restarts_sleeps_and_wakes_are_counted_by_cause_and_outlive_a_reload() {
    let other = "other: { urls: ['http://127.0.0.1:9'], health: off }";
    let place = Place::new(&format!("models: {{ {}, {other} }}", model("ready-after: 400ms")));
    let gateway = &place.gateway;
    eventually("a phase of the start", async || {
        let text = gateway.metrics().await;
        let mut phases = text.lines().filter(|line| line.starts_with("enginehouse_engine_start_phase{engine=\"m/0\""));
        (phases.next()?.ends_with(" 1") && phases.next().is_none()).then_some(())
    })
    .await;
    let first = gateway.all_ready().await[0];
    assert!(!gateway.metrics().await.contains("start_phase{engine=\"m/0\""), "it does not start any more");
    assert!(place.metric("start_duration_seconds", None).await >= 0.4);
    assert_eq!(place.restarts().await, [0.0, 0.0]);
    assert!(gateway.metrics().await.contains("restarts_total{cause=\"unhealthy\",engine=\"m/0\",model=\"m\"} 0"));

    let pid = rustix::process::Pid::from_raw(i32::try_from(first).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    let second = gateway.ready_again("m/0", first).await;
    assert_eq!(place.restarts().await, [1.0, 0.0]);
    assert_eq!(place.metric("failures_total", Some("exited")).await, 1.0);
    place.post("engines/m/0/restart").await;
    gateway.ready_again("m/0", second).await;
    assert_eq!(place.restarts().await, [1.0, 1.0]);

    place.post("engines/m/0/sleep").await;
    place.post("engines/m/0/wake").await;
    for what in ["sleep", "wake"] {
        assert_eq!(place.metric(&format!("{what}s_total"), None).await, 1.0, "{what}");
        assert!(place.metric(&format!("{what}_duration_seconds"), None).await > 0.0, "{what}");
    }
    let engine = gateway.engine("m/0").await;
    assert_eq!(engine["restarts"], 2, "{engine}");
    assert_eq!(engine["history"]["restarts"], json!({ "exited": 1, "ordered": 1 }));
    assert_eq!(engine["history"]["failures"], json!({ "exited": 1 }));

    // Other flags: another process, and another engine of the same id.
    for (number, ready_after) in [("m/1", "0ms"), ("m/0", "1ms")] {
        place.reload(&format!("models: {{ {}, {other} }}", model(&format!("ready-after: {ready_after}")))).await;
        eventually(number, async || {
            let engines = gateway.engines().await;
            (engines[0]["engine"] == number && engines[0]["state"] == "ready" && engines.len() == 2).then_some(())
        })
        .await;
    }
    assert_eq!(place.restarts().await, [1.0, 2.0], "a reload is no new beginning");
    assert_eq!(place.metric("sleeps_total", None).await, 1.0);
    place.reload(&format!("models: {{ {other} }}")).await;
    eventually("no series of a model that is gone", async || {
        (!gateway.metrics().await.contains("model=\"m\"")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_fails_a_request_is_ejected_and_that_is_counted() {
    let mut sims = [Sim::start(&[]), Sim::start(&[])];
    let yaml = format!(
        "models: {{ tiny: {{ urls: [\"{}\", \"{}\"], health: off, served_name: tiny }} }}",
        sims[0].url(),
        sims[1].url()
    );
    let gateway = Gateway::ready(&yaml).await;
    sims[0].kill();
    let of =
        |name: &str, sim: &Sim| format!("enginehouse_engine_{name}{{engine=\"tiny/{}\",model=\"tiny\"}}", sim.address);
    eventually("a request that was tried on the engine that is gone", async || {
        let request = http().post(gateway.url("/v1/chat/completions")).json(&chat("tiny"));
        assert_eq!(request.send().await.expect("answered").status(), 200, "the other one takes it");
        (gateway.metric(&of("ejections_total", &sims[0])).await >= 1.0).then_some(())
    })
    .await;
    assert_eq!(gateway.metric(&of("ejections_total", &sims[1])).await, 0.0);
    let text = gateway.metrics().await;
    for name in ["ejected", "ejections_total"] {
        assert!(text.contains(&of(name, &sims[1])), "{name}: {text}");
    }
    assert!(!text.contains("enginehouse_engine_restarts_total{"), "others run them");
    assert!(gateway.metric("enginehouse_retries_total{model=\"tiny\",reason=\"unreachable\"}").await >= 1.0, "{text}");
}

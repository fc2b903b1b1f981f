//! Engines that fail while they load: callers hear why at once, others are not disturbed.

use std::time::{Duration, Instant};

use crate::support::deployment::{Deployment, model};
use crate::support::load::Load;
use crate::support::processes;
use crate::support::{Gateway, eventually};

/// How soon callers must hear of a failure.
const SOON: Duration = Duration::from_secs(1);

/// Asks until the answer says `word`; fails when anything but 503 is answered meanwhile.
async fn told(gateway: &Gateway, model: &str, word: &str) -> String {
    eventually("the reason to be told", async || {
        let (status, answer) = gateway.ask(model).await;
        assert_eq!(status, 503, "{answer}");
        let text = answer["error"]["message"].as_str().expect("a message").to_owned();
        text.contains(word).then_some(text)
    })
    .await
}

/// Waits until the process is gone; when that was.
async fn end_of(pid: u32) -> Instant {
    eventually("the process to end", async || (!processes::lives(pid)).then_some(())).await;
    Instant::now()
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_hear_why_at_once_and_others_are_not_disturbed() {
    let faults = |faults: &str| format!("restart: off, env: {{ ENGINEHOUSE_SIM_FAULTS: \"{faults}\" }}");
    let yaml = [
        "models:\n".to_owned(),
        model("good", "args: { ttft: 5ms, gap: 1ms, tokens: 10 }"),
        model("exits", &faults("exit-while-loading=1:700ms")),
        model("memory", &faults("oom=900ms")),
        model("stuck", &format!("start_timeout: 1500ms, stop_timeout: 1s, {}", faults("never-ready,ignore-term"))),
        "  missing: { source: x, command: [/nowhere/vllm, serve], restart: off }\n".to_owned(),
    ]
    .concat();
    let (deployment, mut gateway) = Deployment::open(&yaml);
    eventually("the good one", async || (gateway.ask("good").await.0 == 200).then_some(())).await;
    let load = Load::start(gateway.address, "good", 4);
    let serving = Instant::now();
    told(&gateway, "missing", "/nowhere/vllm").await;
    assert!(serving.elapsed() < SOON, "a missing program");
    let exits = async {
        let ended = end_of(gateway.engine_pid("exits/0").await).await;
        told(&gateway, "exits", "memory").await;
        ended.elapsed()
    };
    let memory = async {
        let ended = end_of(gateway.engine_pid("memory/0").await).await;
        told(&gateway, "memory", "memory").await;
        ended.elapsed()
    };
    let stuck = async {
        told(&gateway, "stuck", "start_timeout").await;
        gateway.started.elapsed().saturating_sub(Duration::from_millis(1500))
    };
    let (exits, memory, stuck) = tokio::join!(exits, memory, stuck);
    println!("told after: exit {exits:.1?}, out of memory {memory:.1?}, never ready {stuck:.1?}");
    assert!(exits < SOON && memory < SOON && stuck < SOON, "{exits:?} {memory:?} {stuck:?}");
    load.answered(50).await;
    load.stop_unharmed().await;
    let log = gateway.log();
    let errors: Vec<&str> =
        log.lines().filter(|line| line.contains("ERROR") && line.contains("engine=memory/0")).collect();
    assert_eq!(errors.len(), 1, "one line for one failure: {errors:#?}");
    assert!(errors[0].contains("OutOfMemoryError") && errors[0].contains("logs/memory_0.log"), "{}", errors[0]);
    let ready = log.lines().filter(|line| line.contains("ready") && line.contains("engine=good/0")).count();
    assert_eq!(ready, 1, "it is ready once");
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_stays_while_it_is_tried_again_and_in_a_crash_loop() {
    let restart = "restart: { initial_backoff: 200ms, max_backoff: 200ms, crashes: 3, within: 1m }";
    let own = model("own", &format!("{restart}, env: {{ ENGINEHOUSE_SIM_FAULTS: \"oom=300ms\" }}"));
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{own}"));
    told(&gateway, "own", "out of memory").await;
    // From now on, whether it rests, starts or loads: the reason is in every answer.
    let text = eventually("it to stay down", async || {
        let (status, answer) = gateway.ask("own").await;
        let text = answer["error"]["message"].as_str().expect("a message").to_owned();
        assert!(status == 503 && text.contains("out of memory"), "{status} {text}");
        text.contains("stays down").then_some(text)
    })
    .await;
    assert!(text.contains("failed 3 times within ") && text.contains("restart it"), "{text}");
    let engine = gateway.engine("own/0").await;
    assert_eq!(engine["state"], "failed");
    assert_eq!(gateway.log().matches("engine process started").count(), 3);
    assert_eq!(gateway.log().lines().filter(|line| line.contains("ERROR")).count(), 3, "one for each failure");
    assert_eq!(deployment.engine_processes(), vec![]);
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_died_while_serving_is_told_and_started_again() {
    let own =
        model("own", "restart: { initial_backoff: 300ms }, env: { ENGINEHOUSE_SIM_FAULTS: \"ready-after=300ms\" }");
    let (deployment, mut gateway) = Deployment::open(&format!("models:\n{own}"));
    let pid = gateway.all_ready().await[0];
    processes::kill(pid);
    let since = Instant::now();
    eventually("the reason to be told", async || {
        let (status, answer) = gateway.ask("own").await;
        // A request that was on its way to it cannot be told more.
        assert!(status == 503 || status == 502, "{status} {answer}");
        answer.to_string().contains("SIGKILL").then_some(())
    })
    .await;
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    eventually("it to serve again", async || {
        let (status, answer) = gateway.ask("own").await;
        let text = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 200 || status == 503 && text.contains("SIGKILL"), "{status} {answer}");
        (status == 200).then_some(())
    })
    .await;
    gateway.stop().await;
    deployment.assert_empty();
}

//! A gateway is killed: the next one on its state directory takes over what it left, and mends the rest.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::deployment::{Deployment, model};
use crate::support::load::Load;
use crate::support::processes;
use crate::support::{Gateway, eventually, http, pid_of, port_of, time_passes};

const QUICK: &str = "args: { ttft: 10ms, gap: 1ms, tokens: 10 }";

/// How long after its start a gateway that found engines must serve.
const SOON: Duration = Duration::from_secs(2);

fn env(faults: &str) -> String {
    format!("env: {{ ENGINEHOUSE_SIM_FAULTS: \"{faults}\" }}")
}

/// Engines' processes, each for good.
fn identities(deployment: &Deployment) -> Vec<(u32, u64)> {
    let mut all: Vec<_> = deployment.engine_processes().iter().map(|stat| (stat.pid, stat.started)).collect();
    all.sort_unstable();
    all
}

/// How long after its start the gateway first answered for `model`.
async fn first_answer(gateway: &Gateway, model: &str) -> Duration {
    eventually("an answer", async || (gateway.ask(model).await.0 == 200).then_some(())).await;
    gateway.started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_killed_under_load_is_replaced_without_a_restart_of_engines() {
    let models =
        [model("one", &format!("replicas: 2, {QUICK}")), model("two", &format!("{QUICK}, {}", env("orphan,escape")))];
    let yaml = format!("models:\n{}", models.concat());
    let (deployment, mut gateway) = Deployment::open(&yaml);
    let pids = gateway.all_ready().await;
    let processes = identities(&deployment);
    assert_eq!(processes.len(), 5, "{processes:?}");
    let address = gateway.address;
    deployment.write(&yaml, Some(address));
    for round in 1..=3 {
        let loads = [Load::start(address, "one", 8), Load::start(address, "two", 4)];
        for load in &loads {
            load.answered(20).await;
        }
        gateway.kill();
        gateway = deployment.gateway();
        let took = first_answer(&gateway, "one").await.max(first_answer(&gateway, "two").await);
        println!("round {round}: the next gateway served {took:.2?} after its start");
        assert!(took < SOON, "{took:?}");
        for load in loads {
            load.answered(20).await;
            // Those that the dead gateway had are torn; the next one says that it loads until it has asked the engine.
            let (tally, failures) = load.stop().await;
            let honest = ["torn", "no answer", "without an end", "model_loading"];
            let others: Vec<_> = failures.iter().filter(|why| !honest.iter().any(|word| why.contains(word))).collect();
            assert!(others.is_empty(), "{tally:?} {others:#?}");
        }
        let load = Load::start(address, "one", 8);
        load.answered(50).await;
        load.stop_unharmed().await;
        assert_eq!(gateway.all_ready().await, pids, "the same engines");
        assert_eq!(identities(&deployment), processes, "and nobody else");
    }
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_killed_at_any_moment_of_their_start_leave_no_second_engine() {
    let yaml = format!("models:\n{}", model("own", &format!("replicas: 3, {}", env("ready-after=100ms,orphan"))));
    let deployment = Deployment::new();
    deployment.write(&yaml, None);
    let mut seen = 0;
    for round in 0..60 {
        let mut child = deployment.command().stderr(std::process::Stdio::null()).spawn().expect("started");
        time_passes(Duration::from_millis(round * 3)).await;
        child.kill().expect("killed");
        child.wait().expect("reaped");
        seen = seen.max(deployment.engine_processes().len());
    }
    // One that was being made while its gateway was killed is found by its mark, and ended.
    assert!(seen > 0, "no gateway got as far as an engine: the test proves nothing");
    let mut gateway = deployment.gateway();
    let pids = gateway.all_ready().await;
    let processes = eventually("exactly the expected processes", async || {
        let processes = deployment.engine_processes();
        (processes.len() == 6).then_some(processes)
    })
    .await;
    assert!(pids.iter().all(|pid| processes.iter().any(|stat| stat.pid == *pid)));
    assert_eq!(processes::listened(&pids).len(), 3);
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fits_is_taken_over_and_the_rest_is_mended() {
    let same = [
        model("same", QUICK),
        model("loading", &env("ready-after=3s")),
        model("dead", QUICK),
        model("orphaned", &env("orphan,escape")),
    ]
    .concat();
    let changed =
        |tokens: usize| model("changed", &format!("args: {{ tokens: {tokens} }}, {}", env("slow-term=500ms")));
    let before = format!("models:\n{same}{}{}", changed(5), model("unwanted", &env("orphan")));
    let after = format!("models:\n{same}{}", changed(7));
    let (deployment, mut gateway) = Deployment::open(&before);
    for name in ["same", "dead", "orphaned", "changed", "unwanted"] {
        first_answer(&gateway, name).await;
    }
    let pid = async |gateway: &Gateway, name: &str| gateway.engine_pid(&format!("{name}/0")).await;
    let (same, loading) = (pid(&gateway, "same").await, pid(&gateway, "loading").await);
    let gone: Vec<u32> = {
        let mut gone = vec![];
        for name in ["dead", "orphaned", "changed", "unwanted"] {
            gone.push(pid(&gateway, name).await);
        }
        gone
    };
    assert_eq!(gateway.engine("loading/0").await["state"], "starting");
    let all: Vec<u32> = deployment.engine_processes().iter().map(|stat| stat.pid).collect();
    gateway.kill();
    processes::kill(gone[0]);
    processes::kill(gone[1]);
    deployment.write(&after, None);
    let mut gateway = deployment.gateway();
    let took = first_answer(&gateway, "same").await;
    assert!(took < SOON, "{took:?}");
    assert_eq!(pid(&gateway, "same").await, same);
    assert_eq!(pid(&gateway, "loading").await, loading, "it goes on loading");
    // What serves with other arguments is taken over, too, until another one is ready.
    eventually("what is changed to be replaced", async || (!processes::lives(gone[2])).then_some(())).await;
    let pids = gateway.all_ready().await;
    assert_eq!(pids.len(), 5);
    assert_eq!((pids[0], pids[1]), (same, loading));
    for pid in all.into_iter().filter(|pid| ![same, loading].contains(pid)) {
        assert!(!processes::lives(pid), "{pid} {} is left", processes::command_line(pid));
    }
    let (_, answer) = gateway.ask("changed").await;
    assert_eq!(answer["usage"]["completion_tokens"], 7, "the new arguments count: {answer}");
    // Engines, and the orphan and the daemon of one of them.
    assert_eq!(deployment.engine_processes().len(), 7, "{:?}", deployment.engine_processes());
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_sleeps_sleeps_on() {
    let yaml = format!("models:\n{}", model("own", "sleep_mode: true"));
    let (deployment, mut gateway) = Deployment::open(&yaml);
    let pids = gateway.all_ready().await;
    let engine = gateway.engine("own/0").await;
    gateway.kill();
    let url = format!("http://127.0.0.1:{}/sleep?level=1", port_of(&engine));
    assert_eq!(http().post(url).send().await.expect("answered").status(), 200);
    // As the gateway writes it down when it sends an engine to sleep.
    let path = deployment.state().join("engines/own_0.json");
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).expect("a record")).expect("JSON");
    record["asleep"] = json!(1);
    std::fs::write(&path, record.to_string()).expect("written");
    let mut gateway = deployment.gateway();
    let engine = gateway.engine("own/0").await;
    assert_eq!((engine["state"].as_str(), pid_of(&engine)), (Some("asleep"), Some(pids[0])));
    let (status, answer) = gateway.ask("own").await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains("sleep")), "{answer}");
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_that_are_kept_are_found_by_the_next() {
    let yaml = format!("on_exit: keep\nmodels:\n{}", model("own", &format!("replicas: 2, {QUICK}")));
    let (deployment, mut gateway) = Deployment::open(&yaml);
    let pids = gateway.all_ready().await;
    gateway.stop().await;
    assert_eq!(deployment.processes().iter().map(|stat| stat.pid).collect::<Vec<_>>().len(), 2);
    let mut gateway = deployment.gateway();
    assert!(first_answer(&gateway, "own").await < SOON);
    assert_eq!(gateway.all_ready().await, pids);
    gateway.stop().await;
    // And those of a configuration without them end.
    deployment.write(&format!("models:\n{}", model("other", "")), None);
    let mut gateway = deployment.gateway();
    gateway.all_ready().await;
    eventually("the engines to end", async || (deployment.engine_processes().len() == 1).then_some(())).await;
    gateway.stop().await;
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_is_refused_and_disturbs_nothing() {
    let yaml = format!("models:\n{}", model("own", QUICK));
    let (deployment, mut gateway) = Deployment::open(&yaml);
    let pids = gateway.all_ready().await;
    let load = Load::start(gateway.address, "own", 4);
    load.answered(10).await;
    let (status, text, took) = deployment.refused();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("pid {}", gateway.pid())), "{text}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    // One with another configuration ends nothing either.
    deployment.write(&format!("models:\n{}", model("other", "")), None);
    let (status, ..) = deployment.refused();
    assert_eq!(status.code(), Some(1));
    load.answered(10).await;
    load.stop_unharmed().await;
    assert_eq!(gateway.all_ready().await, pids);
    let since = Instant::now();
    gateway.stop().await;
    assert!(since.elapsed() < Duration::from_secs(5));
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_whose_records_are_damaged_are_taken_over_by_what_they_tell_themselves() {
    let yaml = format!("models:\n{}", model("own", &format!("replicas: 2, {}", env("orphan"))));
    let (deployment, mut gateway) = Deployment::open(&yaml);
    let pids = gateway.all_ready().await;
    gateway.kill();
    let damaged = ["{", "no record, but with no nonce in it"];
    for (number, text) in damaged.iter().enumerate() {
        let record = deployment.state().join(format!("engines/own_{number}.json"));
        assert!(record.exists(), "{}", record.display());
        std::fs::write(record, text).expect("written");
    }
    let mut gateway = deployment.gateway();
    assert_eq!(gateway.all_ready().await, pids);
    assert_eq!(gateway.log().matches("was set aside").count(), 2);
    assert_eq!(gateway.log().matches("no record tells of").count(), 2);
    assert!(!gateway.log().contains("is ended"), "nothing was");
    gateway.stop().await;
    deployment.assert_empty();
}

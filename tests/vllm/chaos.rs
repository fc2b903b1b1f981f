//! Two replicas under a load that never rests: engines are killed, their gateway is, its state directory goes, and no plain
//! request fails while an engine lives. `ENGINEHOUSE_VLLM_CYCLES` sets how often an engine is killed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::failing;
use crate::fixture::{Group, START, Setup, assert_gone, chat, ms, yaml};
use crate::support::deployment::Deployment;
use crate::support::foreign::ForeignProcess;
use crate::support::load::Load;
use crate::support::mount::{fill, on_a_disk_of_its_own};
use crate::support::processes;
use crate::support::{Gateway, eventually, eventually_within, http, pid_of, port_of};

/// How often an engine is killed unless somebody says.
const FEW: usize = 3;

/// How long after its start a gateway that finds its engines must answer.
const SOON: Duration = Duration::from_secs(2);

/// Callers at a time; an engine takes four requests at once.
const CALLERS: usize = 6;

/// What becomes of a request whose gateway is killed.
const TORN: [&str; 4] = ["torn", "no answer", "without an end", "model_loading"];

/// Two engines of one model, and a foreign process beside them.
pub struct Two {
    gateway: Gateway,
    groups: [Group; 2],
    ports: Vec<u16>,
    foreign: ForeignProcess,
    // Dropped last.
    deployment: Deployment,
}

impl crate::fixture::Said for Two {
    fn said(&self) -> String {
        format!("process groups {} and {}, ports {:?} ", self.groups[0].0, self.groups[1].0, self.ports)
    }
}

/// The configuration: the model, and `others` beside it.
fn config(setup: &Setup, others: impl IntoIterator<Item = (&'static str, Value)>) -> String {
    let restart = json!({ "initial_backoff": "100ms", "max_backoff": "1s", "crashes": 1000 });
    let tiny = setup.model(&json!({ "replicas": 2, "start_order": 1, "lora": {}, "restart": restart }));
    let models: Map<_, _> =
        others.into_iter().chain([("tiny", tiny)]).map(|(name, model)| (name.to_owned(), model)).collect();
    format!("timeouts: {{ drain: 10s }}\n{}", yaml(&Value::Object(models)))
}

/// Waits until the engine `id` is ready and its process another than `before`: which one it is.
async fn ready(gateway: &Gateway, id: &str, before: i32) -> i32 {
    eventually_within(2 * START, "another process to be ready", async || {
        let engine = gateway.engine(id).await;
        pid_of(&engine).map(u32::cast_signed).filter(|pid| *pid != before && engine["state"] == "ready")
    })
    .await
}

/// Starts a gateway with two engines of one model, and with models beside it that cannot be loaded.
pub async fn open(setup: &Setup) -> Two {
    let (deployment, gateway) = Deployment::open(&config(setup, failing::hopeless(setup)));
    let foreign = ForeignProcess::named("vllm serve");
    let groups = [Group(ready(&gateway, "tiny/0", 0).await), Group(ready(&gateway, "tiny/1", 0).await)];
    let ports = vec![port_of(&gateway.engine("tiny/0").await), port_of(&gateway.engine("tiny/1").await)];
    Two { gateway, groups, ports, foreign, deployment }
}

impl Two {
    fn load(&self) -> Load {
        Load::of(self.gateway.address, &chat("tiny", 16), CALLERS)
    }

    /// The leaders of both engines.
    async fn leaders(&self) -> Vec<Option<i32>> {
        let engines = [self.gateway.engine("tiny/0").await, self.gateway.engine("tiny/1").await];
        engines.iter().map(|engine| pid_of(engine).map(u32::cast_signed)).collect()
    }

    fn expected(&self) -> Vec<Option<i32>> {
        self.groups.iter().map(|group| Some(group.0)).collect()
    }

    /// All processes of engines, by what they are called; none of them is a zombie of the gateway.
    fn processes(&self) -> Vec<String> {
        let ours = |stat: &&processes::Stat| stat.pid != self.gateway.pid();
        let mut names: Vec<_> = self.deployment.processes().iter().filter(ours).map(|stat| stat.name.clone()).collect();
        let mut children = processes::everybody().into_iter().filter(|stat| stat.parent == self.gateway.pid());
        assert!(children.all(|stat| stat.state != 'Z'), "a zombie");
        names.sort();
        names
    }

    /// How many sockets of theirs listen.
    fn listening(&self) -> usize {
        let ids: Vec<u32> = self.deployment.processes().iter().map(|stat| stat.pid).collect();
        processes::listened(&ids).len()
    }
}

/// Beside engines at work, two models fail to load: callers hear why, and nobody else notices.
pub async fn failures_beside(two: &Two) -> String {
    let load = two.load();
    let told = failing::told(&two.gateway).await;
    load.answered(20).await;
    let tally = load.stop_unharmed().await;
    format!("{tally:?}; {told}")
}

/// One of both is killed, again and again; each time it comes back whole while the other serves.
pub async fn killed_again_and_again(two: &mut Two) -> String {
    let cycles = std::env::var("ENGINEHOUSE_VLLM_CYCLES").ok().and_then(|text| text.parse().ok()).unwrap_or(FEW);
    let (processes, listening) = (two.processes(), two.listening());
    assert!(processes.len() >= 4, "{processes:?}: it would prove nothing");
    let load = two.load();
    load.answered(20).await;
    let mut back: Vec<f64> = Vec::new();
    for cycle in 1..=cycles {
        let victim = fastrand::usize(0..2);
        let (old, memory) = (two.groups[victim].0, two.groups[victim].shared_memory());
        let since = Instant::now();
        processes::kill(old.unsigned_abs());
        let new = ready(&two.gateway, &format!("tiny/{victim}"), old).await;
        let took = since.elapsed().as_secs_f64();
        assert_eq!(two.groups[victim].members(), [""; 0], "left of the one that was killed");
        assert_gone(&memory);
        two.groups[victim] = Group(new);
        assert_eq!(two.leaders().await, two.expected(), "the other one is as it was");
        eprintln!("     {cycle} of {cycles}: tiny/{victim} is back after {took:.1} s; so far {:?}", load.tally);
        back.push(took);
    }
    load.answered(20).await;
    let tally = load.stop_unharmed().await;
    assert_eq!(two.processes(), processes, "no process is left or lost");
    assert_eq!(two.listening(), listening, "nor a port");
    let ports = [port_of(&two.gateway.engine("tiny/0").await), port_of(&two.gateway.engine("tiny/1").await)];
    assert_eq!(two.ports, ports);
    two.foreign.assert_untouched();
    let (least, most) = (back.iter().copied().fold(f64::MAX, f64::min), back.iter().copied().fold(0.0, f64::max));
    format!("{cycles} kills, back after {least:.1} to {most:.1} s, {} processes; {tally:?}", processes.len())
}

/// The requests of eight callers: four APIs, plain and streamed.
fn of_every_api() -> Vec<(&'static str, Value)> {
    let messages = json!([{ "role": "user", "content": "Say something." }]);
    vec![
        ("/v1/chat/completions", chat("tiny", 16)),
        ("/v1/completions", json!({ "model": "tiny", "prompt": "Say", "max_tokens": 16 })),
        ("/v1/messages", json!({ "model": "tiny", "messages": messages, "max_tokens": 16 })),
        ("/v1/responses", json!({ "model": "tiny", "input": "Say something.", "max_output_tokens": 16 })),
    ]
}

/// The engine core of one of both is killed, again and again, while its server lives on for a moment: no request fails of which
/// the caller had nothing yet.
pub async fn cores_are_killed(two: &mut Two) -> String {
    let cycles = std::env::var("ENGINEHOUSE_VLLM_CYCLES").ok().and_then(|text| text.parse().ok()).unwrap_or(FEW);
    let load = Load::of_all(two.gateway.address, &of_every_api(), 8);
    load.answered(20).await;
    for cycle in 1..=cycles {
        let victim = cycle % 2;
        let old = two.groups[victim].0;
        let members = two.groups[victim].members();
        let core = members.iter().find(|member| member.contains("EngineCor")).expect("a core");
        let core = core.split_once(' ').and_then(|(pid, _)| pid.parse().ok()).expect("a process id");
        processes::kill(core);
        two.groups[victim] = Group(ready(&two.gateway, &format!("tiny/{victim}"), old).await);
        eprintln!("     {cycle} of {cycles}: the core of tiny/{victim}; so far {:?}", load.tally);
    }
    load.answered(20).await;
    let tally = load.stop_unharmed().await;
    format!("{cycles} cores killed; {tally:?}")
}

/// One of both is paused by somebody else: it gets no requests, is left alone, and serves again when it goes on.
pub async fn one_is_paused(two: &Two) -> String {
    let order = async |what: &str| {
        let url = format!("http://127.0.0.1:{}{what}", two.ports[0]);
        assert_eq!(http().post(url).send().await.expect("answered").status(), 200, "{what}");
    };
    let counted = async || {
        let url = format!("http://127.0.0.1:{}/metrics", two.ports[0]);
        let text = http().get(url).send().await.expect("answered").text().await.expect("text");
        let lines = text.lines().filter(|line| line.starts_with("vllm:request_success_total{"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    let load = Load::of_all(two.gateway.address, &of_every_api(), 8);
    load.answered(20).await;
    order("/pause?mode=keep").await;
    eventually("the gateway to know", || async {
        (two.gateway.engine("tiny/0").await["state"] != "ready").then_some(())
    })
    .await;
    let before = counted().await;
    load.answered(60).await;
    assert_eq!(counted().await, before, "it got requests");
    assert_eq!(two.leaders().await, two.expected(), "nobody ended it");
    order("/resume").await;
    eventually("it to serve again", || async {
        (two.gateway.engine("tiny/0").await["state"] == "ready").then_some(())
    })
    .await;
    let tally = load.stop_unharmed().await;
    format!("{tally:?}")
}

/// The gateway is killed under load: the next one serves at once, with both engines as they are.
pub async fn gateway_is_killed(two: &mut Two, setup: &Setup) -> String {
    let processes = two.processes();
    two.deployment.write(&config(setup, []), Some(two.gateway.address));
    let load = two.load();
    load.answered(20).await;
    two.gateway.kill();
    two.gateway = two.deployment.gateway();
    let listening = two.gateway.started.elapsed();
    let (url, client) = (two.gateway.url("/v1/chat/completions"), http());
    eventually("an answer", || async {
        let reply = client.post(&url).json(&chat("tiny", 1)).send().await.expect("answered");
        (reply.status() == 200).then_some(())
    })
    .await;
    let served = two.gateway.started.elapsed();
    assert!(served < SOON, "{served:?}");
    load.answered(20).await;
    let (tally, failures) = load.stop().await;
    let others: Vec<_> = failures.iter().filter(|why| !TORN.iter().any(|word| why.contains(word))).collect();
    assert!(others.is_empty(), "{tally:?} {others:#?}");
    for (replica, group) in two.groups.iter().enumerate() {
        let engine = two.gateway.engine(&format!("tiny/{replica}")).await;
        assert_eq!(
            (&engine["pid"], &engine["restarts"], &engine["state"]),
            (&group.0.into(), &0.into(), &"ready".into())
        );
    }
    assert_eq!(two.processes(), processes);
    two.foreign.assert_untouched();
    let torn = failures.len();
    format!("listened after {}, answered after {}, {torn} torn; {tally:?}", ms(listening), ms(served))
}

/// The state directory vanishes under load, and nobody notices.
pub async fn state_vanishes(two: &Two) -> String {
    let load = two.load();
    load.answered(20).await;
    std::fs::remove_dir_all(two.deployment.state()).expect("removed");
    load.answered(60).await;
    let tally = load.stop_unharmed().await;
    assert_eq!(two.leaders().await, two.expected(), "both run on");
    format!("{tally:?}")
}

/// SIGTERM under load: what was begun is finished, and nothing is left.
pub async fn stops(two: Two) -> String {
    let Two { mut gateway, groups, ports, mut foreign, deployment } = two;
    let memory: BTreeSet<_> = groups.iter().flat_map(Group::shared_memory).collect();
    assert!(!memory.is_empty(), "it would prove nothing");
    let load = Load::of(gateway.address, &chat("tiny", 16), CALLERS);
    load.answered(20).await;
    let took = gateway.stop().await;
    let (tally, failures) = load.stop().await;
    let cut: Vec<_> = failures.iter().filter(|why| why.contains("torn") || why.contains("without an end")).collect();
    assert!(cut.is_empty(), "{cut:#?}");
    for group in &groups {
        assert_eq!(group.members(), [""; 0], "left behind");
    }
    deployment.assert_empty();
    assert_gone(&memory);
    assert!(ports.iter().all(|port| processes::is_free(*port)), "a port is taken");
    foreign.assert_untouched();
    format!("after {}, {} callers turned away; {tally:?}", ms(took), failures.len())
}

/// The disk of the state directory fills up under load: vLLM, whose log is there, and its callers do not notice.
pub async fn disk_fills_up(setup: &Setup) -> String {
    let deployment = Deployment::new();
    deployment.write(&setup.with(&json!({ "lora": {} })), None);
    let Some(command) = on_a_disk_of_its_own(&deployment, "rw", "") else { return "skipped: no mounts here".into() };
    let mut gateway = Gateway::of(command);
    let group = Group(ready(&gateway, "tiny/0", 0).await);
    let load = Load::of(gateway.address, &chat("tiny", 16), CALLERS);
    load.answered(20).await;
    fill(&deployment, &gateway);
    load.answered(100).await;
    let tally = load.stop_unharmed().await;
    assert_eq!(ready(&gateway, "tiny/0", 0).await, group.0, "it runs on");
    gateway.stop().await;
    assert_eq!(group.members(), [""; 0], "left behind");
    deployment.assert_empty();
    format!("{tally:?}")
}

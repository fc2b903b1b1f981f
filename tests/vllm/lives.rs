//! Lives that end too early: of the gateway, of vLLM's server, of its engine core; and one that goes on without us.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::fixture::{Fixture, Group, assert_gone, chat, ms};
use crate::life;
use crate::support::processes;
use crate::support::{eventually, eventually_within, http};

/// How long after its start a gateway that finds its engine must serve.
const SOON: Duration = Duration::from_secs(2);

/// The gateway is killed; the next one takes the engine over as it is.
pub async fn gateway_is_killed(fixture: &mut Fixture) -> String {
    let before = fixture.group.members();
    let process = fixture.itself().await["pid"].clone();
    fixture.gateway.kill();
    assert_eq!(fixture.group.members(), before);
    fixture.gateway = fixture.deployment.gateway();
    let listening = fixture.gateway.started.elapsed();
    let url = fixture.gateway.url("/v1/chat/completions");
    let client = http();
    eventually("an answer", || async {
        let reply = client.post(&url).json(&chat("tiny", 1)).send().await.expect("answered");
        (reply.status() == 200).then_some(())
    })
    .await;
    let served = fixture.gateway.started.elapsed();
    assert!(served < SOON, "{served:?}");
    let engine = fixture.itself().await;
    assert_eq!((&engine["pid"], &engine["restarts"], &engine["state"]), (&process, &0.into(), &"ready".into()));
    assert_eq!(fixture.group.members(), before);
    format!("the next one listened after {}, its first answer was whole after {}", ms(listening), ms(served))
}

/// Waits until none of the old processes is left and a new one is ready; the engine's new process group takes its place.
async fn comes_back(fixture: &mut Fixture, since: Instant) -> (Duration, Duration) {
    let left = || fixture.group.members();
    eventually_within(Duration::from_secs(60), "the old processes to end", async || left().is_empty().then_some(()))
        .await;
    let swept = since.elapsed();
    let old = fixture.group.0;
    let pid = eventually("another process", || async {
        fixture.itself().await["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid != old)
    })
    .await;
    fixture.group = Group(pid);
    life::becomes_ready(fixture).await;
    assert_eq!(fixture.itself().await["url"], Value::from(fixture.engine.clone()), "it keeps its port");
    fixture.ok("/v1/chat/completions", &chat("tiny", 3)).await;
    (swept, since.elapsed())
}

/// The kernel kills vLLM's server in the middle of a stream: the caller is told within the stream, the next one with a
/// status and the reason; vLLM's other processes, which would live on and keep their memory, are ended, and it is started
/// again.
pub async fn server_is_killed(fixture: &mut Fixture) -> String {
    let mut wire = fixture.stream().await;
    let (count, memory) = (fixture.group.members().len(), fixture.group.shared_memory());
    assert!(count > 1, "only {count} processes in the group: it would prove nothing");
    processes::kill(fixture.group.0.unsigned_abs());
    let since = Instant::now();
    let rest = String::from_utf8(wire.read_until(b"data: [DONE]\n\n").await).expect("UTF-8");
    let told = since.elapsed();
    assert!(rest.contains(r#""code":"engine_died""#), "{rest}");
    eventually("the next caller to be told why", || async {
        let answer = fixture.post("/v1/chat/completions", &chat("tiny", 5)).await;
        // Until its end is known its connections are merely broken or refused.
        assert!([502, 503].contains(&answer.status), "{}", answer.body);
        answer.body["error"]["message"].as_str().filter(|text| text.contains("SIGKILL): somebody killed it")).map(drop)
    })
    .await;
    let (swept, back) = comes_back(fixture, since).await;
    assert_gone(&memory);
    assert_eq!(fixture.itself().await["restarts"], 1);
    let back = back.as_secs_f64();
    format!(
        "the caller was told after {}, {count} processes gone after {}, served again after {back:.1} s",
        ms(told),
        ms(swept)
    )
}

/// The engine core stops in the middle of a stream, while `/health` still says that all is well.
pub async fn core_hangs(fixture: &mut Fixture) -> String {
    let mut stream = fixture.long_stream().await;
    let memory = fixture.group.shared_memory();
    let core = processes::everybody().into_iter().find(|stat| {
        stat.name.starts_with("VLLM::EngineCor")
            && rustix::process::Pid::from_raw(stat.pid.cast_signed())
                .and_then(|pid| rustix::process::getpgid(Some(pid)).ok())
                .is_some_and(|group| group.as_raw_nonzero().get() == fixture.group.0)
    });
    processes::signal(core.expect("an engine core").pid, Signal::STOP);
    let since = Instant::now();
    let health = http().get(format!("{}/health", fixture.engine)).send().await.expect("answered");
    assert_eq!(health.status(), 200);
    let mut rest = Vec::new();
    while let Some(piece) = stream.chunk().await.expect("a whole answer") {
        rest.extend_from_slice(&piece);
    }
    let told = since.elapsed();
    let rest = String::from_utf8(rest).expect("UTF-8");
    assert!(rest.contains("\"error\"") && rest.ends_with("data: [DONE]\n\n"), "{rest}");
    let (swept, back) = comes_back(fixture, since).await;
    assert_gone(&memory);
    let engine = fixture.itself().await;
    assert_eq!(engine["stalls"], 1, "{engine}");
    let log = fixture.gateway.log();
    assert!(log.contains("progress"), "{log}");
    let (told, swept, back) = (told.as_secs_f64(), swept.as_secs_f64(), back.as_secs_f64());
    format!(
        "the stream's caller was told after {told:.1} s, nothing was left after {swept:.1} s, served again after {back:.1} s"
    )
}

/// `on_exit: keep`: the gateway ends, the engine serves on; `enginehouse shutdown` ends it without a gateway.
pub async fn is_kept_and_ended(fixture: Fixture) -> String {
    let Fixture { mut gateway, engine, group, deployment, .. } = fixture;
    let (before, memory) = (group.members(), group.shared_memory());
    let left = gateway.stop().await;
    assert_eq!(group.members(), before, "it is kept as it is");
    let chat = chat("tiny", 3);
    let reply = http().post(format!("{engine}/v1/chat/completions")).json(&chat).send().await.expect("answered");
    assert_eq!(reply.status(), 200);
    let mut command = std::process::Command::new(crate::support::BINARY);
    deployment.prepare(&mut command);
    command.arg("shutdown").arg("--state-dir").arg(deployment.state()).stdout(std::process::Stdio::piped());
    let since = Instant::now();
    let output = command.output().expect("it runs");
    let took = since.elapsed();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert_eq!(group.members(), [""; 0], "left behind");
    deployment.assert_empty();
    assert_gone(&memory);
    format!("the gateway left in {}, `stop` took {}: {}", ms(left), ms(took), text.trim())
}

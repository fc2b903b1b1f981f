//! Engines of ours as real processes, and engines of others as real servers.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::timeout;

use super::crew::Crew;
use super::engine::shutdown_signal::{self, ShutdownMode, ShutdownSender};
use super::lifecycle::orders::Goal;
use super::process::port::Ports;
use super::store::record::Records;
use super::store::rotate::Rotation;
use super::testing::{Stranger, health, model, spawn};
use super::yard::Yard;
use super::*;
use crate::api::StartPhase;
use crate::config::{EngineUrl, Engines, Gpus, Model, Spawn};
use crate::engines::{Engine, EngineRegistry, EngineState, Lease, Pool};
use crate::inventory::Monitor;

/// More than anything here takes on a busy machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn config(models: Vec<Model>) -> Config {
    Config { models, ..Config::for_test() }
}

/// A supervisor of one model, and what it works on.
struct Rig {
    folder: tempfile::TempDir,
    pool: Arc<Pool>,
    supervisor: Supervisor,
}

impl Rig {
    async fn of(model: Model) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (registry, _) = EngineRegistry::new([model.name.clone()]);
        let pool = registry.pool(&model.name).expect("the model");
        pool.set_served_name(model.served_name.clone());
        let home = Home { state_dir: folder.path().into(), own_exe: "/nonexistent".into() };
        let config = config(vec![model]);
        let claim = home.claim(&config).expect("a folder of its own");
        let supervisor = Supervisor::start(&config, &registry, claim, Monitor::start(None)).await.expect("started");
        Self { folder, pool, supervisor }
    }

    fn engine(&self, replica: usize) -> Arc<Engine> {
        self.pool.engines()[replica].clone()
    }

    /// The log of the first engine.
    fn log(&self) -> PathBuf {
        self.folder.path().join("logs/m_0.log")
    }
}

/// A model whose engine is a shell that runs `script`.
fn shell(script: &str) -> Model {
    let spawn = spawn(&["sh", "-c", script, "sh"]);
    Model { engines: Engines::Spawn(spawn), ..model("m") }
}

fn spawn_of(model: &mut Model) -> &mut Spawn {
    match &mut model.engines {
        Engines::Spawn(spawn) => spawn,
        Engines::Urls(_) => unreachable!("made with `shell`"),
    }
}

/// A model whose engines are `strangers`, looked at every `interval`.
fn guests(strangers: &[&Stranger], interval: Duration) -> Model {
    let urls = strangers.iter().map(|stranger| stranger.url()).collect();
    Model { engines: Engines::Urls(urls), health: Some(health(interval)), ..model("m") }
}

async fn reached(engine: &Engine, word: &str) -> Arc<EngineState> {
    let told = timeout(PATIENCE, engine.reached(|state| state.word() == word)).await;
    told.unwrap_or_else(|_| unreachable!("never {word}: {:?}", engine.state()))
}

/// Returns when the engine has a process.
async fn runs(engine: &Engine) {
    let runs = engine
        .reached(|state| matches!(state, EngineState::Starting(starting) if starting.phase == StartPhase::Launched));
    timeout(PATIENCE, runs).await.expect("a process");
}

async fn failed(engine: &Engine) -> crate::api::Failure {
    match &*reached(engine, "failed").await {
        EngineState::Failed(failure) => failure.clone(),
        other => unreachable!("{other:?}"),
    }
}

/// The pids that an engine's script wrote to `log`, one a line, as soon as there are `count`. Nobody announces changes
/// of a file, so it is read until it holds them.
async fn pids(log: &Path, count: usize) -> Vec<Pid> {
    let read = async {
        loop {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let pids: Vec<_> = text.lines().filter_map(|line| line.parse().ok().and_then(Pid::from_raw)).collect();
            if pids.len() >= count {
                return pids;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, read).await.expect("pids in the log")
}

/// Whether a process is there and more than a zombie.
fn lives(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

async fn stopped(rig: Rig, drain: Duration) -> Duration {
    let since = Instant::now();
    timeout(PATIENCE, rig.supervisor.stop(drain)).await.expect("a stop ends");
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dying_while_loading_fails_at_once_with_the_reason_and_the_log() {
    let rig = Rig::of(shell("echo loading; echo 'RuntimeError: CUDA out of memory' >&2; exit 3")).await;
    let failure = failed(&rig.engine(0)).await;
    assert!(
        failure.cause.to_string().contains("ended while loading (exit code 3): the GPU's memory"),
        "{}",
        failure.cause
    );
    assert_eq!(failure.log, ["loading", "RuntimeError: CUDA out of memory"]);
    let engine = rig.engine(0);
    stopped(rig, Duration::ZERO).await;
    assert_eq!(engine.state().word(), "stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_not_there_is_told_with_the_remedy() {
    let mut missing = shell("");
    spawn_of(&mut missing).command = vec!["enginehouse-no-such-program".into()];
    let rig = Rig::of(missing).await;
    let reason = failed(&rig.engine(0)).await.cause.to_string();
    assert!(reason.contains("`enginehouse-no-such-program` is not on PATH"), "{reason}");
    stopped(rig, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_sees_its_own_environment_and_arguments() {
    let mut model = shell("echo \"$VLLM_API_KEY $CUDA_VISIBLE_DEVICES $A\"; echo \"$@\"; exit 1");
    model.api_key = Some(crate::secret::Secret::new("sk-1"));
    spawn_of(&mut model).gpus = Gpus::Listed(vec!["GPU-1".into(), "GPU-2".into()]);
    spawn_of(&mut model).env.insert("A".into(), "b c".into());
    let rig = Rig::of(model).await;
    let failure = failed(&rig.engine(0)).await;
    let port = rig.engine(0).address.url.port;
    let log = std::fs::read_to_string(rig.log()).expect("a log");
    assert_eq!(log.lines().nth(1), Some("sk-1 GPU-1,GPU-2 b c"), "after our header");
    assert_eq!(failure.log[0], "*** GPU-1,GPU-2 b c", "a key is never shown");
    assert_eq!(
        failure.log[1],
        format!("org/model --host 127.0.0.1 --port {port} --served-model-name m --tensor-parallel-size 2")
    );
    stopped(rig, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_ignores_term_is_killed_with_its_whole_group() {
    let mut stubborn = shell("trap '' TERM; sleep 300 & echo $!; echo $$; while :; do sleep 300; done");
    spawn_of(&mut stubborn).stop_timeout = Duration::from_millis(600);
    let rig = Rig::of(stubborn).await;
    let pids = pids(&rig.log(), 2).await;
    assert!(pids.iter().all(|pid| lives(*pid)));
    let engine = rig.engine(0);
    let took = stopped(rig, Duration::from_secs(20)).await;
    assert!(pids.iter().all(|pid| !lives(*pid)), "nothing is left");
    assert!(took >= Duration::from_millis(600) && took < Duration::from_secs(10), "{took:?}");
    assert_eq!(engine.state().word(), "stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grandchild_does_not_outlive_its_engine() {
    let rig = Rig::of(shell("sleep 300 & echo $!; exit 0")).await;
    let failure = failed(&rig.engine(0)).await;
    assert!(failure.cause.to_string().contains("exit code 0"), "an exit code of 0 is a failure too: {}", failure.cause);
    let pids = pids(&rig.log(), 1).await;
    stopped(rig, Duration::ZERO).await;
    assert!(!lives(pids[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_never_ready_fails_at_its_deadline_and_is_ended() {
    let mut slow = shell("echo $$; exec sleep 300");
    spawn_of(&mut slow).start_timeout = Duration::from_millis(300);
    let rig = Rig::of(slow).await;
    let reason = failed(&rig.engine(0)).await.cause.to_string();
    assert!(reason.starts_with("not ready within 300ms ("), "{reason}");
    let pids = pids(&rig.log(), 1).await;
    stopped(rig, Duration::ZERO).await;
    assert!(!lives(pids[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_attempts_but_not_longer_than_the_drain() {
    let rig = Rig::of(shell("exec sleep 300")).await;
    let engine = rig.engine(0);
    runs(&engine).await;
    let lease = Lease::take(engine.clone());
    let stop = tokio::spawn(rig.supervisor.stop(Duration::from_secs(3600)));
    reached(&engine, "stopping").await;
    assert!(!stop.is_finished());
    drop(lease);
    timeout(PATIENCE, stop).await.expect("the last lease ends the drain").expect("no panic");

    let rig = Rig::of(shell("exec sleep 300")).await;
    runs(&rig.engine(0)).await;
    let _lease = Lease::take(rig.engine(0));
    let took = stopped(rig, Duration::from_millis(200)).await;
    assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_runtime_leaves_no_process() {
    let (pid, folder) = std::thread::spawn(|| {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let rig = runtime.block_on(async {
            let rig = Rig::of(shell("echo $$; exec sleep 300")).await;
            (pids(&rig.log(), 1).await[0], rig)
        });
        (rig.0, rig.1.folder)
    })
    .join()
    .expect("no panic");
    // Killed and reaped by a thread of its own; its end is not announced to anybody.
    timeout(PATIENCE, async {
        while lives(pid) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("killed");
    drop(folder);
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_written_is_an_error_in_words() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let (registry, _) = EngineRegistry::new(["m".into()]);
    let home = Home { state_dir: file.path().join("x"), own_exe: "/nonexistent".into() };
    let error = home.claim(&config(vec![shell("")])).expect_err("a file is no folder");
    let told = error.to_string();
    assert!(told.contains("cannot write to") && told.contains("`state_dir`"), "{told}");

    let nowhere = Home { state_dir: Path::new("/proc/nowhere").into(), own_exe: "/nonexistent".into() };
    let guest = Model { name: "m".into(), ..guests(&[], PATIENCE) };
    let config = config(vec![guest]);
    let claim = nowhere.claim(&config).expect("nothing to claim");
    let supervisor = Supervisor::start(&config, &registry, claim, Monitor::start(None)).await;
    supervisor.expect("without engines of ours nothing is written").stop(Duration::ZERO).await;
}

/// An actor whose engine's port is answered by somebody else, so that a shell can stand for a server.
async fn posed(script: &str, stranger: &Stranger) -> (Arc<Engine>, ShutdownSender, JoinHandle<()>, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut model = shell(script);
    model.health = Some(health(Duration::from_millis(50)));
    let spawn = spawn_of(&mut model).clone();
    let (stopper, stopping) = shutdown_signal::channel();
    let yard = Arc::new(Yard {
        logs: folder.path().into(),
        records: Records::of(folder.path()).expect("a folder"),
        own_exe: "/nonexistent".into(),
        drain: PATIENCE,
        rotation: Rotation { size: 1 << 20, age: None, keep: 1 },
        client: Arc::default(),
        stopping,
        ports: std::sync::Mutex::new(Ports::within(1024..=65535)),
        monitor: Monitor::start(None),
        placing: Arc::default(),
        placed: std::sync::Mutex::default(),
    });
    let pool = EngineRegistry::new(["m".into()]).0.pool("m").expect("the model");
    pool.set_served_name(Some("m".into()));
    let crew = Crew::new(model, spawn, pool);
    let port = yard.ports.lock().expect("alone").adopt(stranger.address.port()).expect("a claim").expect("not claimed");
    let member = yard.make(&crew, 0, None, port);
    let line = member.line();
    tokio::spawn(async move { line.order(Goal::Start).await });
    (member.engine.clone(), stopper, member.task, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ready_engine_that_dies_is_failed_whatever_its_port_answers() {
    let stranger = Stranger::serving(&["m"]).await;
    let (engine, stopper, task, folder) = posed("echo $$; exec sleep 300", &stranger).await;
    reached(&engine, "ready").await;
    assert_eq!(engine.cards()[0].get("max_model_len"), Some(&Value::from(512)));
    let pid = pids(&folder.path().join("m_0.log"), 1).await[0];
    kill_process(pid, Signal::KILL).expect("our own child");
    let reason = failed(&engine).await.cause.to_string();
    assert!(reason.starts_with("the process died while serving (signal 9, SIGKILL)"), "{reason}");
    assert!(!engine.is_ready());
    stopper.say(ShutdownMode::Stop(Instant::now()));
    timeout(PATIENCE, task).await.expect("it stops").expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_of_ours_goes_down_and_up_with_its_health() {
    let stranger = Stranger::serving(&["m"]).await;
    let (engine, stopper, task, _folder) = posed("exec sleep 300", &stranger).await;
    reached(&engine, "ready").await;
    stranger.set_health(503);
    let state = reached(&engine, "unhealthy").await;
    assert_eq!(state.detail().as_deref(), Some("GET /health: it answered 503"));
    stranger.set_health(200);
    reached(&engine, "ready").await;
    stopper.say(ShutdownMode::Stop(Instant::now()));
    timeout(PATIENCE, task).await.expect("it stops").expect("no panic");
    assert_eq!(engine.state().word(), "stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_is_ready_with_what_it_serves_and_teaches_its_name() {
    let stranger = Stranger::serving(&["org/name", "lora"]).await;
    let rig = Rig::of(guests(&[&stranger], Duration::from_millis(50))).await;
    let engine = rig.engine(0);
    reached(&engine, "ready").await;
    assert_eq!(rig.pool.served_name().as_deref(), Some("org/name"));
    assert_eq!(engine.cards().len(), 2);
    assert_eq!(engine.socket(), Some(stranger.address));
    stranger.set_health(500);
    reached(&engine, "unhealthy").await;
    stranger.set_health(200);
    reached(&engine, "ready").await;
    stopped(rig, Duration::ZERO).await;
    assert_eq!(engine.state().word(), "stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspected_engine_is_looked_at_now_and_readmitted_when_it_is_well() {
    let stranger = Stranger::serving(&["m"]).await;
    let rig = Rig::of(guests(&[&stranger], Duration::from_secs(3600))).await;
    let engine = rig.engine(0);
    reached(&engine, "ready").await;
    assert_eq!(stranger.checks(), 1);
    engine.eject(Duration::from_secs(3600));
    timeout(PATIENCE, engine.reached(|_| !engine.is_ejected())).await.expect("readmitted");
    assert_eq!(stranger.checks(), 2);

    stranger.set_health(503);
    let down = async {
        while engine.is_ready() {
            engine.eject(Duration::from_secs(3600));
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, down).await.expect("suspicions are as good as intervals");
    // As many looks as failures are configured, and perhaps one for the last suspicion: not one for each.
    assert!((4..=5).contains(&stranger.checks()), "{}", stranger.checks());
    stopped(rig, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_serves_something_else_says_what_to_set() {
    let stranger = Stranger::serving(&["a"]).await;
    let wanted = Model { served_name: Some("x".into()), ..guests(&[&stranger], Duration::from_secs(3600)) };
    let rig = Rig::of(wanted).await;
    let state = reached(&rig.engine(0), "unhealthy").await;
    assert_eq!(state.detail().as_deref(), Some("it serves `a`, not `x`; set `served_name: a`"));
    stopped(rig, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_is_asked_with_the_models_key() {
    let stranger = Stranger::serving(&["a"]).await;
    stranger.set_key("sk-1");
    let key = Some(crate::secret::Secret::new("sk-1"));
    let rig = Rig::of(Model { api_key: key, ..guests(&[&stranger], Duration::from_secs(3600)) }).await;
    reached(&rig.engine(0), "ready").await;
    stopped(rig, Duration::ZERO).await;

    let rig = Rig::of(guests(&[&stranger], Duration::from_secs(3600))).await;
    let state = reached(&rig.engine(0), "unhealthy").await;
    assert!(state.detail().is_some_and(|text| text.contains("refuses our key")), "{state:?}");
    stopped(rig, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_health_checks_a_guest_is_ready_and_its_name_is_asked_for() {
    let stranger = Stranger::serving(&["a"]).await;
    let rig = Rig::of(Model { health: None, ..guests(&[&stranger], PATIENCE) }).await;
    reached(&rig.engine(0), "ready").await;
    let named = async {
        while rig.pool.served_name().is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, named).await.expect("a name");
    assert_eq!((rig.pool.served_name().as_deref(), stranger.checks()), (Some("a"), 0));
    stopped(rig, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_is_not_there_is_unhealthy_with_the_reason() {
    // Nobody listens on port 1.
    let nobody = EngineUrl { tls: false, host: "localhost".into(), port: 1 };
    let health = Some(health(Duration::from_millis(20)));
    let model = Model { engines: Engines::Urls(vec![nobody]), health, ..model("m") };
    let rig = Rig::of(model).await;
    let state = reached(&rig.engine(0), "unhealthy").await;
    assert!(state.detail().as_deref() == Some("GET /health: connection refused"), "{state:?}");
    stopped(rig, Duration::ZERO).await;
}

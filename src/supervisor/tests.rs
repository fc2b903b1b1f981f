//! Engines as real processes, with shells for engines.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::engine::factory::{Blueprint, EngineFactory};
use super::engine::shutdown_signal::{self, ShutdownMode, ShutdownSender};
use super::launch::launcher::Launcher;
use super::launch::spec::LaunchSpec;
use super::lifecycle::orders::Goal;
use super::process::port::Ports;
use super::testing::{health, model, spawn};
use super::*;
use crate::api::StartPhase;
use crate::config::{Config, Engines, Gpus, Model, Spawn};
use crate::engines::testing::StubServer;
use crate::engines::{Engine, EngineRegistry, EngineState, Lease, Pool};
use crate::inventory::Monitor;
use crate::telemetry::EventBus;

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
        let home = Home { state_dir: folder.path().into(), own_exe: "/nonexistent".into() };
        let (pool, supervisor) = started(home, &config(vec![model])).await;
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

/// A supervisor of the first model of `config`, which is run in `home`.
async fn started(home: Home, config: &Config) -> (Arc<Pool>, Supervisor) {
    let (registry, demand) = EngineRegistry::new([config.models[0].name.clone()]);
    let pool = registry.pool(&config.models[0].name).expect("the model");
    let claim = home.claim(config).expect("a folder of its own");
    let (client, monitor, events) = (Arc::default(), Monitor::start(None), EventBus::default());
    let dependencies = Dependencies { registry, demand, client, monitor, events };
    (pool, Supervisor::start(config, claim, dependencies).await.expect("started"))
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
    timeout(PATIENCE, rig.supervisor.stop(drain, std::future::pending())).await.expect("a stop ends");
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
    let stop = tokio::spawn(rig.supervisor.stop(Duration::from_secs(3600), std::future::pending()));
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
    let home = Home { state_dir: file.path().join("x"), own_exe: "/nonexistent".into() };
    let error = home.claim(&config(vec![shell("")])).expect_err("a file is no folder");
    let told = error.to_string();
    assert!(told.contains("cannot write to") && told.contains("`state_dir`"), "{told}");

    let nowhere = Home { state_dir: Path::new("/proc/nowhere").into(), own_exe: "/nonexistent".into() };
    let (_, supervisor) = started(nowhere, &config(vec![model("m")])).await;
    let control = supervisor.control();
    let refused = control.prepare(&config(vec![shell("")])).await.expect_err("it is needed now").to_string();
    assert!(refused.contains("/proc/nowhere"), "{refused}");
    supervisor.stop(Duration::ZERO, std::future::pending()).await;
}

/// An engine whose port is answered by somebody else, so that a shell can stand for a server.
struct Posed {
    engine: Arc<Engine>,
    shutdown: ShutdownSender,
    task: JoinHandle<()>,
    folder: tempfile::TempDir,
}

impl Posed {
    /// One that is told to start.
    fn start(script: &str, stub: &StubServer) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut model = shell(script);
        model.health = Some(health(Duration::from_millis(50)));
        let spec = Arc::new(LaunchSpec::of_all(&config(vec![model]), Path::new("/nonexistent")).remove(0));
        let (shutdown, signal) = shutdown_signal::channel();
        let monitor = Monitor::start(None);
        let factory = EngineFactory {
            allocator: allocator::GpuAllocator::new(monitor.clone()),
            monitor,
            client: Arc::default(),
            shutdown: signal,
            notices: tokio::sync::mpsc::channel(1000).0,
            events: EventBus::default(),
        };
        let pool = EngineRegistry::new(["m".into()]).0.pool("m").expect("the model");
        pool.set_served_name(Some("m".into()));
        let port = Ports::within(1024..=65535).adopt(stub.address.port()).expect("a claim").expect("not claimed");
        let job = Launcher::new(folder.path()).expect("a folder").job(&spec, 0, port);
        let made = factory.make(Blueprint { spec, replica: 0, grant: None, pool, found: None }, job);
        drop(made.handle.order(Goal::Start));
        Self { engine: made.handle.engine.clone(), shutdown, task: tokio::spawn(made.life), folder }
    }

    async fn stop(self) {
        self.shutdown.say(ShutdownMode::Stop(Instant::now()));
        timeout(PATIENCE, self.task).await.expect("it stops").expect("no panic");
        assert_eq!(self.engine.state().word(), "stopped");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ready_engine_that_dies_is_failed_whatever_its_port_answers() {
    let stub = StubServer::serving(&["m"]).await;
    let posed = Posed::start("echo $$; exec sleep 300", &stub);
    let engine = posed.engine.clone();
    reached(&engine, "ready").await;
    assert_eq!(engine.cards()[0].get("max_model_len"), Some(&Value::from(512)));
    let pid = pids(&posed.folder.path().join("logs/m_0.log"), 1).await[0];
    kill_process(pid, Signal::KILL).expect("our own child");
    let reason = failed(&engine).await.cause.to_string();
    assert!(reason.starts_with("the process died while serving (signal 9, SIGKILL)"), "{reason}");
    assert!(!engine.is_ready());
    posed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_of_ours_goes_down_and_up_with_its_health() {
    let stub = StubServer::serving(&["m"]).await;
    let posed = Posed::start("exec sleep 300", &stub);
    let engine = posed.engine.clone();
    reached(&engine, "ready").await;
    stub.set_health(503);
    let state = reached(&engine, "unhealthy").await;
    assert_eq!(state.detail().as_deref(), Some("GET /health: it answered 503"));
    stub.set_health(200);
    reached(&engine, "ready").await;
    posed.stop().await;
}

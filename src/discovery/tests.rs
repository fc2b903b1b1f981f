//! Engines of others as real servers: watched, kept over changes of the configuration, given up.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::config::{Config, EngineUrl, Engines, Health, Model};
use crate::engines::testing::StubServer;
use crate::engines::{Engine, EngineRegistry, EngineState, Lease, Pool};
use crate::secret::Secret;
use crate::telemetry::EventBus;

/// More than anything here takes on a busy machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Too rarely to be seen.
const RARELY: Duration = Duration::from_secs(3600);

/// A model whose engines are `servers`, looked at every `interval`.
fn model(servers: &[&StubServer], interval: Duration) -> Model {
    let urls = servers.iter().map(|server| server.url()).collect();
    Model { engines: Engines::Urls(urls), health: Some(health(interval)), ..Model::for_test("m") }
}

fn health(interval: Duration) -> Health {
    Health { path: "/health".into(), interval, timeout: Duration::from_secs(10), failures: 2, successes: 1 }
}

fn config(model: Model) -> Config {
    Config { models: vec![model], ..Config::for_test() }
}

/// Engines of one model, and who watches them.
struct Rig {
    registry: Arc<EngineRegistry>,
    pool: Arc<Pool>,
    discovery: Discovery,
}

impl Rig {
    fn of(model: Model) -> Self {
        let (registry, _) = EngineRegistry::new([model.name.clone()]);
        let pool = registry.pool(&model.name).expect("the model");
        let discovery = Discovery::start(&config(model), registry.clone(), Arc::default(), EventBus::default());
        Self { registry, pool, discovery }
    }

    fn engine(&self, at: usize) -> Arc<Engine> {
        self.pool.engines()[at].clone()
    }

    async fn stop(self) {
        timeout(PATIENCE, self.discovery.stop(Duration::ZERO)).await.expect("a stop ends");
    }
}

async fn reached(engine: &Engine, word: &str) -> Arc<EngineState> {
    let told = timeout(PATIENCE, engine.reached(|state| state.word() == word)).await;
    told.unwrap_or_else(|_| unreachable!("never {word}: {:?}", engine.state()))
}

#[tokio::test]
async fn an_engine_is_ready_with_what_it_serves_and_teaches_its_name() {
    let server = StubServer::serving(&["org/name", "lora"]).await;
    let rig = Rig::of(model(&[&server], Duration::from_millis(50)));
    let engine = rig.engine(0);
    assert_eq!(engine.id.as_str(), format!("m/127.0.0.1:{}", server.address.port()));
    reached(&engine, "ready").await;
    assert_eq!(rig.pool.served_name().as_deref(), Some("org/name"));
    assert_eq!(engine.cards().len(), 2);
    assert_eq!(engine.socket(), Some(server.address));
    server.set_health(500);
    reached(&engine, "unhealthy").await;
    server.set_health(200);
    reached(&engine, "ready").await;
    rig.stop().await;
    assert_eq!(engine.state().word(), "stopped");
}

#[tokio::test]
async fn a_suspected_engine_is_looked_at_now_and_readmitted_when_it_is_well() {
    let server = StubServer::serving(&["m"]).await;
    let rig = Rig::of(model(&[&server], RARELY));
    let engine = rig.engine(0);
    reached(&engine, "ready").await;
    assert_eq!(server.checks(), 1);
    engine.eject(RARELY);
    timeout(PATIENCE, engine.reached(|_| !engine.is_ejected())).await.expect("readmitted");
    assert_eq!(server.checks(), 2);

    server.set_health(503);
    let down = async {
        while engine.is_ready() {
            engine.eject(RARELY);
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, down).await.expect("suspicions are as good as intervals");
    // As many looks as failures are configured, and perhaps one for the last suspicion: not one for each.
    assert!((4..=5).contains(&server.checks()), "{}", server.checks());
    rig.stop().await;
}

#[tokio::test]
async fn an_engine_that_serves_something_else_says_what_to_set() {
    let server = StubServer::serving(&["a"]).await;
    let rig = Rig::of(Model { served_name: Some("x".into()), ..model(&[&server], RARELY) });
    let state = reached(&rig.engine(0), "unhealthy").await;
    assert_eq!(state.detail().as_deref(), Some("it serves `a`, not `x`; set `served_name: a`"));
    rig.stop().await;
}

#[tokio::test]
async fn an_engine_is_asked_with_the_models_key() {
    let server = StubServer::serving(&["a"]).await;
    server.set_key("sk-1");
    let with_key = Model { api_key: Some(Secret::new("sk-1")), ..model(&[&server], RARELY) };
    let rig = Rig::of(model(&[&server], RARELY));
    let state = reached(&rig.engine(0), "unhealthy").await;
    assert!(state.detail().is_some_and(|text| text.contains("refuses our key")), "{state:?}");
    let before = rig.engine(0);
    rig.discovery.apply(&config(with_key)).await;
    assert!(!Arc::ptr_eq(&before, &rig.engine(0)), "with another key it is another engine");
    reached(&rig.engine(0), "ready").await;
    reached(&before, "stopped").await;
    rig.stop().await;
}

#[tokio::test]
async fn without_health_checks_an_engine_is_ready_and_its_name_is_asked_for() {
    let server = StubServer::serving(&["a"]).await;
    let rig = Rig::of(Model { health: None, ..model(&[&server], RARELY) });
    reached(&rig.engine(0), "ready").await;
    let named = async {
        while rig.pool.served_name().is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, named).await.expect("a name");
    assert_eq!((rig.pool.served_name().as_deref(), server.checks()), (Some("a"), 0));
    rig.stop().await;
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unhealthy_with_the_reason() {
    // Nobody listens on port 1.
    let nobody = EngineUrl { tls: false, host: "localhost".into(), port: 1, base: String::new() };
    let health = Some(health(Duration::from_millis(20)));
    let rig = Rig::of(Model { engines: Engines::Urls(vec![nobody]), health, ..Model::for_test("m") });
    let state = reached(&rig.engine(0), "unhealthy").await;
    assert!(state.detail().as_deref() == Some("GET /health: connection refused"), "{state:?}");
    rig.stop().await;
}

#[tokio::test]
async fn an_engine_that_stays_listed_keeps_its_state_and_counts_wherever_it_stands() {
    let (a, b) = (StubServer::serving(&["m"]).await, StubServer::serving(&["m"]).await);
    let rig = Rig::of(model(&[&a], RARELY));
    let kept = rig.engine(0);
    reached(&kept, "ready").await;
    let lease = Lease::try_take(kept.clone()).expect("it takes requests");
    // Listed twice, it is one engine all the same; looked at more often, it is still the same.
    rig.discovery.apply(&config(model(&[&b, &a, &a], Duration::from_millis(20)))).await;
    assert_eq!(rig.pool.engines().len(), 2);
    assert!(Arc::ptr_eq(&kept, &rig.engine(1)) && kept.is_ready());
    assert_eq!(kept.in_flight(), 1);
    let checks = a.checks();
    let more = async {
        while a.checks() < checks + 3 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, more).await.expect("by the new interval");

    reached(&rig.engine(0), "ready").await;
    rig.discovery.apply(&config(model(&[&b], RARELY))).await;
    assert_eq!(rig.pool.engines().len(), 1);
    reached(&kept, "stopping").await;
    assert_eq!(kept.in_flight(), 1, "what is under way goes on");
    drop(lease);
    reached(&kept, "stopped").await;
    rig.stop().await;
}

#[tokio::test]
async fn the_end_waits_for_attempts_but_not_longer_than_the_drain() {
    let server = StubServer::serving(&["m"]).await;
    let rig = Rig::of(model(&[&server], RARELY));
    let engine = rig.engine(0);
    reached(&engine, "ready").await;
    let _lease = Lease::take(engine.clone());
    let since = std::time::Instant::now();
    timeout(PATIENCE, rig.discovery.stop(Duration::from_millis(200))).await.expect("a stop ends");
    assert!(since.elapsed() >= Duration::from_millis(200), "{:?}", since.elapsed());
    assert_eq!(engine.state().word(), "stopped");
}

/// A bug: between the reload and the first look at the new engine, requests found no engine.
#[tokio::test]
async fn an_engine_that_is_replaced_serves_until_the_new_one_is_ready() {
    let (old, new) = (StubServer::serving(&["a"]).await, StubServer::serving(&["b"]).await);
    new.set_health(503);
    let quickly = Duration::from_millis(20);
    let rig = Rig::of(model(&[&old], quickly));
    let before = rig.engine(0);
    reached(&before, "ready").await;
    rig.discovery.apply(&config(model(&[&new], quickly))).await;
    assert_eq!(rig.pool.engines().len(), 2);
    reached(&rig.engine(0), "unhealthy").await;
    assert!(Lease::try_take(before.clone()).is_some() && rig.pool.is_ready());
    assert_eq!(rig.pool.served_name().as_deref(), Some("a"), "requests say the name of the one that answers them");
    new.set_health(200);
    reached(&before, "stopped").await;
    assert!(rig.engine(0).is_ready() && rig.pool.engines().len() == 1);
    assert_eq!(rig.pool.served_name().as_deref(), Some("b"));

    // With a configured name it is the same.
    let third = StubServer::serving(&["c"]).await;
    third.set_health(503);
    let before = rig.engine(0);
    let named = Model { served_name: Some("c".into()), ..model(&[&third], quickly) };
    rig.discovery.apply(&config(named)).await;
    reached(&rig.engine(0), "unhealthy").await;
    assert!(before.is_ready() && rig.pool.served_name().as_deref() == Some("b"));
    third.set_health(200);
    reached(&before, "stopped").await;
    assert!(rig.pool.is_ready() && rig.pool.served_name().as_deref() == Some("c"));
    rig.stop().await;
}

#[tokio::test]
async fn an_engine_that_is_replaced_and_fails_is_given_up_and_one_whose_model_is_removed_is_given_up_at_once() {
    let (old, new) = (StubServer::serving(&["a"]).await, StubServer::serving(&["a"]).await);
    new.set_health(503);
    let quickly = Duration::from_millis(20);
    let rig = Rig::of(model(&[&old], quickly));
    let before = rig.engine(0);
    reached(&before, "ready").await;
    rig.discovery.apply(&config(model(&[&new], quickly))).await;
    assert!(before.is_ready());
    old.set_health(503);
    reached(&before, "stopped").await;
    assert_eq!(rig.pool.engines().len(), 1);

    new.set_health(200);
    let before = rig.engine(0);
    reached(&before, "ready").await;
    rig.registry.set_models([]);
    rig.discovery.apply(&Config { models: vec![], ..Config::for_test() }).await;
    reached(&before, "stopped").await;
    rig.stop().await;
}

/// A bug: an engine that was listed again while it finished its last attempts was there twice, with one id.
#[tokio::test]
async fn an_engine_that_is_listed_again_before_it_has_finished_is_the_same_engine() {
    let (a, b) = (StubServer::serving(&["m"]).await, StubServer::serving(&["m"]).await);
    let rig = Rig::of(model(&[&a, &b], RARELY));
    let (kept, other) = (rig.engine(0), rig.engine(1));
    reached(&kept, "ready").await;
    reached(&other, "ready").await;
    let lease = Lease::try_take(kept.clone()).expect("it takes requests");
    rig.discovery.apply(&config(model(&[&b], RARELY))).await;
    reached(&kept, "stopping").await;
    rig.discovery.apply(&config(model(&[&a, &b], RARELY))).await;
    assert!(Arc::ptr_eq(&kept, &rig.engine(0)), "with what it has under way");
    reached(&kept, "ready").await;
    assert_eq!(kept.in_flight(), 1);
    drop(lease);
    // One that serves until others do, too.
    let c = StubServer::serving(&["m"]).await;
    c.set_health(503);
    rig.discovery.apply(&config(model(&[&c], RARELY))).await;
    assert!(kept.is_ready() && kept.is_retiring());
    rig.discovery.apply(&config(model(&[&a], RARELY))).await;
    assert!(Arc::ptr_eq(&kept, &rig.engine(0)) && kept.is_ready() && !kept.is_retiring());
    reached(&other, "stopped").await;
    rig.stop().await;
}

#[tokio::test]
async fn without_the_name_that_was_configured_an_engine_serves_on_by_it() {
    let server = StubServer::serving(&["first", "second"]).await;
    let named = |name: Option<&str>| Model { served_name: name.map(Into::into), ..model(&[&server], RARELY) };
    let rig = Rig::of(named(Some("second")));
    let engine = rig.engine(0);
    reached(&engine, "ready").await;
    rig.discovery.apply(&config(named(None))).await;
    assert!(Arc::ptr_eq(&engine, &rig.engine(0)) && engine.is_ready());
    assert_eq!(rig.pool.served_name().as_deref(), Some("second"));
    rig.discovery.apply(&config(named(Some("first")))).await;
    assert!(engine.is_ready() && rig.pool.served_name().as_deref() == Some("first"));
    rig.stop().await;
}

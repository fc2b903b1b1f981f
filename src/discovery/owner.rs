//! The one owner of external engines: takes them in, keeps those that stay, gives up the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::sources::{self, RemoteModel};
use super::watcher::{Ending, Watcher};
use crate::api::StopReason;
use crate::config::{Config, EngineUrl, Model};
use crate::engines::health::{Owner as RunBy, Prober};
use crate::engines::{Address, Engine, EngineClient, EngineRegistry, Pool};
use crate::ids::Name;
use crate::telemetry::EventBus;

/// Everything that looks after external engines. Dropped, it leaves them as they are.
#[derive(Debug)]
pub struct Discovery {
    requests: mpsc::UnboundedSender<Request>,
}

/// What the owner can be asked to do.
enum Request {
    /// Watch these from now on; tells when their engines are known.
    Apply(Vec<RemoteModel>, oneshot::Sender<()>),
    /// Give all up; attempts under way may go on until then. Tells when all is over.
    Stop(Instant, oneshot::Sender<()>),
}

impl Discovery {
    /// Puts the engines that `config` lists into the pools of `registry`, which has its models, and watches them.
    #[must_use]
    pub fn start(config: &Config, registry: Arc<EngineRegistry>, client: Arc<EngineClient>, events: EventBus) -> Self {
        let mut owner = Owner { registry, client, events, models: BTreeMap::new(), watchers: JoinSet::new() };
        owner.apply(sources::listed(config));
        let (requests, received) = mpsc::unbounded_channel();
        tokio::spawn(owner.run(received));
        Self { requests }
    }

    /// Watches the engines that `config` lists from now on; returns when they are in their pools. An engine that stays
    /// keeps its state and its counts; one that is listed no more finishes the attempts that it has.
    pub async fn apply(&self, config: &Config) {
        let (done, known) = oneshot::channel();
        let _ = self.requests.send(Request::Apply(sources::listed(config), done));
        let _ = known.await;
    }

    /// Gives all engines up: they get no more requests, attempts under way may go on for `drain`.
    pub async fn stop(&self, drain: Duration) {
        let (done, over) = oneshot::channel();
        let _ = self.requests.send(Request::Stop(Instant::now() + drain, done));
        if over.await.is_err() {
            tracing::error!("the task that watches remote engines had failed");
        }
    }
}

/// What is known of external engines.
struct Owner {
    registry: Arc<EngineRegistry>,
    client: Arc<EngineClient>,
    events: EventBus,
    models: BTreeMap<Name, Watched>,
    watchers: JoinSet<()>,
}

/// One model.
struct Watched {
    model: Model,
    endpoints: Vec<Endpoint>,
}

/// One engine.
struct Endpoint {
    url: EngineUrl,
    engine: Arc<Engine>,
    /// Gives it up.
    end: oneshot::Sender<Ending>,
}

impl Owner {
    async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) {
        loop {
            tokio::select! {
                request = requests.recv() => match request {
                    Some(Request::Apply(models, done)) => {
                        self.apply(models);
                        let _ = done.send(());
                    }
                    Some(Request::Stop(until, done)) => {
                        self.stop(until).await;
                        let _ = done.send(());
                        return;
                    }
                    None => return,
                },
                Some(ended) = self.watchers.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a task that watches a remote engine failed");
                    }
                }
            }
        }
    }

    fn apply(&mut self, models: Vec<RemoteModel>) {
        let mut before = std::mem::take(&mut self.models);
        for remote in models {
            let name = remote.model.name.clone();
            let Some(pool) = self.registry.pool(&name) else {
                tracing::error!(model = %name, "requests do not know a model with `urls:`; it is left out");
                continue;
            };
            let known = before.remove(&name);
            if known.as_ref().is_none_or(|known| known.model.served_name != remote.model.served_name) {
                // Without a configured name, engines are asked for it; they serve by the one before until they have answered.
                let name = remote.model.served_name.clone();
                if name.is_some() || known.is_none() {
                    pool.set_served_name(name);
                }
            }
            let endpoints = self.endpoints(&remote, known, &pool);
            pool.set_engines(endpoints.iter().map(|endpoint| endpoint.engine.clone()).collect());
            self.models.insert(name, Watched { model: remote.model, endpoints });
        }
        before.into_values().flat_map(|model| model.endpoints).for_each(give_up);
    }

    /// The engines of a model: those that are known already are kept.
    fn endpoints(&mut self, remote: &RemoteModel, known: Option<Watched>, pool: &Arc<Pool>) -> Vec<Endpoint> {
        let RemoteModel { model, urls } = remote;
        let (before, mut known) = known.map_or((None, vec![]), |known| (Some(known.model), known.endpoints));
        // An engine is asked with its own key, so another key makes it another engine.
        let has_same_key = before.as_ref().is_some_and(|before| before.api_key == model.api_key);
        let is_watched_alike = before
            .as_ref()
            .is_some_and(|before| before.health == model.health && before.served_name == model.served_name);
        let mut endpoints = Vec::new();
        for url in urls {
            let same = known.iter().position(|endpoint| endpoint.url == *url).filter(|_| has_same_key);
            endpoints.push(match same.map(|at| known.remove(at)) {
                Some(endpoint) if is_watched_alike => endpoint,
                Some(Endpoint { engine, .. }) => self.watch(model, url, engine, pool),
                None => {
                    let address = Address { url: url.clone(), api_key: model.api_key.clone() };
                    let engine = Arc::new(Engine::new(sources::id(model, url), address, None));
                    self.watch(model, url, engine, pool)
                }
            });
        }
        known.into_iter().for_each(give_up);
        endpoints
    }

    fn watch(&mut self, model: &Model, url: &EngineUrl, engine: Arc<Engine>, pool: &Arc<Pool>) -> Endpoint {
        let prober = Prober::new(model, engine.clone(), pool.clone(), self.client.clone(), RunBy::SomebodyElse);
        let (end, ended) = oneshot::channel();
        let watcher = Watcher {
            model: model.name.clone(),
            engine: engine.clone(),
            prober,
            thresholds: Prober::thresholds(model),
            events: self.events.clone(),
        };
        self.watchers.spawn(watcher.run(ended));
        Endpoint { url: url.clone(), engine, end }
    }

    async fn stop(mut self, until: Instant) {
        let ending = Ending { reason: StopReason::GatewayExit, until: Some(until) };
        for endpoint in self.models.into_values().flat_map(|model| model.endpoints) {
            let _ = endpoint.end.send(ending);
        }
        // Those that were given up before have no deadline of their own.
        let all = async { while self.watchers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout_at(until + SLACK, all).await;
    }
}

/// How long a watcher may take beyond the end of its attempts.
const SLACK: Duration = Duration::from_millis(100);

/// An engine that is listed no more finishes the attempts that it has.
fn give_up(endpoint: Endpoint) {
    let _ = endpoint.end.send(Ending { reason: StopReason::Removed, until: None });
}

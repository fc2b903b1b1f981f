//! The one owner of external engines: takes them in, keeps those that stay, gives up the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::sources::{self, RemoteModel};
use super::watcher::{Ending, Watcher, publish};
use crate::api::{StartPhase, StopReason};
use crate::config::{Config, EngineUrl, Model};
use crate::engines::health::Prober;
use crate::engines::{Address, Engine, EngineClient, EngineRegistry, EngineState, Owner as RunBy, Pool};
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
        let mut owner = Owner {
            registry,
            client,
            events,
            models: BTreeMap::new(),
            retiring: Vec::new(),
            watchers: JoinSet::new(),
            handovers: JoinSet::new(),
            awaited: Vec::new(),
        };
        owner.apply(sources::listed(config));
        let (requests, received) = mpsc::unbounded_channel();
        tokio::spawn(owner.run(received));
        Self { requests }
    }

    /// Watches the engines that `config` lists from now on; returns when they are in their pools. An engine that stays
    /// keeps its state and its counts. One that is listed no more takes requests until another engine of its model does, as
    /// long as it is healthy itself; then it finishes the attempts that it has.
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
    /// Those that are listed no more.
    retiring: Vec<Retiring>,
    /// Each ends with whether its engine has finished for good.
    watchers: JoinSet<bool>,
    /// Each ends when the retiring engines of its model are needed no more.
    handovers: JoinSet<Arc<Pool>>,
    /// The models that `handovers` wait for.
    awaited: Vec<Arc<Pool>>,
}

/// One model.
struct Watched {
    model: Model,
    pool: Arc<Pool>,
    endpoints: Vec<Endpoint>,
}

/// One engine.
struct Endpoint {
    url: EngineUrl,
    engine: Arc<Engine>,
    /// Gives it up; `None`: it was given up.
    end: Option<oneshot::Sender<Ending>>,
    watcher: AbortHandle,
}

/// An engine that is listed no more.
struct Retiring {
    pool: Arc<Pool>,
    endpoint: Endpoint,
}

impl Retiring {
    /// Whether it takes requests yet.
    fn serves(&self) -> bool {
        self.endpoint.end.is_some()
    }
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
                Some(ended) = self.watchers.join_next_with_id() => self.watcher_ended(ended),
                Some(pool) = self.handovers.join_next() => {
                    self.awaited.retain(|awaited| pool.as_ref().is_ok_and(|pool| !Arc::ptr_eq(awaited, pool)));
                    self.settle();
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
            if known.is_none() && pool.is_handed_over() {
                // Without a configured name, engines are asked for it.
                pool.set_served_name(remote.model.served_name.clone());
            }
            let endpoints = self.endpoints(&remote, known, &pool);
            self.models.insert(name, Watched { model: remote.model, pool, endpoints });
        }
        for Watched { pool, endpoints, .. } in before.into_values() {
            endpoints.into_iter().for_each(|endpoint| self.retire(&pool, endpoint));
        }
        self.settle();
    }

    /// The engines of a model: those that are known already are kept.
    fn endpoints(&mut self, remote: &RemoteModel, known: Option<Watched>, pool: &Arc<Pool>) -> Vec<Endpoint> {
        let RemoteModel { model, urls } = remote;
        let (before, mut known) = known.map_or((None, vec![]), |known| (Some(known.model), known.endpoints));
        let is_watched_alike = before
            .as_ref()
            .is_some_and(|before| before.health == model.health && before.served_name == model.served_name);
        let mut endpoints = Vec::new();
        for url in urls {
            // An engine is asked with its own key, so another key makes it another engine.
            let is_same = |known: &Endpoint| known.url == *url && known.engine.address.api_key == model.api_key;
            let kept = known.iter().position(is_same).map(|at| known.remove(at));
            endpoints.push(match kept {
                Some(endpoint) if is_watched_alike => endpoint,
                Some(Endpoint { engine, .. }) => self.watch(model, url, engine, pool),
                None => match self.revived(model, is_same) {
                    Some(engine) => self.watch(model, url, engine, pool),
                    None => {
                        let address = Address { url: url.clone(), api_key: model.api_key.clone() };
                        let id = sources::id(model, url);
                        let history = pool.history(&id);
                        let engine = Arc::new(Engine::new(id, address, None).with_history(history));
                        self.watch(model, url, engine, pool)
                    }
                },
            });
        }
        known.into_iter().for_each(|endpoint| self.retire(pool, endpoint));
        endpoints
    }

    /// The engine that `is_same` knows, if it was given up and has not finished yet: it is listed again.
    fn revived(&mut self, model: &Model, is_same: impl Fn(&Endpoint) -> bool) -> Option<Arc<Engine>> {
        let at = self.retiring.iter().position(|it| it.pool.model == model.name && is_same(&it.endpoint))?;
        let Endpoint { engine, end, watcher, .. } = self.retiring.remove(at).endpoint;
        engine.set_retiring(false);
        if end.is_none() {
            // It says nothing any more, and only waits.
            watcher.abort();
            publish(&self.events, &model.name, &engine, EngineState::starting(StartPhase::Unknown));
        }
        Some(engine)
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
        let watcher = self.watchers.spawn(watcher.run(ended));
        Endpoint { url: url.clone(), engine, end: Some(end), watcher }
    }

    /// An engine that is listed no more takes requests until they can go to another one: see [`Pool::is_handed_over`].
    fn retire(&mut self, pool: &Arc<Pool>, endpoint: Endpoint) {
        endpoint.engine.set_retiring(true);
        self.retiring.push(Retiring { pool: pool.clone(), endpoint });
    }

    /// Shows requests what there is, and gives up what they need no more.
    fn settle(&mut self) {
        self.show();
        for it in &mut self.retiring {
            let has_model = self.registry.pool(&it.pool.model).is_some_and(|pool| Arc::ptr_eq(&pool, &it.pool));
            if (!has_model || it.pool.is_handed_over())
                && let Some(end) = it.endpoint.end.take()
            {
                let _ = end.send(Ending { reason: StopReason::Removed, until: None });
            }
        }
        self.show();
        for Watched { model, pool, .. } in self.models.values() {
            // Requests say the name before until those engines serve that know this one.
            if let Some(name) = model.served_name.as_ref().filter(|name| pool.may_be_named(name)) {
                pool.set_served_name(Some(name.clone()));
            }
        }
        self.await_handovers();
    }

    /// Shows requests the engines that are listed, and those that are needed yet.
    fn show(&self) {
        let mut all: Vec<(&Arc<Pool>, &[Endpoint])> =
            self.models.values().map(|model| (&model.pool, &*model.endpoints)).collect();
        for Retiring { pool, .. } in &self.retiring {
            if !all.iter().any(|(known, _)| Arc::ptr_eq(known, pool)) {
                all.push((pool, &[]));
            }
        }
        for (pool, listed) in all {
            let needed = self.retiring.iter().filter(|it| it.serves() && Arc::ptr_eq(&it.pool, pool));
            let shown = listed.iter().chain(needed.map(|it| &it.endpoint));
            pool.set_engines(RunBy::SomebodyElse, shown.map(|endpoint| endpoint.engine.clone()).collect());
        }
    }

    /// Waits for models whose retiring engines are needed yet.
    fn await_handovers(&mut self) {
        let pools = self.models.values().map(|model| &model.pool);
        let pools = pools.chain(self.retiring.iter().filter(|it| it.serves()).map(|it| &it.pool));
        for pool in pools.filter(|pool| !pool.is_handed_over()) {
            if !self.awaited.iter().any(|awaited| Arc::ptr_eq(awaited, pool)) {
                for it in self.retiring.iter().filter(|it| it.serves() && Arc::ptr_eq(&it.pool, pool)) {
                    let engine = &it.endpoint.engine.id;
                    tracing::info!(%engine, "the configuration has this engine no more: it serves until one that replaces it is ready");
                }
                self.awaited.push(pool.clone());
                let pool = pool.clone();
                self.handovers.spawn(async move {
                    pool.handed_over().await;
                    pool
                });
            }
        }
    }

    /// A task that watched an engine has ended: the engine has finished for good, or another task watches it.
    fn watcher_ended(&mut self, ended: Result<(Id, bool), JoinError>) {
        match ended {
            Ok((task, true)) => {
                let Some(at) = self.retiring.iter().position(|it| it.endpoint.watcher.id() == task) else { return };
                let Retiring { pool, endpoint } = self.retiring.swap_remove(at);
                publish(&self.events, &pool.model, &endpoint.engine, EngineState::Stopped);
            }
            Err(error) if error.is_panic() => {
                tracing::error!(%error, "a task that watches a remote engine failed");
            }
            Ok((_, false)) | Err(_) => {}
        }
    }

    async fn stop(mut self, until: Instant) {
        let ending = Ending { reason: StopReason::GatewayExit, until: Some(until) };
        for Watched { pool, endpoints, .. } in std::mem::take(&mut self.models).into_values() {
            self.retiring.extend(endpoints.into_iter().map(|endpoint| Retiring { pool: pool.clone(), endpoint }));
        }
        for end in self.retiring.iter_mut().filter_map(|it| it.endpoint.end.take()) {
            let _ = end.send(ending);
        }
        // Those that were given up before have no deadline of their own.
        let all = async {
            while let Some(ended) = self.watchers.join_next_with_id().await {
                self.watcher_ended(ended);
            }
        };
        let _ = tokio::time::timeout_at(until + SLACK, all).await;
    }
}

/// How long a watcher may take beyond the end of its attempts.
const SLACK: Duration = Duration::from_millis(100);

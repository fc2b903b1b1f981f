//! What all requests share: the snapshot, the engines, what is counted, and whether the gateway shuts down.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};

use super::memory::BodyMemory;
use super::recorder::Recorder;
use super::stored::StoredResponses;
use super::upstream::EngineConnections;
use crate::admission::Admission;
use crate::engines::{EngineClient, EngineRegistry};
use crate::openai::Endpoint;
use crate::routing::Snapshot;
use crate::telemetry::{AccessLog, Metrics, RequestSink, Tracer};

/// Copies under way at once over all aliases; further ones are dropped. A slow mirror must cost us no memory.
const MIRRORS: usize = 256;

/// Things that operators are told once; the memory of it is bounded.
const TOLD: usize = 256;

/// State of the data path.
#[derive(Debug)]
pub struct ProxyState {
    snapshot: ArcSwap<Snapshot>,
    pub(super) registry: Arc<EngineRegistry>,
    pub(super) recorder: Recorder,
    pub(super) memory: Arc<BodyMemory>,
    /// For requests of our own.
    pub(super) client: Arc<EngineClient>,
    /// For requests of callers.
    pub(super) connections: EngineConnections,
    pub(super) admission: Admission,
    /// Room for copies of requests.
    pub(super) mirrors: Arc<Semaphore>,
    pub(super) learned: Learned,
    /// Which engine made which response.
    pub(super) stored: StoredResponses,
    callers: AtomicUsize,
    stage: watch::Sender<Stage>,
}

/// What is worth knowing beyond one request.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// The inference routes that engines said they have, and when they did, by their keys.
    pub(super) served_routes: Mutex<HashMap<u64, (Instant, Vec<Endpoint>)>>,
    /// What operators were told once.
    told: Mutex<HashSet<String>>,
}

/// How far the shutdown of the gateway has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    /// Requests under way may finish.
    Draining,
    /// They are given up.
    Aborting,
}

/// Tells one request when it is given up.
#[derive(Clone, Debug)]
pub(super) struct AbortSignal(watch::Receiver<Stage>);

impl AbortSignal {
    /// Returns when the request is given up.
    pub(super) async fn aborted(&mut self) {
        if self.0.wait_for(|stage| *stage == Stage::Aborting).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl ProxyState {
    /// The data path over `registry`, which serves `snapshot` first.
    #[must_use]
    pub fn new(
        snapshot: Snapshot,
        registry: Arc<EngineRegistry>,
        client: Arc<EngineClient>,
        metrics: Arc<Metrics>,
        (access_log, requests, tracer): (AccessLog, RequestSink, Option<Tracer>),
    ) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            registry,
            memory: Arc::new(BodyMemory::new(metrics.gateway.body_bytes.clone())),
            recorder: Recorder::new(metrics, access_log, requests, tracer),
            client,
            connections: EngineConnections::default(),
            admission: Admission::default(),
            mirrors: Arc::new(Semaphore::new(MIRRORS)),
            learned: Learned::default(),
            stored: StoredResponses::default(),
            callers: AtomicUsize::new(0),
            stage: watch::Sender::new(Stage::Serving),
        }
    }

    /// The snapshot that a request keeps from here on.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Has later requests see `snapshot`. Requests under way go on with the one they have.
    pub fn swap(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// `/readyz` fails from now on, so that a load balancer stops sending requests here.
    pub fn drain(&self) {
        self.stage.send_replace(Stage::Draining);
    }

    /// Gives up all answers under way; their callers get an error.
    pub fn abort(&self) {
        self.stage.send_replace(Stage::Aborting);
    }

    /// Whether the shutdown has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.stage.borrow() != Stage::Serving
    }

    /// Whether operators were not told `what` yet. Too many different things are no news any more.
    pub(super) fn is_news(&self, what: String) -> bool {
        let mut told = self.learned.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < TOLD && told.insert(what)
    }

    /// Tells one request when it is given up.
    pub(super) fn abort_signal(&self) -> AbortSignal {
        AbortSignal(self.stage.subscribe())
    }

    /// Counts an open connection in; `None` when there are as many as there may be, over all addresses.
    pub(super) fn count_connection(self: &Arc<Self>) -> Option<Connection> {
        let limit = self.snapshot.load().limits.connections;
        if self.callers.fetch_add(1, Ordering::AcqRel) >= limit {
            self.callers.fetch_sub(1, Ordering::AcqRel);
            self.recorder.metrics.gateway.connections_refused.inc();
            return None;
        }
        self.recorder.metrics.gateway.connections.inc();
        Some(Connection(self.clone()))
    }
}

/// An open connection, counted out when dropped.
pub(super) struct Connection(Arc<ProxyState>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.callers.fetch_sub(1, Ordering::AcqRel);
        self.0.recorder.metrics.gateway.connections.dec();
    }
}

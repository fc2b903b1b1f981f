//! One running server of a model: where it is, how it does, what it has to do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::{Map, Value};
use tokio::sync::Notify;

use super::State;
use crate::config::EngineUrl;
use crate::ids::EngineId;
use crate::secret::Secret;

/// One entry of an engine's `/v1/models`, as it sent it (OpenAI API reference, Models; vLLM adds `root`, `parent`, `max_model_len`).
pub type Card = Map<String, Value>;

/// Where an engine is reached.
#[derive(Clone, Debug)]
pub struct Address {
    /// What was configured or chosen: host name, port, TLS.
    pub url: EngineUrl,
    /// Sent as `Authorization: Bearer`.
    pub api_key: Option<Secret>,
}

/// What there is to know of an engine that we run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Local {
    /// What it writes to.
    pub log: PathBuf,
}

/// How long an idle connection is kept for reuse where nothing else is known: vLLM closes its end after 5 s.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// An engine. Reads on the data path are atomic loads.
#[derive(Debug)]
pub struct Engine {
    /// Its name.
    pub id: EngineId,
    /// Where it is.
    pub address: Address,
    /// `address` resolved; `None` until a look-up succeeded.
    socket: ArcSwapOption<SocketAddr>,
    /// `Host` header value.
    authority: Arc<str>,
    keep_alive: Duration,
    local: Option<Local>,
    /// See [`Engine::gpus`].
    gpus: ArcSwapOption<Vec<String>>,
    state: ArcSwap<State>,
    ready: AtomicBool,
    cards: ArcSwap<Vec<Card>>,
    in_flight: AtomicUsize,
    /// Milliseconds after `born` until which nothing is sent here; 0: not ejected.
    ejected_until: AtomicU64,
    born: Instant,
    /// Process id while it is a running process of ours, else 0.
    pid: AtomicU32,
    /// Processes that it was, as far as we saw.
    lives: AtomicU64,
    /// How often its process was ended because it hung.
    hangs: AtomicU64,
    /// Milliseconds after `born` at which its process was started; 0: it is not starting.
    started: AtomicU64,
    /// Milliseconds that its last start took; 0: not known.
    start_took: AtomicU64,
    /// Wakes the health check of this engine before its interval is over.
    suspected: Notify,
    /// Wakes whoever waits for the last lease to end.
    idle: Notify,
    /// Wakes whoever waits for another state.
    changed: Notify,
}

impl Engine {
    /// An engine that is starting. `socket` is known at once for processes of ours.
    #[must_use]
    pub fn new(id: EngineId, address: Address, socket: Option<SocketAddr>) -> Self {
        let url = &address.url;
        let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
        let standard = url.port == if url.tls { 443 } else { 80 };
        let authority = if standard { host } else { format!("{host}:{}", url.port) };
        Self {
            id,
            socket: ArcSwapOption::from_pointee(socket),
            authority: authority.into(),
            keep_alive: KEEP_ALIVE,
            local: None,
            gpus: ArcSwapOption::empty(),
            address,
            state: ArcSwap::from_pointee(State::Starting("not asked yet".into())),
            ready: AtomicBool::new(false),
            cards: ArcSwap::default(),
            in_flight: AtomicUsize::new(0),
            ejected_until: AtomicU64::new(0),
            born: Instant::now(),
            pid: AtomicU32::new(0),
            lives: AtomicU64::new(0),
            hangs: AtomicU64::new(0),
            started: AtomicU64::new(0),
            start_took: AtomicU64::new(0),
            suspected: Notify::new(),
            idle: Notify::new(),
            changed: Notify::new(),
        }
    }

    /// The same, whose idle connections may be kept for `keep_alive`.
    #[must_use]
    pub fn with_keep_alive(self, keep_alive: Duration) -> Self {
        Self { keep_alive, ..self }
    }

    /// The same, run by us.
    #[must_use]
    pub fn with_local(self, local: Local) -> Self {
        Self { local: Some(local), ..self }
    }

    /// More about it where we run it; `None`: somebody else does.
    #[must_use]
    pub fn local(&self) -> Option<&Local> {
        self.local.as_ref()
    }

    /// The GPUs it was given, as `CUDA_VISIBLE_DEVICES` names them, none while there is no room for it; `None`: it sees
    /// those that we see, or somebody else runs it.
    #[must_use]
    pub fn gpus(&self) -> Option<Arc<Vec<String>>> {
        self.gpus.load_full()
    }

    /// Notes the GPUs it was given.
    pub fn set_gpus(&self, gpus: Option<Vec<String>>) {
        self.gpus.store(gpus.map(Arc::new));
    }

    /// How long an idle connection to it may be kept for reuse; less than its own limit, or the reuse is a race.
    #[must_use]
    pub fn keep_alive(&self) -> Duration {
        self.keep_alive
    }

    /// Where to connect to; `None` while its host name does not resolve.
    #[must_use]
    pub fn socket(&self) -> Option<SocketAddr> {
        self.socket.load().as_deref().copied()
    }

    /// Notes the result of a look-up of its host name.
    pub fn set_socket(&self, socket: Option<SocketAddr>) {
        self.socket.store(socket.map(Arc::new));
    }

    /// The `Host` header to send.
    #[must_use]
    pub fn authority(&self) -> &Arc<str> {
        &self.authority
    }

    /// Its process id while it is a running process of ours.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Acquire)).filter(|pid| *pid != 0)
    }

    /// Notes its process id, or that it has none any more.
    pub fn set_pid(&self, pid: Option<u32>) {
        self.pid.store(pid.unwrap_or(0), Ordering::Release);
    }

    /// Counts a start of its process.
    pub fn count_start(&self) {
        self.lives.fetch_add(1, Ordering::Relaxed);
        self.started.store(self.age().max(1), Ordering::Relaxed);
    }

    /// Counts a process that was found running: what is started later is a restart.
    pub fn count_found(&self) {
        self.lives.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an end because it hung.
    pub fn count_hang(&self) {
        self.hangs.fetch_add(1, Ordering::Relaxed);
    }

    /// How often its process was started after the first time.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.lives.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// How often its process was ended because it hung.
    #[must_use]
    pub fn hangs(&self) -> u64 {
        self.hangs.load(Ordering::Relaxed)
    }

    /// From the last start of its process to ready; `None` until that was seen.
    #[must_use]
    pub fn start_took(&self) -> Option<Duration> {
        Some(self.start_took.load(Ordering::Relaxed)).filter(|took| *took != 0).map(Duration::from_millis)
    }

    /// Milliseconds since `born`.
    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// Says what it is doing now. A ready engine is no longer ejected.
    pub fn set_state(&self, state: State) {
        let ready = state == State::Ready;
        if ready {
            self.ejected_until.store(0, Ordering::Release);
            let started = self.started.swap(0, Ordering::Relaxed);
            if started != 0 {
                self.start_took.store(self.age().saturating_sub(started).max(1), Ordering::Relaxed);
            }
        }
        self.state.store(Arc::new(state));
        // SeqCst: see `Lease::take`.
        self.ready.store(ready, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Returns its state as soon as `wanted` holds for it.
    pub async fn reached(&self, wanted: impl Fn(&State) -> bool) -> Arc<State> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let state = self.state();
            if wanted(&state) {
                return state;
            }
            changed.await;
        }
    }

    /// Whether it is in state [`State::Ready`], ejected or not.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        // SeqCst: see `Lease::take`.
        self.ready.load(Ordering::SeqCst)
    }

    /// Whether a request just failed to reach it.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        let until = self.ejected_until.load(Ordering::Acquire);
        until != 0 && self.age() < until
    }

    /// Takes it out of rotation for `pause`, and has its health checked now: a connect was refused or a connection died.
    pub fn eject(&self, pause: Duration) {
        let until = u64::try_from((self.born.elapsed() + pause).as_millis()).unwrap_or(u64::MAX);
        self.ejected_until.store(until, Ordering::Release);
        self.suspected.notify_one();
    }

    /// Returns when somebody saw it fail.
    pub async fn suspected(&self) {
        self.suspected.notified().await;
    }

    /// What it serves, as it said last.
    #[must_use]
    pub fn cards(&self) -> Arc<Vec<Card>> {
        self.cards.load_full()
    }

    /// Notes what it serves.
    pub fn set_cards(&self, cards: Vec<Card>) {
        self.cards.store(Arc::new(cards));
    }

    /// Attempts under way here.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        // SeqCst: see `Lease::take`.
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(super) fn enter(&self) {
        // SeqCst: see `Lease::take`.
        self.in_flight.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn leave(&self) {
        if self.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.idle.notify_waiters();
        }
    }

    /// Returns when no attempt is under way.
    pub async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            idle.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(host: &str, port: u16) -> Engine {
        let url = EngineUrl { tls: false, host: host.into(), port };
        Engine::new(EngineId::new("m", 0), Address { url, api_key: None }, None)
    }

    #[test]
    fn authority_leaves_out_the_standard_port_and_brackets_ipv6() {
        assert_eq!(&**engine("a", 80).authority(), "a");
        assert_eq!(&**engine("a", 8000).authority(), "a:8000");
        assert_eq!(&**engine("::1", 8000).authority(), "[::1]:8000");
    }

    #[test]
    fn starts_after_the_first_are_restarts_and_the_last_one_is_timed() {
        let e = engine("a", 1);
        assert_eq!((e.restarts(), e.start_took()), (0, None));
        e.count_found();
        e.set_state(State::Ready);
        assert_eq!((e.restarts(), e.start_took()), (0, None), "nobody saw it start");
        e.count_start();
        assert_eq!((e.restarts(), e.start_took()), (1, None));
        e.set_state(State::Ready);
        let took = e.start_took();
        assert!(took.is_some_and(|took| took < Duration::from_secs(60)), "{took:?}");
        e.set_state(State::Starting("it wakes up".into()));
        e.set_state(State::Ready);
        assert_eq!(e.start_took(), took, "waking is no start");
    }

    #[test]
    fn becoming_ready_ends_an_ejection() {
        let e = engine("a", 1);
        e.eject(Duration::from_secs(3600));
        assert!(e.is_ejected() && !e.is_ready());
        e.set_state(State::Ready);
        assert!(!e.is_ejected() && e.is_ready());
    }
}

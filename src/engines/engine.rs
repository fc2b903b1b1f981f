//! One running server of a model: its address, its state, its requests.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use http::HeaderValue;
use serde_json::{Map, Value};
use tokio::sync::Notify;

use super::history::History;
use super::process::Process;
use super::report::Report;
use super::status::{Status, Times};
use super::{EngineState, Local};
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

/// How long an idle connection is kept for reuse where nothing else is known: vLLM closes its end after 5 s.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// An engine. Reads on the data path are atomic loads.
#[derive(Debug)]
pub struct Engine {
    /// Its name.
    pub id: EngineId,
    /// See [`Engine::key`].
    key: u64,
    /// Where it is.
    pub address: Address,
    /// What is known of its process, where we run it.
    pub process: Process,
    /// What happened to it.
    pub history: Arc<History>,
    /// `address` resolved; `None` until a look-up succeeded.
    socket: ArcSwapOption<SocketAddr>,
    /// `Host` header value.
    authority: HeaderValue,
    keep_alive: Duration,
    /// See [`Engine::health_path`].
    health_path: ArcSwapOption<String>,
    pub(super) status: Status,
    cards: ArcSwap<Vec<Card>>,
    report: ArcSwapOption<Report>,
    /// See [`Engine::is_retiring`].
    retiring: AtomicBool,
    load: Load,
}

/// Attempts under way on an engine.
#[derive(Debug, Default)]
struct Load {
    in_flight: AtomicUsize,
    /// Those of them that got no byte of an answer yet.
    unanswered: AtomicUsize,
    /// All that ever began here.
    begun: AtomicU64,
    /// Pieces of answers that came: heads, and pieces of bodies.
    pieces: AtomicU64,
    /// Attempts whose last piece waits for its caller.
    held_up: AtomicUsize,
    /// Wakes tasks that wait for the last lease to end.
    idle: Notify,
}

impl Engine {
    /// An engine that was not checked yet. `socket` is known at once for processes of ours.
    #[must_use]
    pub fn new(id: EngineId, address: Address, socket: Option<SocketAddr>) -> Self {
        let url = &address.url;
        let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
        let standard = url.port == if url.tls { 443 } else { 80 };
        let authority = if standard { host } else { format!("{host}:{}", url.port) };
        // Uniqueness is all it is for; nothing is shared by it.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id,
            key: NEXT.fetch_add(1, Ordering::Relaxed),
            process: Process::default(),
            history: Arc::default(),
            socket: ArcSwapOption::from_pointee(socket),
            // The host of a URL is a valid value.
            authority: HeaderValue::try_from(authority).unwrap_or(HeaderValue::from_static("localhost")),
            keep_alive: KEEP_ALIVE,
            health_path: ArcSwapOption::empty(),
            address,
            status: Status::default(),
            cards: ArcSwap::default(),
            report: ArcSwapOption::empty(),
            retiring: AtomicBool::new(false),
            load: Load::default(),
        }
    }

    /// The same, whose idle connections may be kept for `keep_alive`.
    #[must_use]
    pub fn with_keep_alive(self, keep_alive: Duration) -> Self {
        Self { keep_alive, ..self }
    }

    /// The same, of which something is known already.
    #[must_use]
    pub fn with_history(self, history: Arc<History>) -> Self {
        Self { history, ..self }
    }

    /// The same, run by us.
    #[must_use]
    pub fn with_local(self, local: Local) -> Self {
        Self { process: Process::of(local), ..self }
    }

    /// Identifies it among all engines that this process ever had, also among those of the same name.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.key
    }

    /// How long an idle connection to it may be kept for reuse; less than its own limit, or the reuse is a race.
    #[must_use]
    pub fn keep_alive(&self) -> Duration {
        self.keep_alive
    }

    /// Where it is asked for its health; `None`: nowhere.
    #[must_use]
    pub fn health_path(&self) -> Option<Arc<String>> {
        self.health_path.load_full()
    }

    /// Notes where it is asked for its health.
    pub(super) fn set_health_path(&self, path: Option<&str>) {
        self.health_path.store(path.map(|path| Arc::new(path.to_owned())));
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
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> Arc<EngineState> {
        self.status.state()
    }

    /// Sets its state and logs the change; returns whether the state is new. A ready engine is no longer ejected.
    pub fn publish(&self, state: EngineState) -> bool {
        let before = self.state();
        if *before == state && !(self.is_ejected() && state == EngineState::Ready) {
            return false;
        }
        match &state {
            EngineState::Ready => self.process.is_ready(),
            EngineState::Unhealthy { .. } => {}
            // What it said of its work is over.
            _ => self.set_report(None),
        }
        self.history.note(&state);
        // The state first: requests must not go to a dead engine while a line is written.
        self.status.set(state);
        log(&self.id, &before, &self.state(), self.process.local().map(|local| local.log.as_path()));
        true
    }

    /// Has `notify` woken whenever the engine changes its state.
    pub(super) fn tell_changes_to(&self, notify: &Arc<Notify>) {
        self.status.tell_changes_to(notify);
    }

    /// Returns its state as soon as `wanted` holds for it.
    pub async fn reached(&self, wanted: impl Fn(&EngineState) -> bool) -> Arc<EngineState> {
        self.status.reached(wanted).await
    }

    /// How long it is what it is, and how long its last start took.
    #[must_use]
    pub fn times(&self) -> Times {
        self.status.times()
    }

    /// Has no new requests sent to it, whatever its state, until it is let in again; those under way go on.
    pub fn withhold(&self, wanted: bool) {
        self.status.withhold(wanted);
    }

    /// Whether no new requests are sent to it because an operator wants that.
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        self.status.is_withheld()
    }

    /// Whether it is in state [`EngineState::Ready`] and not withheld; ejected or not.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status.is_ready()
    }

    /// Whether a request just failed on it.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.status.is_ejected(Instant::now)
    }

    /// Takes it out of rotation for `pause`, and has its health checked now.
    pub fn eject(&self, pause: Duration) {
        self.history.count_ejection();
        self.status.eject(Instant::now(), pause);
    }

    /// Has its health checked now.
    pub fn suspect(&self) {
        self.status.suspect();
    }

    /// Returns when it will not answer what it has: it is unhealthy, or asleep.
    pub async fn left(&self) {
        let gone = |state: &EngineState| matches!(state, EngineState::Unhealthy { .. } | EngineState::Asleep(_));
        self.status.reached(gone).await;
    }

    /// Returns when the engine was seen to fail.
    pub async fn suspected(&self) {
        self.status.suspected().await;
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

    /// What it reported of its work last; `None`: nothing, or its process was another one.
    #[must_use]
    pub fn report(&self) -> Option<Arc<Report>> {
        self.report.load_full()
    }

    /// Notes what it reports of its work.
    pub fn set_report(&self, report: Option<Report>) {
        self.report.store(report.map(Arc::new));
    }

    /// Whether it knows its model by `name`, as far as it said.
    #[must_use]
    pub fn serves(&self, name: &str) -> bool {
        let cards = self.cards.load();
        cards.is_empty() || cards.iter().any(|card| card.get("id").and_then(Value::as_str) == Some(name))
    }

    /// Whether the configuration has it no more: it takes requests only until another engine of its model does.
    #[must_use]
    pub fn is_retiring(&self) -> bool {
        self.retiring.load(Ordering::Acquire)
    }

    /// Notes whether the configuration has it no more.
    pub fn set_retiring(&self, retiring: bool) {
        self.retiring.store(retiring, Ordering::Release);
    }

    /// The context length that its cards tell, in tokens.
    #[must_use]
    pub fn context_length(&self) -> Option<u64> {
        self.cards.load().iter().find_map(|card| card.get("max_model_len").and_then(Value::as_u64))
    }

    /// Attempts under way here.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        // SeqCst: see `Lease::try_take`.
        self.load.in_flight.load(Ordering::SeqCst)
    }

    /// Attempts under way here that got no byte of an answer yet. What waits for its own caller is not among them.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.load.unanswered.load(Ordering::Relaxed)
    }

    /// Pieces of answers that ever came from here, on any request.
    #[must_use]
    pub fn pieces(&self) -> u64 {
        self.load.pieces.load(Ordering::Relaxed)
    }

    /// Counts a piece of an answer.
    pub(super) fn count_piece(&self) {
        self.load.pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// Attempts here that cannot go on because a caller takes nothing.
    #[must_use]
    pub fn held_up(&self) -> usize {
        self.load.held_up.load(Ordering::Relaxed)
    }

    /// Counts an attempt whose caller takes nothing, until the guard is dropped.
    #[must_use]
    pub fn hold_up(self: &Arc<Self>) -> HeldUp {
        self.load.held_up.fetch_add(1, Ordering::Relaxed);
        HeldUp(self.clone())
    }

    /// Counts an attempt in; the number that it has among all, if it is the only one under way.
    pub(super) fn enter(&self) -> Option<u64> {
        // SeqCst: see `Lease::try_take`.
        let others = self.load.in_flight.fetch_add(1, Ordering::SeqCst);
        self.load.unanswered.fetch_add(1, Ordering::Relaxed);
        let number = self.load.begun.fetch_add(1, Ordering::Relaxed) + 1;
        (others == 0).then_some(number)
    }

    /// Attempts that ever began here.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.load.begun.load(Ordering::Relaxed)
    }

    pub(super) fn answered(&self) {
        self.load.unanswered.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        if self.load.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.load.idle.notify_waiters();
        }
    }

    /// Returns when no attempt is under way.
    pub async fn drained(&self) {
        loop {
            let idle = self.load.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            idle.await;
        }
    }
}

/// Counts an attempt whose caller takes nothing.
#[derive(Debug)]
pub struct HeldUp(Arc<Engine>);

impl Drop for HeldUp {
    fn drop(&mut self) {
        self.0.load.held_up.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One line for a change of the kind of state; smaller changes are logged at debug level, and so is what stands in the engine's
/// own log, `file`.
fn log(engine: &EngineId, before: &EngineState, now: &EngineState, file: Option<&Path>) {
    let (state, detail) = (now.word(), now.detail());
    let detail = detail.as_deref();
    if before.word() == state {
        tracing::debug!(%engine, state, detail);
        return;
    }
    match now {
        EngineState::Unhealthy { .. } => tracing::warn!(%engine, state, detail, "engine is {state}"),
        EngineState::Failed(failure) => {
            let log = file.map(|file| tracing::field::display(file.display()));
            tracing::error!(%engine, state, detail, log, "engine {state}");
            for line in &failure.log {
                tracing::debug!(%engine, "| {line}");
            }
        }
        _ => tracing::info!(%engine, state, detail, "engine is {state}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::StartPhase;

    fn engine(host: &str, port: u16) -> Engine {
        let url = EngineUrl { tls: false, host: host.into(), port, base: String::new() };
        Engine::new(EngineId::new("m", 0), Address { url, api_key: None }, None)
    }

    #[test]
    fn authority_leaves_out_the_standard_port_and_brackets_ipv6() {
        assert_eq!(engine("a", 80).authority(), "a");
        assert_eq!(engine("a", 8000).authority(), "a:8000");
        assert_eq!(engine("::1", 8000).authority(), "[::1]:8000");
    }

    #[test]
    fn becoming_ready_ends_an_ejection_and_is_news_only_then() {
        let engine = engine("a", 1);
        assert!(!engine.publish(EngineState::starting(StartPhase::Unknown)), "that is what it was");
        engine.eject(Duration::from_secs(3600));
        assert!(engine.is_ejected() && !engine.is_ready());
        assert!(engine.publish(EngineState::Ready));
        assert!(!engine.is_ejected() && engine.is_ready());
        assert!(!engine.publish(EngineState::Ready));
        engine.eject(Duration::from_secs(3600));
        assert!(engine.publish(EngineState::Ready) && !engine.is_ejected());
    }
}

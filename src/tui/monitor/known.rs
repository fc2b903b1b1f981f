//! What is known of a gateway, from its events. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::log_lines::LogLines;
use crate::api::{
    AliasView, EngineState, EngineView, Event, GpusView, LogLine, ModelView, OperationView, PulseView, Rates,
    RatesPoint, RatesView, RequestView, SnapshotView, StatusView,
};

/// Requests that are kept.
const REQUESTS: usize = 500;

/// Points of curves that are kept.
const POINTS: usize = 400;

/// Operations that are kept.
const OPERATIONS: usize = 100;

/// Lines of the gateway's own log that are kept for the overview.
const OWN_LINES: usize = 100;

/// After so long without any event the gateway, or the network, hangs: it tells something every second.
const SILENCE: Duration = Duration::from_secs(6);

/// After so long the connection is given up: the network may have lost it without a word.
const DEAF: Duration = Duration::from_secs(20);

/// How it stands with the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// Nothing was heard yet.
    Connecting,
    /// Events come.
    Up,
    /// It broke, or was never there; it is tried again.
    Down {
        /// Since when.
        since: Instant,
        /// Why.
        why: String,
    },
}

/// What is known of a gateway.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) connection: Connection,
    /// What time it is.
    pub(super) now: Instant,
    heard: Instant,
    /// The gateway itself, as it was when a snapshot came; and when that was.
    pub(super) status: Option<(StatusView, Instant)>,
    pub(super) models: Vec<ModelView>,
    engines: Vec<(EngineView, Instant)>,
    pub(super) aliases: Vec<AliasView>,
    /// The newest first.
    pub(super) operations: Vec<OperationView>,
    pub(super) gpus: GpusView,
    pub(super) rates: Option<RatesView>,
    /// The newest first.
    pub(super) requests: VecDeque<RequestView>,
    /// Lines of the gateway's own log.
    pub(super) own_log: LogLines,
}

impl Known {
    /// Nothing is known yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            connection: Connection::Connecting,
            now,
            heard: now,
            status: None,
            models: Vec::new(),
            engines: Vec::new(),
            aliases: Vec::new(),
            operations: Vec::new(),
            gpus: GpusView::default(),
            rates: None,
            requests: VecDeque::new(),
            own_log: LogLines::new(OWN_LINES),
        }
    }

    /// Whether a snapshot came: before that, nothing can be shown.
    pub(super) fn is_known(&self) -> bool {
        self.status.is_some()
    }

    /// The connection is there.
    pub(super) fn connected(&mut self) {
        (self.connection, self.heard) = (Connection::Up, self.now);
    }

    /// It is not.
    pub(super) fn lost(&mut self, why: String) {
        let since = match self.connection {
            Connection::Down { since, .. } => since,
            Connection::Up | Connection::Connecting => self.now,
        };
        self.connection = Connection::Down { since, why };
    }

    /// How long nothing was heard, where that is long.
    pub(super) fn silence(&self) -> Option<Duration> {
        let silence = self.now.duration_since(self.heard);
        (self.connection == Connection::Up && silence > SILENCE).then_some(silence)
    }

    /// Whether the connection is to be given up.
    pub(super) fn is_deaf(&self) -> bool {
        self.silence().is_some_and(|silence| silence > DEAF)
    }

    /// Takes in an event.
    pub(super) fn hear(&mut self, event: &Event) {
        self.heard = self.now;
        match event {
            Event::Snapshot(snapshot) => self.snapshot(snapshot),
            Event::Pulse(pulse) => self.pulse(pulse),
            Event::Engine { engine, state, .. } => self.engine_is(engine, state),
            Event::Operation(operation) => self.operation(operation),
            Event::Requests { requests } => requests.iter().for_each(|request| self.request(request)),
            Event::Log { lines } => lines.iter().for_each(|line| self.own_line(line)),
            // A snapshot follows; what a reload changed is asked for, or comes with the next pulse.
            Event::Resync | Event::Reload(_) | Event::Audit(_) => {}
        }
    }

    fn snapshot(&mut self, snapshot: &SnapshotView) {
        let since = |engine: &EngineView| {
            let ago = Duration::try_from_secs_f64(engine.state_seconds).unwrap_or_default();
            self.now.checked_sub(ago).unwrap_or(self.now)
        };
        self.engines = snapshot.engines.iter().map(|engine| (engine.clone(), since(engine))).collect();
        self.status = Some((snapshot.status.clone(), self.now));
        self.models.clone_from(&snapshot.models);
        self.aliases.clone_from(&snapshot.aliases);
        self.operations.clone_from(&snapshot.operations);
        self.gpus.clone_from(&snapshot.gpus);
        self.rates = Some(snapshot.rates.clone());
    }

    fn pulse(&mut self, pulse: &PulseView) {
        self.models.retain(|model| !pulse.gone_models.contains(&model.model));
        self.engines.retain(|(engine, _)| !pulse.gone_engines.contains(&engine.engine));
        for model in &pulse.models {
            match self.models.iter_mut().find(|known| known.model == model.model) {
                Some(known) => known.clone_from(model),
                None => self.models.push(model.clone()),
            }
        }
        for engine in &pulse.engines {
            let now = self.now;
            match self.engines.iter_mut().find(|(known, _)| known.engine == engine.engine) {
                Some((known, since)) => {
                    if known.state.word() != engine.state.word() {
                        *since = now;
                    }
                    known.clone_from(engine);
                }
                None => self.engines.push((engine.clone(), now)),
            }
        }
        if let Some(gpus) = &pulse.gpus {
            self.gpus.clone_from(gpus);
        }
        let history = self.rates.take().map(|rates| rates.history).unwrap_or_default();
        self.rates = Some(RatesView { history: continued(history, &pulse.rates.history), ..pulse.rates.clone() });
    }

    fn engine_is(&mut self, id: &str, state: &EngineState) {
        let now = self.now;
        if let Some((engine, since)) = self.engines.iter_mut().find(|(engine, _)| engine.engine == id) {
            if engine.state.word() != state.word() {
                *since = now;
            }
            engine.state = state.clone();
            engine.detail = state.detail();
        }
    }

    fn operation(&mut self, operation: &OperationView) {
        match self.operations.iter_mut().find(|known| known.id == operation.id) {
            Some(known) => known.clone_from(operation),
            None => self.operations.insert(0, operation.clone()),
        }
        self.operations.truncate(OPERATIONS);
    }

    fn request(&mut self, request: &RequestView) {
        // One that ended between the beginning of the events and the list was in the list, too.
        if self.requests.iter().any(|known| known.id == request.id) {
            return;
        }
        self.requests.push_front(request.clone());
        self.requests.truncate(REQUESTS);
    }

    fn own_line(&mut self, line: &LogLine) {
        // One that came between the beginning of the events and the last lines was among those, too.
        if line.time.is_none() || !self.own_log.contains(line) {
            self.own_log.push(line.clone());
        }
    }

    /// Takes in the last lines of the gateway's own log.
    pub(super) fn own_log_was(&mut self, lines: &[LogLine]) {
        self.own_log.clear();
        lines.iter().for_each(|line| self.own_log.push(line.clone()));
    }

    /// Takes in a list of requests, the newest first, that may hold known ones.
    pub(super) fn requests_were(&mut self, requests: &[RequestView]) {
        let mut all: Vec<RequestView> = requests.to_vec();
        all.extend(self.requests.iter().filter(|known| !requests.iter().any(|one| one.id == known.id)).cloned());
        all.sort_by(|one, other| other.ended.cmp(&one.ended));
        all.truncate(REQUESTS);
        self.requests = all.into();
    }

    /// All engines, by model.
    pub(super) fn engines(&self) -> impl Iterator<Item = &EngineView> {
        self.engines.iter().map(|(engine, _)| engine)
    }

    /// Engines of a model.
    pub(super) fn engines_of<'k>(&'k self, model: &'k str) -> impl Iterator<Item = &'k EngineView> {
        self.engines().filter(move |engine| engine.model == model)
    }

    /// One engine, and for how long it has been in its state.
    pub(super) fn engine(&self, id: &str) -> Option<(&EngineView, Duration)> {
        let (engine, since) = self.engines.iter().find(|(engine, _)| engine.engine == id)?;
        Some((engine, self.now.duration_since(*since)))
    }

    /// One model.
    pub(super) fn model(&self, name: &str) -> Option<&ModelView> {
        self.models.iter().find(|model| model.model == name)
    }

    /// Rates of a model, where there were requests lately.
    pub(super) fn rates_of(&self, model: &str) -> Option<&Rates> {
        self.rates.as_ref().and_then(|rates| rates.models.get(model))
    }

    /// For how long the gateway has been running.
    pub(super) fn uptime(&self) -> Option<f64> {
        let (status, at) = self.status.as_ref()?;
        Some(status.uptime_seconds + self.now.duration_since(*at).as_secs_f64())
    }
}

/// Points of a curve with those that are new.
fn continued(mut points: Vec<RatesPoint>, news: &[RatesPoint]) -> Vec<RatesPoint> {
    for point in news {
        match points.last_mut() {
            Some(last) if last.number == point.number => *last = *point,
            Some(last) if last.number > point.number => {}
            _ => points.push(*point),
        }
    }
    points.drain(..points.len().saturating_sub(POINTS));
    points
}

#[cfg(test)]
#[path = "known/tests.rs"]
mod tests;

//! Collects the records of requests, several times a second, and shows them to operators.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::bodies::KeptBodies;
use super::kept::KeptRecord;
use super::rates::RateBook;
use super::sink::{Ended, RequestSink};
use super::store::{Entry, Left, Store, Terms};
use crate::api::{Event, Rates, RatesView, RequestFilter, RequestView};
use crate::config::Alias;
use crate::telemetry::EventBus;
use crate::telemetry::give_way::give_way;

/// How often the queue is emptied.
const PAUSE: Duration = Duration::from_millis(100);

/// Requests of one event. More of them come in several events.
const BATCH: usize = 64;

/// Empties the queue of records. Somebody has to [`run`](Collector::run) it.
#[derive(Debug)]
pub struct Collector {
    queue: Receiver<Ended>,
    history: RequestHistory,
    events: EventBus,
}

/// The newest requests, and the rates of the last minutes. All clones are one.
#[derive(Clone, Debug)]
pub struct RequestHistory(Arc<Mutex<History>>);

#[derive(Debug)]
struct History {
    requests: Store,
    rates: RateBook,
}

impl Collector {
    /// A collector, and where it gets records from; `lost` counts those that come faster than they are collected.
    #[must_use]
    pub fn new(events: EventBus, lost: IntCounter) -> (Self, RequestSink) {
        let (sink, queue) = RequestSink::new(lost);
        let history = History { requests: Store::default(), rates: RateBook::new(Instant::now()) };
        (Self { queue, history: RequestHistory(Arc::new(Mutex::new(history))), events }, sink)
    }

    /// What it has collected.
    #[must_use]
    pub fn history(&self) -> RequestHistory {
        self.history.clone()
    }

    /// Collects for ever.
    pub async fn run(self) {
        let mut ticks = interval(PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let ended = self.ended();
            let entries = if ended.iter().any(|ended| ended.captured.is_some()) {
                // Reading bodies takes its time, and this thread serves operators.
                let terms = self.history.lock().requests.terms().clone();
                spawn_blocking(move || entries(ended, &terms)).await.unwrap_or_default()
            } else {
                entries(ended, &Terms::new())
            };
            self.add(entries);
        }
    }

    /// Those that have ended. Those that come meanwhile are for the next time: somebody may send faster than this collects.
    fn ended(&self) -> Vec<Ended> {
        self.queue.try_iter().take(super::sink::MOST_WAITING).collect()
    }

    fn add(&self, entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let heard: Vec<RequestView> = match self.events.is_heard() {
            true => entries.iter().map(|entry| entry.record.view()).collect(),
            false => Vec::new(),
        };
        self.history.add(entries);
        let mut heard = heard.into_iter().peekable();
        while heard.peek().is_some() {
            self.events.publish(&Event::Requests { requests: heard.by_ref().take(BATCH).collect() });
            give_way();
        }
    }
}

/// What is kept of the requests that have ended; bodies by `terms`.
fn entries(ended: Vec<Ended>, terms: &Terms) -> Vec<Entry> {
    let mut left = Left::new(terms);
    // From the newest back: what others take the place of at once is not read.
    let mut entries: Vec<Entry> = ended
        .into_iter()
        .rev()
        .map(|Ended { record, captured }| {
            let captured = captured.filter(|captured| left.takes(&captured.alias, &captured.terms));
            Entry { record, bodies: captured.map(|captured| KeptBodies::of(&captured)) }
        })
        .collect();
    entries.reverse();
    entries
}

impl RequestHistory {
    fn add(&self, entries: Vec<Entry>) {
        let now = Instant::now();
        let mut history = self.lock();
        entries.iter().for_each(|entry| history.rates.count(&entry.record, now));
        history.requests.add(entries);
    }

    /// Keeps the bodies of requests of these aliases, as they say, and forgets those that were kept by other terms.
    pub fn keep_bodies(&self, aliases: &[Alias]) {
        self.lock().requests.keep(aliases);
    }

    /// The newest requests that fit, the newest first, at most `most`; without bodies.
    #[must_use]
    pub fn newest(&self, filter: &RequestFilter, most: usize) -> Vec<RequestView> {
        let history = self.lock();
        history
            .requests
            .records()
            .filter(|record| filter.fits(&record.facts()))
            .take(most)
            .map(KeptRecord::view)
            .collect()
    }

    /// One request, by its id, with its bodies where they are kept; the newest of several.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<RequestView> {
        self.lock().requests.find(id)
    }

    /// How fast and how well requests are answered.
    #[must_use]
    pub fn rates(&self) -> RatesView {
        self.lock().rates.view(Instant::now())
    }

    /// The same of the requests that ended on one engine.
    #[must_use]
    pub fn engine_view(&self, engine: &str) -> RatesView {
        self.lock().rates.engine_view(engine, Instant::now())
    }

    /// The rates of the last minute of an engine; `None`: no request ended on it in the last minutes.
    #[must_use]
    pub fn engine_rates(&self, engine: &str) -> Option<Rates> {
        self.lock().rates.engine(engine, Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

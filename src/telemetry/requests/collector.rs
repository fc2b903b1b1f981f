//! Collects the records of requests, several times a second, and shows them to operators.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use tokio::time::{MissedTickBehavior, interval};

use super::kept::KeptRecord;
use super::rates::RateBook;
use super::sink::RequestSink;
use crate::api::{Event, Rates, RatesView, RequestView};
use crate::telemetry::EventBus;

/// How often the queue is emptied.
const PAUSE: Duration = Duration::from_millis(100);

/// Requests that are kept.
const MOST: usize = 2000;

/// Requests of one event. More of them come in several events.
const BATCH: usize = 64;

/// Empties the queue of records. Somebody has to [`run`](Collector::run) it.
#[derive(Debug)]
pub struct Collector {
    queue: Receiver<KeptRecord>,
    history: RequestHistory,
    events: EventBus,
}

/// The newest requests, and the rates of the last minutes. All clones are one.
#[derive(Clone, Debug)]
pub struct RequestHistory(Arc<Mutex<History>>);

#[derive(Debug)]
struct History {
    /// The newest last.
    records: VecDeque<KeptRecord>,
    rates: RateBook,
}

/// Which requests are wanted: those for which everything that is given holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// For this model.
    pub model: Option<String>,
    /// By this alias.
    pub alias: Option<String>,
    /// On this engine at last.
    pub engine: Option<String>,
    /// Of this caller.
    pub caller: Option<String>,
    /// With this status.
    pub status: Option<u16>,
    /// Those that went wrong (`true`), or well (`false`).
    pub failed: Option<bool>,
}

impl RequestFilter {
    fn fits(&self, record: &KeptRecord) -> bool {
        let is = |wanted: &Option<String>, value: Option<&str>| wanted.is_none() || wanted.as_deref() == value;
        let has_failed = record.status >= 400 || record.error().is_some();
        is(&self.model, record.model())
            && is(&self.alias, record.alias())
            && is(&self.engine, record.engine())
            && is(&self.caller, record.caller())
            && self.status.is_none_or(|status| status == record.status)
            && self.failed.is_none_or(|failed| failed == has_failed)
    }
}

impl Collector {
    /// A collector, and where it gets records from; `lost` counts those that come faster than they are collected.
    #[must_use]
    pub fn new(events: EventBus, lost: IntCounter) -> (Self, RequestSink) {
        let (sink, queue) = RequestSink::new(lost);
        let history = History { records: VecDeque::new(), rates: RateBook::new(Instant::now()) };
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
            self.collect();
        }
    }

    fn collect(&self) {
        let mut heard = Vec::new();
        // Those that come meanwhile are for the next time: somebody may send faster than this collects.
        let mut waiting: Vec<KeptRecord> = self.queue.try_iter().take(super::sink::MOST_WAITING).collect();
        if waiting.is_empty() {
            return;
        }
        if self.events.is_heard() {
            heard.extend(waiting.iter().map(KeptRecord::view));
        }
        self.history.add(&mut waiting);
        for requests in heard.chunks(BATCH) {
            self.events.publish(&Event::Requests { requests: requests.to_vec() });
        }
    }
}

impl RequestHistory {
    fn add(&self, records: &mut Vec<KeptRecord>) {
        let now = Instant::now();
        let mut history = self.lock();
        records.iter().for_each(|record| history.rates.count(record, now));
        let surplus = (history.records.len() + records.len()).saturating_sub(MOST);
        let old = surplus.min(history.records.len());
        history.records.drain(..old);
        history.records.extend(records.drain(..).skip(surplus - old));
    }

    /// The newest requests that fit, the newest first, at most `most`.
    #[must_use]
    pub fn newest(&self, filter: &RequestFilter, most: usize) -> Vec<RequestView> {
        self.lock().records.iter().rev().filter(|record| filter.fits(record)).take(most).map(KeptRecord::view).collect()
    }

    /// One request, by its id; the newest of several.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<RequestView> {
        self.lock().records.iter().rev().find(|record| record.id() == id).map(KeptRecord::view)
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
mod tests {
    use super::*;
    use crate::telemetry::Record;
    use crate::telemetry::events::Heard;
    use crate::telemetry::record::testing::record;

    fn collector() -> (Collector, RequestSink, IntCounter) {
        let lost = IntCounter::new("lost", "Lost.").expect("a counter");
        let (collector, sink) = Collector::new(EventBus::default(), lost.clone());
        (collector, sink, lost)
    }

    fn ids(history: &RequestHistory, filter: &RequestFilter, most: usize) -> Vec<String> {
        history.newest(filter, most).into_iter().map(|request| request.id).collect()
    }

    #[test]
    fn the_newest_are_kept_and_found() {
        let (collector, sink, _) = collector();
        let history = collector.history();
        for round in 0..3 {
            for number in 0..1500 {
                sink.take(&Record { id: &format!("{round}-{number}"), ..record() });
            }
            collector.collect();
        }
        assert_eq!(history.lock().records.len(), MOST);
        assert_eq!(ids(&history, &RequestFilter::default(), 2), ["2-1499", "2-1498"]);
        assert!(history.find("1-1400").is_some() && history.find("0-1").is_none());
        assert_eq!(
            history.newest(&RequestFilter::default(), usize::MAX).last().map(|it| it.id.as_str()),
            Some("1-1000")
        );
    }

    #[test]
    fn more_than_are_kept_at_once_leave_the_newest() {
        let (collector, sink, lost) = collector();
        for number in 0..5000 {
            sink.take(&Record { id: &number.to_string(), ..record() });
        }
        collector.collect();
        assert_eq!(lost.get(), 5000 - 4096);
        assert_eq!(ids(&collector.history(), &RequestFilter::default(), 1), ["4095"]);
        assert_eq!(collector.history().lock().records.len(), MOST);
    }

    #[test]
    fn a_filter_leaves_what_fits_in_everything() {
        let (collector, sink, _) = collector();
        sink.take(&Record { id: "good", alias: Some("a"), ..record() });
        sink.take(&Record { id: "refused", status: 400, caller: None, ..record() });
        sink.take(&Record { id: "cut", error: Some("engine_died"), engine: Some("m/1"), ..record() });
        collector.collect();
        let found = |filter: RequestFilter| ids(&collector.history(), &filter, 10);
        let own = |text: &str| Some(text.to_owned());
        assert_eq!(found(RequestFilter { alias: own("a"), ..RequestFilter::default() }), ["good"]);
        assert_eq!(found(RequestFilter { failed: Some(true), ..RequestFilter::default() }), ["cut", "refused"]);
        assert_eq!(found(RequestFilter { failed: Some(false), ..RequestFilter::default() }), ["good"]);
        assert_eq!(found(RequestFilter { status: Some(400), ..RequestFilter::default() }), ["refused"]);
        assert_eq!(found(RequestFilter { caller: own("bot"), ..RequestFilter::default() }), ["cut", "good"]);
        assert_eq!(found(RequestFilter { engine: own("m/1"), model: own("m"), ..RequestFilter::default() }), ["cut"]);
        assert_eq!(found(RequestFilter { model: own("x"), ..RequestFilter::default() }), Vec::<String>::new());
    }

    #[tokio::test]
    async fn listeners_hear_of_requests_in_few_events() {
        let (collector, sink, _) = collector();
        sink.take(&record());
        collector.collect();
        let mut stream = collector.events.listen(None);
        (0..100).for_each(|_| sink.take(&record()));
        collector.collect();
        let Some(Heard::Events(events)) = stream.next().await else { unreachable!("there are some") };
        let counts: Vec<usize> = events
            .iter()
            .map(|event| match serde_json::from_str(&event.json).expect("an event") {
                Event::Requests { requests } => requests.len(),
                other => unreachable!("{other:?}"),
            })
            .collect();
        assert_eq!(counts, [64, 36], "nobody heard of the first one");
    }
}

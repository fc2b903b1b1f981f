//! A thread of its own that makes spans of records and sends them to a collector. Whatever the collector does, no request waits.

use std::io;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use prometheus::IntCounter;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::counters::SpanCounters;
use super::environment::{Batch, TraceSettings};
use super::examples;
use super::exporter::exporter;
use super::spans::{SpanMaker, Traced};
use super::tracer::Tracer;
use crate::telemetry::exemplars::ExemplarBook;

/// How often records are looked for, so that the data path need not wake anybody.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the last spans may take to be sent when the gateway ends.
const FLUSH: Duration = Duration::from_secs(5);

/// How often failures are told at most.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Why requests cannot be traced.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There are no more threads.
    #[error("cannot start the thread that sends traces: {0}. The machine is out of threads or memory.")]
    Thread(#[from] io::Error),
    /// The exporter does not take what the variables say.
    #[error("cannot send traces to {endpoint}: {why}. Correct the environment variables OTEL_EXPORTER_OTLP_….")]
    Exporter {
        /// Where to.
        endpoint: String,
        /// What is wrong.
        why: String,
    },
    /// Metrics contradict each other.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The thread that sends spans.
#[derive(Debug)]
pub struct Traces {
    tracer: Tracer,
    counters: SpanCounters,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Traces {
    /// Sends spans as `settings` say, and notes examples in `book`.
    ///
    /// # Errors
    /// Nothing could be sent.
    pub fn start(settings: &TraceSettings, book: ExemplarBook) -> Result<Self, StartError> {
        let counters = SpanCounters::new()?;
        let Batch { queue, .. } = settings.batch;
        let (tracer, records) = Tracer::new(settings.sampler, queue, counters.queue_full.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let exporter = {
            let _inside = runtime.enter();
            let failed = |why| StartError::Exporter { endpoint: settings.endpoint.clone(), why };
            exporter(settings).map_err(failed)?
        };
        let worker = Worker {
            records,
            maker: SpanMaker::new(),
            book,
            waiting: Vec::new(),
            sender: Sender {
                exporter,
                timeout: settings.batch.timeout,
                counters: counters.clone(),
                failures: Failures::default(),
            },
            batch: settings.batch,
        };
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(worker.run(stopped));
            // A resolver that hangs may hold a thread.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("traces".into()).spawn(run)?;
        Ok(Self { tracer, counters, stop, thread })
    }

    /// What the data path needs.
    #[must_use]
    pub fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }

    /// Counters of spans.
    #[must_use]
    pub fn counters(&self) -> [IntCounter; 3] {
        self.counters.all()
    }

    /// Sends what waits, and ends; after a while it ends all the same.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let since = Instant::now();
        while !self.thread.is_finished() {
            if since.elapsed() > FLUSH {
                tracing::warn!("the collector of traces does not answer: the last spans are dropped");
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

struct Worker {
    records: Receiver<Traced>,
    maker: SpanMaker,
    book: ExemplarBook,
    /// Spans that wait for others.
    waiting: Vec<SpanData>,
    sender: Sender,
    batch: Batch,
}

impl Worker {
    /// Runs until it is asked to stop, or nobody can ask any more.
    async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        let mut ticks = interval(PAUSE.min(self.batch.delay));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut since = Instant::now();
        loop {
            let stops = tokio::select! {
                _ = &mut stop => true,
                _ = ticks.tick() => false,
            };
            self.collect().await;
            if stops || since.elapsed() >= self.batch.delay {
                let rest = std::mem::take(&mut self.waiting);
                self.sender.send(rest).await;
                since = Instant::now();
            }
            if stops {
                return;
            }
        }
    }

    /// Makes spans of the records that have come, and sends those that are enough for a batch.
    async fn collect(&mut self) {
        // Those that come meanwhile are for the next time: somebody may send faster than this collects.
        for _ in 0..self.batch.queue {
            let Ok(traced) = self.records.try_recv() else { return };
            examples::note(&self.book, &traced);
            self.waiting.extend(self.maker.spans(&traced));
            while self.waiting.len() >= self.batch.size {
                let rest = self.waiting.split_off(self.batch.size);
                let full = std::mem::replace(&mut self.waiting, rest);
                self.sender.send(full).await;
            }
        }
    }
}

struct Sender {
    exporter: SpanExporter,
    timeout: Duration,
    counters: SpanCounters,
    failures: Failures,
}

impl Sender {
    /// Sends a batch, and counts what became of it.
    async fn send(&mut self, batch: Vec<SpanData>) {
        if batch.is_empty() {
            return;
        }
        let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let why = match timeout(self.timeout, self.exporter.export(batch)).await {
            Ok(Ok(())) => {
                self.counters.sent.inc_by(spans);
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", self.timeout),
        };
        self.counters.failed.inc_by(spans);
        if let Some(spans) = self.failures.tell(spans, Instant::now()) {
            tracing::warn!(spans, why, "traces cannot be sent; requests are not affected. Said once a minute at most.");
        }
    }
}

/// Failures to send, of which not all are told.
#[derive(Debug, Default)]
struct Failures {
    told: Option<Instant>,
    /// Spans lost since.
    spans: u64,
}

impl Failures {
    /// Counts `spans` that were lost; those to tell of now, if it is time.
    fn tell(&mut self, spans: u64, now: Instant) -> Option<u64> {
        self.spans += spans;
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < TOLD_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.spans))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_at_once_and_then_once_a_minute_with_all_that_was_lost() {
        let start = Instant::now();
        let mut failures = Failures::default();
        let at = |seconds| start + Duration::from_secs(seconds);
        let told: Vec<_> = [0, 1, 59, 60, 61].map(|seconds| failures.tell(10, at(seconds))).to_vec();
        assert_eq!(told, [Some(10), None, None, Some(30), None]);
    }
}

//! The load: who sends which request when, closed or at a rate, until it is enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use super::measure::{Ending, Outcome};
use super::plan::Arrivals;
use super::prompts::{Prompt, Prompts};
use super::request::Asker;

/// Requests that are late by so much at the end of the time are not sent any more.
const OVERDUE: Duration = Duration::from_millis(100);

/// How long a closed load waits when nobody listens: requests would fail as fast as they are made.
const GONE: Duration = Duration::from_millis(100);

/// Until when requests are sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) requests: u64,
    /// From the beginning of the run on.
    pub(super) duration: Option<Duration>,
}

/// What every sender of requests has.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) asker: Arc<Asker>,
    pub(super) prompts: Arc<Prompts>,
    pub(super) limits: Limits,
    /// Number of the first prompt: those of the warm-up are others than the measured ones.
    pub(super) first_prompt: u64,
    /// Requests that were sent.
    pub(super) sent: Arc<AtomicU64>,
    /// Requests that were due, but not sent before the time was over.
    pub(super) unsent: Arc<AtomicU64>,
    /// No more requests.
    pub(super) enough: CancellationToken,
    /// And those under way are given up.
    pub(super) cut: CancellationToken,
    pub(super) outcomes: Sender<Outcome>,
}

impl Load {
    /// Keeps `concurrency` requests under way. Ends at once; the outcomes come while it goes on, and end with it.
    pub(super) fn closed(self, concurrency: u64) {
        let tickets = Arc::new(AtomicU64::new(0));
        let start = self.asker.start;
        for _ in 0..concurrency.min(self.limits.requests) {
            let (load, tickets) = (self.clone(), tickets.clone());
            tokio::spawn(async move {
                while !load.enough.is_cancelled() && load.limits.duration.is_none_or(|most| start.elapsed() < most) {
                    let number = tickets.fetch_add(1, Ordering::Relaxed);
                    if number >= load.limits.requests {
                        break;
                    }
                    let prompt = load.prompt(number);
                    if load.one(prompt, Instant::now()).await {
                        tokio::time::sleep(GONE).await;
                    }
                }
            });
        }
    }

    /// Sends requests when they are due, at most `concurrency` at a time.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn open(self, arrivals: Arrivals, concurrency: u64) -> std::io::Result<()> {
        let places = Arc::new(Semaphore::new(usize::try_from(concurrency).unwrap_or(usize::MAX >> 3)));
        let runtime = Handle::current();
        // Tokio's timers are exact to a millisecond only, which is much beside a TTFT: the requests are sent by a thread of
        // their own, which sleeps as exactly as the system can.
        let sending = move || self.send(arrivals, &places, &runtime);
        std::thread::Builder::new().name("arrivals".into()).spawn(sending).map(drop)
    }

    fn send(self, arrivals: Arrivals, places: &Arc<Semaphore>, runtime: &Handle) {
        let start = self.asker.start;
        let (over, stop) = std::sync::mpsc::channel::<()>();
        let enough = self.enough.clone();
        // Its end is what wakes this thread.
        let watch = runtime.spawn(async move {
            enough.cancelled().await;
            drop(over);
        });
        let most = self.limits.duration.unwrap_or(Duration::MAX);
        let due = (0..self.limits.requests).zip(arrivals.take_while(|at| *at < most));
        for (number, at) in due {
            let due = start + at;
            // As long as there is time for it: a prompt that is made when it is due makes its request late.
            let made = (Instant::now() < due).then(|| self.prompt(number));
            let wait = due.saturating_duration_since(Instant::now());
            let is_over = match stop.recv_timeout(wait) {
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => self.enough.is_cancelled(),
                _ => true,
            };
            let place = match is_over {
                true => None,
                false => runtime.block_on(self.place(places, start)),
            };
            let Some(place) = place else {
                if !is_over && !self.enough.is_cancelled() {
                    // As far as that is known: later ones were due, too.
                    self.unsent.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                break;
            };
            let load = self.clone();
            runtime.spawn(async move {
                let prompt = made.unwrap_or_else(|| load.prompt(number));
                load.one(prompt, due).await;
                drop(place);
            });
        }
        watch.abort();
    }

    /// A place among the requests under way; `None` where there is none before the end of the time.
    async fn place(&self, places: &Arc<Semaphore>, start: Instant) -> Option<tokio::sync::OwnedSemaphorePermit> {
        if self.limits.duration.is_some_and(|most| start.elapsed() > most + OVERDUE) {
            return None;
        }
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Some(place);
        }
        let left = self.limits.duration.map_or(Duration::MAX, |most| most.saturating_sub(start.elapsed()));
        tokio::select! {
            place = places.clone().acquire_owned() => place.ok(),
            () = self.enough.cancelled() => None,
            () = tokio::time::sleep(left) => None,
        }
    }

    /// What request `number` asks.
    fn prompt(&self, number: u64) -> Prompt {
        self.prompts.request(self.first_prompt + number)
    }

    /// Sends one request; whether nobody listens any more.
    async fn one(&self, prompt: Prompt, due: Instant) -> bool {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let outcome = tokio::select! {
            outcome = self.asker.ask(prompt, due) => outcome,
            () = self.cut.cancelled() => Outcome::Unfinished,
        };
        let is_gone = matches!(&outcome, Outcome::Failed(fault) if fault.ends == Some(Ending::Unreachable));
        // Nobody takes it where the run was given up.
        let _ = self.outcomes.send(outcome).await;
        is_gone
    }
}

//! Collects what became of the requests while they are sent, shows how far it is, and ends the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::Receiver;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::measure::{Ending, Fault, Outcome, Totals};
use super::progress::{Progress, State};
use super::request::Asker;

/// What it needs.
pub(super) struct Collector {
    pub(super) asker: Arc<Asker>,
    pub(super) incoming: Receiver<Outcome>,
    pub(super) sent: Arc<AtomicU64>,
    pub(super) requests: Option<u64>,
    pub(super) duration: Option<Duration>,
    pub(super) enough: CancellationToken,
    pub(super) cut: CancellationToken,
}

/// What it found.
pub(super) struct Collected {
    pub(super) totals: Totals,
    /// A fault that every further request would have had.
    pub(super) fatal: Option<Fault>,
    /// The user has ended the run.
    pub(super) cut: bool,
    /// From the beginning to the last outcome.
    pub(super) seconds: f64,
}

async fn came(interrupt: &mut Option<Signal>) {
    match interrupt {
        Some(interrupt) => drop(interrupt.recv().await),
        None => std::future::pending().await,
    }
}

impl Collector {
    /// Returns when all senders of outcomes are gone. Ctrl-C ends the run; a second one ends the process.
    pub(super) async fn run(mut self, progress: &mut Progress) -> Collected {
        let mut found = Collected { totals: Totals::default(), fatal: None, cut: false, seconds: 0.0 };
        let mut ticks = interval(Progress::period());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Where no handler can be set, Ctrl-C ends the process.
        let mut interrupt = signal(SignalKind::interrupt()).ok();
        loop {
            tokio::select! {
                outcome = self.incoming.recv() => match outcome {
                    Some(outcome) => self.one(outcome, &mut found),
                    None => break,
                },
                _ = ticks.tick() => progress.tick(&self.state(&found.totals)),
                () = came(&mut interrupt) => {
                    if std::mem::replace(&mut found.cut, true) {
                        progress.end();
                        std::process::exit(130);
                    }
                    self.stop();
                }
            }
        }
        found
    }

    fn one(&self, outcome: Outcome, found: &mut Collected) {
        if !matches!(outcome, Outcome::Unfinished) {
            found.seconds = self.asker.start.elapsed().as_secs_f64();
        }
        found.totals.add(&outcome);
        let (Outcome::Failed(fault) | Outcome::Shed(fault)) = outcome else { return };
        let is_fatal = match fault.ends {
            None => false,
            // A gateway that has answered may come back.
            Some(Ending::Unreachable) => found.totals.answered + found.totals.shed == 0,
            Some(Ending::Unknown | Ending::Unauthorized) => true,
        };
        if is_fatal && found.fatal.is_none() {
            found.fatal = Some(fault);
            self.stop();
        }
    }

    fn stop(&self) {
        self.enough.cancel();
        self.cut.cancel();
    }

    fn state(&self, totals: &Totals) -> State {
        State {
            settled: totals.settled(),
            requests: self.requests,
            under_way: self.sent.load(Ordering::Relaxed).saturating_sub(totals.settled() + totals.unfinished),
            failed: totals.failed,
            shed: totals.shed,
            pieces: self.asker.pieces.load(Ordering::Relaxed),
            elapsed: self.asker.start.elapsed(),
            duration: self.duration,
        }
    }
}

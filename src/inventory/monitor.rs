//! Keeps the inventory fresh in the background: reading it never waits for the driver.
//!
//! Two threads: one asks the driver and may hang in it for ever; the other, which never asks, keeps time, publishes and
//! notices when the first one hangs.

use std::ffi::{OsStr, OsString};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use super::read::{LIMIT, hangs};
use super::{Driver, Inventory};

/// How often what is done.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the end of one reading to the next.
    pub interval: Duration,
    /// The least time between two readings, however many are wanted: who waits for something may ask in a loop.
    pub pause: Duration,
    /// How often a driver that could not be loaded is tried again; it may be installed later.
    pub retry: Duration,
    /// How long one reading may take until the driver counts as hanging.
    pub limit: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            pause: Duration::from_millis(100),
            retry: Duration::from_secs(30),
            limit: LIMIT,
        }
    }
}

/// A handle to the threads that read the inventory; they end with its last clone.
#[derive(Clone, Debug)]
pub struct Monitor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    newest: Arc<ArcSwap<Reading>>,
    /// A lock, as what is told on drop must come last; held for the time of a send.
    clock: Mutex<Sender<Event>>,
}

/// What was read, and when.
#[derive(Debug)]
struct Reading {
    inventory: Arc<Inventory>,
    taken: Option<Instant>,
}

/// What the clock's thread hears.
enum Event {
    /// Somebody wants a reading that begins from now on.
    Wanted(oneshot::Sender<()>),
    /// The driver was read.
    Read(Inventory),
    /// The last handle is gone.
    End,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A thread that is gone needs no end.
        let _ = self.clock.get_mut().unwrap_or_else(PoisonError::into_inner).send(Event::End);
    }
}

impl Monitor {
    /// Begins to read through `library`, or through the one that the driver installed; returns at once.
    #[must_use]
    pub fn start(library: Option<&OsStr>) -> Self {
        Self::start_with(library, Pace::default())
    }

    /// The same at another pace.
    #[must_use]
    pub fn start_with(library: Option<&OsStr>, pace: Pace) -> Self {
        let (events, heard) = channel();
        let nothing = Inventory::fault("the GPUs have not been read yet".into());
        let newest = Arc::new(ArcSwap::from_pointee(Reading { inventory: Arc::new(nothing), taken: None }));
        let (ask, asked) = channel();
        let reader = Reader { library: library.map(OsStr::to_owned), retry: pace.retry, driver: None, tried: None };
        let answers = events.clone();
        let clock = Clock {
            pace,
            newest: newest.clone(),
            ask,
            since: None,
            rested: None,
            late: false,
            waiting: Vec::new(),
            next: Vec::new(),
            told: Vec::new(),
        };
        let started = thread::Builder::new()
            .name("nvml".into())
            .spawn(move || reader.run(&asked, &answers))
            .and_then(|_| thread::Builder::new().name("gpus".into()).spawn(move || clock.run(&heard)));
        if let Err(error) = started {
            let fault = format!("no GPU is known, because no thread can be started to ask the driver: {error}");
            tracing::warn!("{fault}");
            newest.store(Arc::new(Reading { inventory: Arc::new(Inventory::fault(fault)), taken: None }));
        }
        Self { shared: Arc::new(Shared { newest, clock: Mutex::new(events) }) }
    }

    /// What is known now; never waits.
    #[must_use]
    pub fn latest(&self) -> Arc<Inventory> {
        self.shared.newest.load().inventory.clone()
    }

    /// How old that is; `None` while nothing was read.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.shared.newest.load().taken.map(|taken| taken.elapsed())
    }

    /// A reading that began after this call; the latest one when the driver hangs, which its faults tell.
    pub async fn refreshed(&self) -> Arc<Inventory> {
        // A sender that is dropped says as much: there is nothing to wait for.
        let _ = self.want().await;
        self.latest()
    }

    fn want(&self) -> oneshot::Receiver<()> {
        let (done, waiting) = oneshot::channel();
        let clock = self.shared.clock.lock().unwrap_or_else(PoisonError::into_inner);
        // Without the thread `done` is dropped, and the wait ends.
        let _ = clock.send(Event::Wanted(done));
        waiting
    }
}

/// The thread that keeps time.
struct Clock {
    pace: Pace,
    newest: Arc<ArcSwap<Reading>>,
    /// Asks the other thread for a reading; `true` when a task waits for it.
    ask: Sender<bool>,
    /// When the reading began that is under way.
    since: Option<Instant>,
    /// When the last one ended.
    rested: Option<Instant>,
    /// Whether it takes too long.
    late: bool,
    /// Who waits for it, or for the one that begins after the pause.
    waiting: Vec<oneshot::Sender<()>>,
    /// Who came after it began.
    next: Vec<oneshot::Sender<()>>,
    /// Faults that were logged and are still there.
    told: Vec<String>,
}

impl Clock {
    fn run(mut self, heard: &Receiver<Event>) {
        self.begin();
        loop {
            let event = match self.patience() {
                Some(time) => heard.recv_timeout(time),
                None => heard.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(Event::Wanted(done)) if self.since.is_some() => self.next.push(done),
                Ok(Event::Wanted(done)) => self.waiting.push(done),
                Ok(Event::Read(inventory)) => self.finish(inventory),
                Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => return,
                // What there is has to do.
                Err(RecvTimeoutError::Timeout) if self.late => self.next.clear(),
                Err(RecvTimeoutError::Timeout) if self.since.is_some() => self.give_up(),
                Err(RecvTimeoutError::Timeout) => self.begin(),
            }
        }
    }

    /// How long nothing may happen until something is to be done; `None`: for ever.
    fn patience(&self) -> Option<Duration> {
        let rested = self.rested.map_or(Duration::MAX, |rested| rested.elapsed());
        match self.since {
            Some(_) if self.late => (!self.next.is_empty()).then_some(self.pace.pause),
            Some(since) => Some(self.pace.limit.saturating_sub(since.elapsed())),
            None if self.waiting.is_empty() => Some(self.pace.interval.saturating_sub(rested)),
            None => Some(self.pace.pause.saturating_sub(rested)),
        }
    }

    fn begin(&mut self) {
        // Without the other thread nothing answers, which is reported like a driver that does not answer.
        let _ = self.ask.send(!self.waiting.is_empty());
        self.since = Some(Instant::now());
    }

    fn finish(&mut self, inventory: Inventory) {
        let now = Instant::now();
        (self.since, self.late, self.rested) = (None, false, Some(now));
        self.publish(inventory, Some(now));
        self.waiting = std::mem::take(&mut self.next);
    }

    /// The reading under way takes too long: what was known before is shown, and that it is old.
    fn give_up(&mut self) {
        self.late = true;
        let before = self.newest.load_full();
        let mut inventory = match before.taken {
            Some(_) => (*before.inventory).clone(),
            None => Inventory::default(),
        };
        inventory.faults.push(hangs(self.pace.limit));
        self.publish(inventory, before.taken);
        self.waiting.clear();
        self.next.clear();
    }

    fn publish(&mut self, inventory: Inventory, taken: Option<Instant>) {
        for fault in inventory.faults.iter().filter(|fault| !self.told.contains(fault)) {
            // Most machines without a driver have no GPU either.
            if inventory.known || inventory.driver.is_some() || taken.is_none() {
                tracing::warn!("{fault}");
            } else {
                tracing::info!("{fault}");
            }
        }
        for gone in self.told.iter().filter(|fault| !inventory.faults.contains(fault)) {
            tracing::info!("no longer so: {gone}");
        }
        self.told.clone_from(&inventory.faults);
        self.newest.store(Arc::new(Reading { inventory: Arc::new(inventory), taken }));
    }
}

/// The thread that asks the driver.
struct Reader {
    library: Option<OsString>,
    retry: Duration,
    driver: Option<Driver>,
    /// When loading it failed last, and why.
    tried: Option<(Instant, String)>,
}

impl Reader {
    /// Ends when no monitor is left: a call that hangs for ever keeps a thread, but no task waits for it.
    fn run(mut self, asked: &Receiver<bool>, answers: &Sender<Event>) {
        while let Ok(wanted) = asked.recv() {
            if answers.send(Event::Read(self.read(wanted))).is_err() {
                return;
            }
        }
    }

    fn read(&mut self, wanted: bool) -> Inventory {
        if self.driver.is_none() {
            if let Some((when, fault)) = &self.tried
                && !wanted
                && when.elapsed() < self.retry
            {
                return Inventory::fault(fault.clone());
            }
            match Driver::load(self.library.as_deref()) {
                Ok(driver) => self.driver = Some(driver),
                Err(fault) => {
                    self.tried = Some((Instant::now(), fault.clone()));
                    return Inventory::fault(fault);
                }
            }
        }
        let inventory = self.driver.as_ref().map(Driver::read).unwrap_or_default();
        if !inventory.known {
            // A driver that was unloaded or replaced under us answers again only when it is loaded anew.
            self.driver = None;
            self.tried = inventory.faults.first().map(|fault| (Instant::now(), fault.clone()));
        }
        inventory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere(pace: Pace) -> Monitor {
        Monitor::start_with(Some(OsStr::new("/no/such/libnvidia-ml.so.1")), pace)
    }

    #[tokio::test]
    async fn without_a_driver_there_is_a_reading_that_says_so() {
        let monitor = nowhere(Pace::default());
        let inventory = monitor.refreshed().await;
        assert!(!inventory.known && inventory.gpus.is_empty());
        assert!(inventory.faults[0].contains("/no/such/libnvidia-ml.so.1"), "{inventory:?}");
        assert!(monitor.age().is_some_and(|age| age < Duration::from_secs(60)));
        assert_eq!(monitor.clone().latest(), inventory);
    }

    #[tokio::test]
    async fn the_threads_end_with_the_last_handle() {
        let monitor = nowhere(Pace::default());
        monitor.refreshed().await;
        let newest = Arc::downgrade(&monitor.shared.newest);
        let other = monitor.clone();
        drop(monitor);
        other.refreshed().await;
        drop(other);
        tokio::task::spawn_blocking(move || {
            while newest.strong_count() > 0 {
                thread::yield_now();
            }
        })
        .await
        .expect("the thread let go");
    }

    #[test]
    fn a_fault_is_logged_when_it_comes_and_when_it_goes() {
        let (log, lines) = channel();
        struct Lines(Sender<String>);
        impl std::io::Write for Lines {
            fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
                self.0.send(String::from_utf8_lossy(line).into_owned()).map_err(std::io::Error::other)?;
                Ok(line.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let writer = move || Lines(log.clone());
        let quiet = tracing_subscriber::fmt().with_writer(writer).without_time().with_target(false).with_ansi(false);
        let nothing = Reading { inventory: Arc::new(Inventory::default()), taken: None };
        let mut clock = Clock {
            pace: Pace::default(),
            newest: Arc::new(ArcSwap::from_pointee(nothing)),
            ask: channel().0,
            since: None,
            rested: None,
            late: false,
            waiting: Vec::new(),
            next: Vec::new(),
            told: Vec::new(),
        };
        tracing::subscriber::with_default(quiet.finish(), || {
            for faults in [&["a"][..], &["a"], &["a", "b"], &["b"], &[], &["a"]] {
                let faults = faults.iter().map(|fault| (*fault).to_owned()).collect();
                clock.finish(Inventory { known: true, faults, ..Inventory::default() });
            }
        });
        let told: Vec<String> = lines.try_iter().map(|line| line.trim().to_owned()).collect();
        let expected = ["WARN a", "WARN b", "INFO no longer so: a", "INFO no longer so: b", "WARN a"];
        assert_eq!(told, expected);
    }
}

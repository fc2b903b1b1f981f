//! What signals ask of the gateway: to reload its configuration, or to stop.

use std::fs::OpenOptions;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::app::Request;

/// How long a terminal may take from the SIGHUP that says that it goes to its end: the shell that sent the signal ends last.
const TERMINAL_CLOSES: Duration = Duration::from_millis(300);

/// How often it is checked that the terminal is there. One that went without a SIGHUP for us (`disown`) is none any more.
const TERMINAL_CHECK: Duration = Duration::from_secs(5);

/// A SIGHUP that comes longer than this after the terminal went was not sent for that reason.
const HANGUP_DELAY: Duration = Duration::from_secs(2);

/// The signals that the gateway acts on.
///
/// | signal | what it does |
/// |---|---|
/// | SIGTERM, SIGINT, SIGQUIT | stop; a second one cuts the drain short, a third one kills engines that have not ended |
/// | SIGHUP | reload; stop, when it comes because the controlling terminal went away and `nohup` was not used |
/// | SIGUSR1, SIGUSR2, SIGALRM, SIGIO, SIGVTALRM, SIGPROF, SIGXCPU | nothing; without a handler they would end the process and leave the engines behind |
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    terminal: Terminal,
    _ignored: Vec<Signal>,
}

fn ignored() -> impl Iterator<Item = rustix::process::Signal> {
    use rustix::process::Signal as Kind;
    [Kind::USR1, Kind::USR2, Kind::ALARM, Kind::IO, Kind::VTALARM, Kind::PROF, Kind::XCPU].into_iter()
}

/// The signals that must not end the process while it reads its configuration. Those that ask it to stop end it then: a file
/// system may hang.
pub(super) struct EarlySignals {
    hangup: Signal,
    terminal: Terminal,
    ignored: Vec<Signal>,
}

impl EarlySignals {
    /// Takes them over. A SIGHUP that comes from now on is acted on by [`Signals`].
    ///
    /// # Errors
    /// When the OS refuses.
    pub(super) fn new() -> io::Result<Self> {
        // Handlers belong to the process, and what they hear is told to whichever runtime runs; they are only made in one.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let _entered = runtime.enter();
        // Before the handler for SIGHUP, which ends its being ignored.
        let terminal =
            if is_ignored("SigIgn", rustix::process::Signal::HUP) { Terminal::none() } else { Terminal::find() };
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminal,
            ignored: ignored().map(|kind| signal(SignalKind::from_raw(kind.as_raw()))).collect::<io::Result<_>>()?,
        })
    }
}

impl Signals {
    /// Takes over the signals of this process.
    ///
    /// # Errors
    /// When the OS refuses.
    pub(super) fn new(early: EarlySignals) -> io::Result<Self> {
        let EarlySignals { hangup, terminal, ignored } = early;
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup,
            terminal,
            _ignored: ignored,
        })
    }

    /// Passes on what signals ask for, until the receiver is gone.
    pub(super) async fn forward(mut self, requests: mpsc::Sender<Request>) {
        let mut check = interval(TERMINAL_CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let request = tokio::select! {
                _ = self.terminate.recv() => Request::Stop,
                _ = self.interrupt.recv() => Request::Stop,
                _ = self.quit.recv() => Request::Stop,
                _ = self.hangup.recv() => {
                    sleep(TERMINAL_CLOSES).await;
                    if self.terminal.just_went() {
                        tracing::warn!("the controlling terminal was closed");
                        Request::Stop
                    } else {
                        Request::Reload
                    }
                }
                _ = check.tick() => {
                    self.terminal.check();
                    continue;
                }
            };
            if requests.send(request).await.is_err() {
                return;
            }
        }
    }
}

/// Whether this process has the signal in the set `set` (`SigIgn`) of /proc/self/status.
fn is_ignored(set: &str, signal: rustix::process::Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(':'));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
}

/// The controlling terminal of this process.
#[derive(Debug)]
struct Terminal {
    /// `None`: there never was one.
    state: Option<Presence>,
}

#[derive(Clone, Copy, Debug)]
enum Presence {
    There,
    Gone(Instant),
}

impl Terminal {
    fn none() -> Self {
        Self { state: None }
    }

    fn find() -> Self {
        Self { state: is_there().then_some(Presence::There) }
    }

    /// Notes when it went.
    fn check(&mut self) {
        if matches!(self.state, Some(Presence::There)) && !is_there() {
            self.state = Some(Presence::Gone(Instant::now()));
        }
    }

    /// Whether it was there a moment ago, and is not any more.
    fn just_went(&mut self) -> bool {
        self.check();
        matches!(self.state, Some(Presence::Gone(since)) if since.elapsed() < HANGUP_DELAY)
    }
}

/// Whether this process has a controlling terminal: only then can /dev/tty be opened.
fn is_there() -> bool {
    OpenOptions::new().read(true).open("/dev/tty").is_ok()
}

//! How far a run is: one line that changes on a terminal, plain lines otherwise.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::cli::outlet::Outlet;
use crate::cli::progress::columns;

/// Between two lines where nobody looks.
const LINES: Duration = Duration::from_secs(5);

/// Between two changes of the line on a terminal.
const CHANGES: Duration = Duration::from_millis(200);

/// How far it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    pub(super) settled: u64,
    /// `None`: until the time is over.
    pub(super) requests: Option<u64>,
    pub(super) under_way: u64,
    pub(super) failed: u64,
    pub(super) shed: u64,
    /// Pieces of answers so far.
    pub(super) pieces: u64,
    pub(super) elapsed: Duration,
    pub(super) duration: Option<Duration>,
}

/// Writes to standard error.
pub(super) struct Progress {
    outlet: Outlet,
    shown: Instant,
    before: State,
    is_open: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        let outlet = Outlet::of(&io::stderr());
        Self { outlet, shown: Instant::now(), before: State::default(), is_open: false }
    }

    /// How often [`Progress::tick`] wants to be called.
    pub(super) fn period() -> Duration {
        CHANGES
    }

    /// Shows `state`, if it is time.
    pub(super) fn tick(&mut self, state: &State) {
        if !self.outlet.is_terminal && self.shown.elapsed() < LINES {
            return;
        }
        let line = line(state, &self.before);
        let mut out = io::stderr().lock();
        // Where nobody reads it, there is nobody to tell.
        let _ = if self.outlet.is_terminal {
            self.is_open = true;
            let fits: String = line.chars().take(columns().saturating_sub(1)).collect();
            write!(out, "\r\x1b[K{fits}")
        } else {
            writeln!(out, "{line}")
        };
        let _ = out.flush();
        if self.shown.elapsed() >= Duration::from_secs(1) {
            self.before = *state;
            self.shown = Instant::now();
        }
    }

    /// A line that stays.
    pub(super) fn say(&mut self, text: &str) {
        self.end();
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Takes the line away that changes.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.is_open) {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

fn line(state: &State, before: &State) -> String {
    let seconds = state.elapsed.as_secs_f64();
    let of = match (state.requests, state.duration) {
        (Some(requests), _) => format!("{} of {requests} requests", state.settled),
        (None, Some(duration)) => {
            format!("{} requests, {seconds:.0} of {:.0} s", state.settled, duration.as_secs_f64())
        }
        (None, None) => format!("{} requests", state.settled),
    };
    let mut line = format!("{of}, {} under way", state.under_way);
    for (count, word) in [(state.failed, "failed"), (state.shed, "shed")] {
        if count > 0 {
            line += &format!(", {count} {word}");
        }
    }
    let since = state.elapsed.saturating_sub(before.elapsed).as_secs_f64();
    if since > 0.0 {
        line += &format!(", {:.0} tokens/s", state.pieces.saturating_sub(before.pieces) as f64 / since);
    }
    line + &left(state)
}

/// An estimate of the time that is left.
fn left(state: &State) -> String {
    let seconds = state.elapsed.as_secs_f64();
    let by_time = state.duration.map(|duration| duration.as_secs_f64() - seconds);
    let by_count = state
        .requests
        .filter(|_| state.settled > 0)
        .map(|requests| seconds * requests.saturating_sub(state.settled) as f64 / state.settled as f64);
    let left = match (by_time, by_count) {
        (Some(one), Some(other)) => one.min(other),
        (one, other) => match one.or(other) {
            Some(left) => left,
            None => return String::new(),
        },
    };
    format!(", about {:.0} s left", left.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_it_is() {
        let state = State {
            settled: 25,
            requests: Some(100),
            under_way: 8,
            failed: 1,
            shed: 0,
            pieces: 900,
            elapsed: Duration::from_secs(10),
            duration: None,
        };
        let before = State { pieces: 800, elapsed: Duration::from_secs(8), ..State::default() };
        assert_eq!(line(&state, &before), "25 of 100 requests, 8 under way, 1 failed, 50 tokens/s, about 30 s left");
        let timed = State { requests: None, failed: 0, duration: Some(Duration::from_secs(15)), ..state };
        assert_eq!(line(&timed, &before), "25 requests, 10 of 15 s, 8 under way, 50 tokens/s, about 5 s left");
        let both = State { duration: Some(Duration::from_secs(15)), ..state };
        assert!(line(&both, &before).ends_with("about 5 s left"));
        assert_eq!(line(&State::default(), &State::default()), "0 requests, 0 under way");
    }
}

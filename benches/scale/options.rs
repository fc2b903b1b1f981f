//! The command line.

use std::ffi::OsString;
use std::time::Duration;

/// The mode in which this executable does the work, once it has been put on its core.
pub(crate) const PINNED: &str = "--pinned";

/// What the command line says.
pub(crate) struct Options {
    pub(crate) binary: OsString,
    pub(crate) against: Option<OsString>,
    pub(crate) only: String,
    pub(crate) rounds: usize,
    pub(crate) span: Duration,
    pub(crate) streams: usize,
    /// Of each stream in a second.
    pub(crate) events: f64,
    pub(crate) json: Option<OsString>,
}

impl Options {
    /// As given, or the defaults.
    pub(crate) fn read() -> Self {
        let mut options = Self {
            binary: env!("CARGO_BIN_EXE_enginehouse").into(),
            against: None,
            only: String::new(),
            rounds: 9,
            span: Duration::from_millis(400),
            streams: 2_000,
            events: 20.0,
            json: None,
        };
        let mut args = std::env::args_os().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().unwrap_or_else(|| panic!("{} takes a value", arg.display()));
            match arg.to_str() {
                Some("--binary") => options.binary = value(),
                Some("--against") => options.against = Some(value()),
                Some("--only") => options.only = value().to_string_lossy().into_owned(),
                Some("--rounds") => options.rounds = number::<usize>(&value()).max(1),
                Some("--span") => options.span = Duration::from_secs_f64(number(&value())),
                Some("--streams") => options.streams = number(&value()),
                Some("--events") => options.events = number(&value()),
                Some("--json") => options.json = Some(value()),
                // `cargo bench` adds the first.
                Some("--bench" | PINNED) => {}
                _ => panic!(
                    "{}: known are --binary BINARY, --against BINARY, --only WORDS, --rounds N, --span SECONDS, \
                     --streams N, --events PER_SECOND, --json FILE",
                    arg.display()
                ),
            }
        }
        options
    }
}

fn number<T: std::str::FromStr>(text: &OsString) -> T {
    text.to_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{} is no such number", text.display()))
}

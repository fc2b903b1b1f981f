//! Log lines: to standard error, by threads of their own, so that a slow reader never blocks a worker.

use std::ffi::OsStr;
use std::fmt;
use std::io::IsTerminal;

use prometheus::{IntCounter, Opts};
use tracing::Subscriber;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use super::AccessLog;
use super::log_history::LogHistory;
use super::log_level::{LogLevel, filter_of_process};
use super::log_writer::{Delay, LogThread, LogWriter};
use crate::config::{Log, LogFormat};

/// Writes an event as a line.
type Format<S> = Box<dyn Layer<S> + Send + Sync>;

/// The logs of this process. Flushes what is still queued when dropped; keep it until the end.
pub struct Logs {
    access: AccessLog,
    history: LogHistory,
    lost: [IntCounter; 3],
    stderr: LogWriter,
    format: reload::Handle<Format<Registry>, Registry>,
    level: LogLevel,
    _flush: [LogThread; 2],
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("access", &self.access).finish_non_exhaustive()
    }
}

impl Logs {
    /// Sets up logging for this process and opens the access log.
    ///
    /// # Errors
    /// When `log.level` or `RUST_LOG` is not a filter, or logging was set up already.
    pub fn start(log: &Log) -> Result<Self, String> {
        let broken = |error: std::io::Error| format!("logging: {error}");
        let lost = [lost("process")?, lost("access")?, lost("requests")?];
        let (stderr, stderr_thread) =
            LogWriter::start("log", std::io::stderr(), lost[0].clone(), Delay::No).map_err(broken)?;
        let (stdout, stdout_thread) =
            LogWriter::start("access log", std::io::stdout(), lost[1].clone(), Delay::Gather).map_err(broken)?;
        let (format_layer, format) = reload::Layer::new(format(log.format, &stderr));
        let (filter_layer, filter) = reload::Layer::new(filter_of_process(log)?);
        let history = LogHistory::default();
        let subscriber = tracing_subscriber::registry().with(format_layer).with(filter_layer).with(history.clone());
        subscriber.try_init().map_err(|error| format!("logging: {error}"))?;
        let access = AccessLog::new(stdout);
        access.set(log);
        let level = LogLevel::new(log, filter);
        Ok(Self { access, history, lost, stderr, format, level, _flush: [stderr_thread, stdout_thread] })
    }

    /// The log of requests.
    #[must_use]
    pub fn access(&self) -> AccessLog {
        self.access.clone()
    }

    /// The newest lines of the log of this process.
    #[must_use]
    pub fn history(&self) -> LogHistory {
        self.history.clone()
    }

    /// Which lines are written.
    #[must_use]
    pub fn level(&self) -> LogLevel {
        self.level.clone()
    }

    /// Counts requests that are not in the list of requests, because they ended faster than they were collected.
    #[must_use]
    pub fn lost_requests(&self) -> IntCounter {
        self.lost[2].clone()
    }

    /// How many lines of each log were not written, for the metrics.
    #[must_use]
    pub fn lost(&self) -> &[IntCounter] {
        &self.lost
    }

    /// Applies the settings of `log`.
    ///
    /// # Errors
    /// When `log.level` is not a filter; nothing is changed then.
    pub fn apply(&self, log: &Log) -> Result<(), String> {
        self.level.configure(log)?;
        let broken = |error: reload::Error| format!("logging: {error}");
        self.format.reload(format(log.format, &self.stderr)).map_err(broken)?;
        self.access.set(log);
        Ok(())
    }
}

/// Counts the lines of a log that are not written.
fn lost(log: &str) -> Result<IntCounter, String> {
    let help = "Lines that were not written because the disk was full or the reader of the log too slow.";
    let opts = Opts::new("enginehouse_log_lines_lost_total", help).const_label("log", log);
    IntCounter::with_opts(opts).map_err(|error| format!("logging: {error}"))
}

/// Colours are for terminals, and for people who did not refuse them by `NO_COLOR` (<https://no-color.org>).
fn is_coloured(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

fn format<S: Subscriber + for<'a> LookupSpan<'a>>(format: LogFormat, stderr: &LogWriter) -> Format<S> {
    let layer = tracing_subscriber::fmt::layer().with_writer(stderr.clone());
    match format {
        LogFormat::Text => {
            let is_terminal = std::io::stderr().is_terminal();
            layer.with_ansi(is_coloured(is_terminal, std::env::var_os("NO_COLOR").as_deref())).boxed()
        }
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::super::log_level::filter;
    use super::*;

    /// What is written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("kept").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines of what `tell` tells, in JSON.
    fn lines(log: &Log, rust_log: Option<&str>, tell: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let lost = prometheus::IntCounter::new("lost", "Lost.").expect("a counter");
        let (to, flushed) = LogWriter::start("log", written.clone(), lost, Delay::No).expect("a thread");
        let filter = filter(log, rust_log.map(str::to_owned)).expect("a filter");
        let subscriber = tracing_subscriber::registry().with(format(LogFormat::Json, &to)).with(filter);
        tracing::subscriber::with_default(subscriber, tell);
        drop(flushed);
        let bytes = written.0.lock().expect("kept").clone();
        let text = String::from_utf8(bytes).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[test]
    fn pingoras_noise_is_left_out_and_its_errors_are_not() {
        let tell = || {
            tracing::error!(target: "pingora_core::connectors", "failed to acquire reusable stream");
            tracing::error!(target: "pingora_proxy", "noise");
            tracing::warn!(target: "pingora_core::server", "noise");
            tracing::error!(target: "pingora_core::server", "kept");
            tracing::info!(target: "enginehouse::proxy", "kept");
            tracing::debug!(target: "enginehouse::proxy", "too much");
        };
        let messages = |lines: &[Value]| -> Vec<String> {
            lines.iter().map(|line| line["message"].as_str().expect("text").to_owned()).collect()
        };
        assert_eq!(messages(&lines(&Log::default(), None, tell)), ["kept", "kept"]);
        assert_eq!(messages(&lines(&Log::default(), Some(""), tell)), ["kept", "kept"]);
        assert_eq!(lines(&Log::default(), Some("error"), tell).len(), 3, "who sets RUST_LOG gets what it says");
    }

    #[test]
    fn the_time_has_the_name_that_it_has_in_the_access_log() {
        let lines = lines(&Log::default(), None, || tracing::info!("hello"));
        assert!(lines[0]["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{lines:?}");
    }

    #[test]
    fn colours_are_for_terminals_whose_reader_did_not_refuse_them() {
        assert!(is_coloured(true, None) && is_coloured(true, Some(OsStr::new(""))));
        assert!(!is_coloured(true, Some(OsStr::new("1"))) && !is_coloured(true, Some(OsStr::new("0"))));
        assert!(!is_coloured(false, None));
    }
}

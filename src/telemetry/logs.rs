//! Log lines: to standard error, by threads of their own, so that a slow reader never blocks a worker.

use std::fmt;

use tracing::Subscriber;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::{Layer, Layered, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::AccessLog;
use crate::config::{Log, LogFormat};

/// Writes an event as a line.
type Format<S> = Box<dyn Layer<S> + Send + Sync>;

/// The logs of this process. Flushes what is still queued when dropped; keep it until the end.
pub struct Logs {
    access: AccessLog,
    stderr: NonBlocking,
    format: reload::Handle<Format<Registry>, Registry>,
    filter: reload::Handle<EnvFilter, Layered<reload::Layer<Format<Registry>, Registry>, Registry>>,
    _flush: [WorkerGuard; 2],
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
        let (stderr, stderr_guard) = NonBlockingBuilder::default().lossy(true).finish(std::io::stderr());
        let (stdout, stdout_guard) = NonBlockingBuilder::default().lossy(true).finish(std::io::stdout());
        let (format_layer, format) = reload::Layer::new(format(log.format, &stderr));
        let (filter_layer, filter) = reload::Layer::new(filter(log)?);
        let subscriber = tracing_subscriber::registry().with(format_layer).with(filter_layer);
        subscriber.try_init().map_err(|error| format!("logging: {error}"))?;
        let access = AccessLog::new(stdout);
        access.set(log);
        Ok(Self { access, stderr, format, filter, _flush: [stderr_guard, stdout_guard] })
    }

    /// The log of requests.
    #[must_use]
    pub fn access(&self) -> AccessLog {
        self.access.clone()
    }

    /// Applies the settings of `log`.
    ///
    /// # Errors
    /// When `log.level` is not a filter; nothing is changed then.
    pub fn apply(&self, log: &Log) -> Result<(), String> {
        let filter = filter(log)?;
        let broken = |error: reload::Error| format!("logging: {error}");
        self.filter.reload(filter).map_err(broken)?;
        self.format.reload(format(log.format, &self.stderr)).map_err(broken)?;
        self.access.set(log);
        Ok(())
    }
}

/// Which lines are written: `RUST_LOG` wins.
fn filter(log: &Log) -> Result<EnvFilter, String> {
    let text = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    // Pingora logs what we answer and account for ourselves.
    let text = text.unwrap_or_else(|| format!("{},pingora_proxy=off,pingora_core=error", log.level));
    EnvFilter::try_new(&text).map_err(|error| format!("log filter `{text}`: {error}"))
}

/// Colours are for terminals, and for people who did not refuse them (<https://no-color.org>).
fn is_coloured() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty())
}

fn format<S: Subscriber + for<'a> LookupSpan<'a>>(format: LogFormat, stderr: &NonBlocking) -> Format<S> {
    let layer = tracing_subscriber::fmt::layer().with_writer(stderr.clone());
    match format {
        LogFormat::Text => layer.with_ansi(is_coloured()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    }
}

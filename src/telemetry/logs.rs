//! Log lines: to standard error, by threads of their own, so that a slow reader never blocks a worker.

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use super::AccessLog;
use crate::config::{Log, LogFormat};

/// Flushes what is still queued when dropped; keep it until the end.
#[derive(Debug)]
pub struct Guard(#[expect(dead_code, reason = "held for its Drop")] Vec<WorkerGuard>);

/// Sets up logging for this process and opens the access log.
///
/// # Errors
/// When `log.level` and `RUST_LOG` are no filter, or logging was set up already.
pub fn init(log: &Log) -> Result<(AccessLog, Guard), String> {
    let text = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    // Pingora logs what we answer and account for ourselves.
    let filter = text.unwrap_or_else(|| format!("{},pingora_proxy=off,pingora_core=error", log.level));
    let filter = EnvFilter::try_new(&filter).map_err(|error| format!("log filter `{filter}`: {error}"))?;
    let (stderr, stderr_guard) = NonBlockingBuilder::default().lossy(true).finish(std::io::stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let ready = match log.format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    ready.map_err(|error| format!("logging: {error}"))?;
    let (stdout, stdout_guard) = NonBlockingBuilder::default().lossy(true).finish(std::io::stdout());
    let access = if log.access { AccessLog::new(Some(stdout), log.format) } else { AccessLog::off() };
    Ok((access, Guard(vec![stderr_guard, stdout_guard])))
}

//! Which lines of the log are written: `RUST_LOG`, else `log.level`, until an operator says something else.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, reload};

use crate::config::Log;

/// Pingora logs what we answer and account for ourselves. Its connectors call it an error that a kept connection was closed
/// by the engine in the moment in which it was to be used, and open another one.
const PINGORA: &str = "pingora_proxy=off,pingora_core=error,pingora_core::connectors=off";

/// The filter of the log of this process. All clones are one.
#[derive(Clone)]
pub struct LogLevel(Arc<Shared>);

struct Shared {
    /// Puts a filter in use.
    replace: Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>,
    /// Held while the filter changes.
    texts: Mutex<Texts>,
}

/// What is in use, and what the configuration or `RUST_LOG` says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Texts {
    now: String,
    configured: String,
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevel").field(&*self.lock()).finish()
    }
}

impl LogLevel {
    /// What `log` or `RUST_LOG` says, for a filter that `handle` replaces and that is in use already.
    pub(super) fn new<S: Subscriber + 'static>(log: &Log, handle: reload::Handle<EnvFilter, S>) -> Self {
        let configured = text_of_process(log);
        let texts = Texts { now: configured.clone(), configured };
        Self(Arc::new(Shared { replace: Box::new(move |filter| handle.reload(filter)), texts: Mutex::new(texts) }))
    }

    /// What is in use, and what the configuration or `RUST_LOG` says.
    #[must_use]
    pub fn get(&self) -> (String, String) {
        let Texts { now, configured } = self.lock().clone();
        (now, configured)
    }

    /// Writes by `level` from now on: a level, or a filter in the syntax of `RUST_LOG`.
    ///
    /// # Errors
    /// It is no filter; nothing is changed then.
    pub fn set(&self, level: &str) -> Result<(), String> {
        let mut texts = self.lock();
        self.replace(&with_pingora(level))?;
        level.clone_into(&mut texts.now);
        Ok(())
    }

    /// Takes over the settings of `log`, where they say something else than before. Otherwise what an operator said stays.
    pub(super) fn configure(&self, log: &Log) -> Result<(), String> {
        let mut texts = self.lock();
        let configured = text_of_process(log);
        if configured != texts.configured {
            self.replace(&filter_text(log, rust_log()))?;
            *texts = Texts { now: configured.clone(), configured };
        }
        Ok(())
    }

    fn replace(&self, text: &str) -> Result<(), String> {
        (self.0.replace)(parse(text)?).map_err(|error| format!("logging: {error}"))
    }

    fn lock(&self) -> MutexGuard<'_, Texts> {
        self.0.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The filter that this process starts with.
pub(super) fn filter_of_process(log: &Log) -> Result<EnvFilter, String> {
    filter(log, rust_log())
}

/// Which lines are written: `RUST_LOG` wins.
pub(super) fn filter(log: &Log, rust_log: Option<String>) -> Result<EnvFilter, String> {
    parse(&filter_text(log, rust_log))
}

fn rust_log() -> Option<String> {
    std::env::var("RUST_LOG").ok()
}

/// What was written, for people.
fn text_of_process(log: &Log) -> String {
    rust_log().filter(|text| !text.is_empty()).unwrap_or_else(|| log.level.clone())
}

fn filter_text(log: &Log, rust_log: Option<String>) -> String {
    rust_log.filter(|text| !text.is_empty()).unwrap_or_else(|| with_pingora(&log.level))
}

fn with_pingora(level: &str) -> String {
    format!("{level},{PINGORA}")
}

fn parse(text: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(text).map_err(|error| format!("log filter `{text}`: {error}"))
}

//! The newest lines of the gateway's own log, for operators who do not see its standard error.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::api::LogLine;

/// Lines that are kept.
const MOST: usize = 2000;

/// Bytes of a line that are kept.
const LONGEST: usize = 4096;

/// Whose lines these are, beside those of engines.
pub const GATEWAY: &str = "gateway";

/// The newest lines. All clones are one.
#[derive(Clone, Debug, Default)]
pub struct LogHistory(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    /// The newest last.
    kept: VecDeque<LogLine>,
    /// Lines that there ever were.
    told: u64,
}

impl LogHistory {
    /// The lines that are kept, the newest last.
    #[must_use]
    pub fn lines(&self) -> Vec<LogLine> {
        self.lock().kept.iter().cloned().collect()
    }

    /// The lines that came after the first `told` ones, as far as they are kept, and how many there were in all.
    #[must_use]
    pub fn since(&self, told: u64) -> (Vec<LogLine>, u64) {
        let lines = self.lock();
        let news = usize::try_from(lines.told.saturating_sub(told)).unwrap_or(usize::MAX);
        let skipped = lines.kept.len().saturating_sub(news);
        (lines.kept.iter().skip(skipped).cloned().collect(), lines.told)
    }

    fn add(&self, line: LogLine) {
        let mut lines = self.lock();
        lines.told += 1;
        lines.kept.push_back(line);
        if lines.kept.len() > MOST {
            lines.kept.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps each event that the filter of the process lets through.
impl<S: Subscriber> Layer<S> for LogHistory {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let mut text = text.message + &text.fields;
        text.truncate(text.floor_char_boundary(LONGEST));
        self.add(LogLine {
            from: GATEWAY.to_owned(),
            time: Some(humantime::format_rfc3339_millis(SystemTime::now()).to_string()),
            level: Some(event.metadata().level().as_str().to_ascii_lowercase()),
            text,
        });
    }
}

/// An event in words: its message, then its fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn lines_are_kept_with_their_fields_and_the_oldest_go() {
        let history = LogHistory::default();
        let subscriber = tracing_subscriber::registry().with(history.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(engine = %"m/0", port = 7, "engine is {}", "stopped");
            let (first, told) = history.since(0);
            assert_eq!((first.len(), told), (1, 1));
            assert_eq!(
                (first[0].text.as_str(), first[0].level.as_deref()),
                ("engine is stopped engine=m/0 port=7", Some("warn"))
            );
            for number in 0..MOST {
                tracing::info!("line {number}");
            }
            tracing::info!("{}", "ä".repeat(LONGEST));
        });
        let lines = history.lines();
        assert_eq!((lines.len(), lines[0].text.as_str()), (MOST, "line 1"));
        let (news, told) = history.since(MOST as u64);
        assert_eq!((news.len(), told), (2, MOST as u64 + 2));
        assert_eq!(news[1].text.len(), LONGEST);
    }
}

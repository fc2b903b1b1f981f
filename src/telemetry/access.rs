//! One line per request: no bodies, no secrets, no query strings.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tracing_appender::non_blocking::NonBlocking;

use crate::config::LogFormat;

/// What is told of a request.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// `x-request-id`.
    pub id: &'a str,
    /// Who connected.
    pub client: Option<IpAddr>,
    /// Whose key it showed.
    pub caller: Option<&'a str>,
    /// Method.
    pub method: &'a str,
    /// Path without query.
    pub path: &'a str,
    /// The model served; `None`: none was found.
    pub model: Option<&'a str>,
    /// The alias it was reached by.
    pub alias: Option<&'a str>,
    /// The engine that answered.
    pub engine: Option<&'a str>,
    /// Status sent; 499: the client left first.
    pub status: u16,
    /// Whether the answer was a stream of events.
    pub stream: bool,
    /// Size of the request body as received.
    pub bytes_in: usize,
    /// Bytes of the answer's body.
    pub bytes_out: usize,
    /// From head to end.
    pub took: Duration,
    /// From the request's end to the first event.
    pub first_token: Option<Duration>,
    /// Time in the gateway itself.
    pub overhead: Duration,
    /// Further attempts.
    pub retries: usize,
    /// Prompt and completion tokens as reported.
    pub tokens: Option<(u64, u64)>,
    /// What went wrong, as a code.
    pub error: Option<&'a str>,
}

/// Where the lines go.
#[derive(Clone, Debug)]
pub struct AccessLog {
    to: Option<NonBlocking>,
    format: LogFormat,
}

impl AccessLog {
    /// Lines to `to`.
    #[must_use]
    pub fn new(to: Option<NonBlocking>, format: LogFormat) -> Self {
        Self { to, format }
    }

    /// No lines.
    #[must_use]
    pub fn off() -> Self {
        Self { to: None, format: LogFormat::Text }
    }

    /// Whether lines are written at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.to.is_some()
    }

    /// Queues a line; drops it when the queue is full.
    pub fn write(&self, entry: &Entry<'_>) {
        let Some(to) = &self.to else { return };
        let line = match self.format {
            LogFormat::Text => text(entry, SystemTime::now()),
            LogFormat::Json => structured(entry, SystemTime::now()).to_string() + "\n",
        };
        // The queue is the only thing that could refuse, and it is allowed to drop.
        let _ = to.clone().write_all(line.as_bytes());
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn text(entry: &Entry<'_>, now: SystemTime) -> String {
    let mut line = String::with_capacity(256);
    let _ = write!(
        line,
        "{} {} {} {} {}ms",
        humantime::format_rfc3339_millis(now),
        entry.status,
        entry.method,
        entry.path.escape_default(),
        millis(entry.took)
    );
    let words = [
        ("caller", entry.caller),
        ("model", entry.model),
        ("alias", entry.alias),
        ("engine", entry.engine),
        ("error", entry.error),
    ];
    for (word, value) in words {
        if let Some(value) = value {
            let _ = write!(line, " {word}={}", value.escape_default());
        }
    }
    if entry.stream {
        line.push_str(" stream");
    }
    if let Some(first) = entry.first_token {
        let _ = write!(line, " ttft={}ms", millis(first));
    }
    if let Some((prompt, completion)) = entry.tokens {
        let _ = write!(line, " tokens={prompt}+{completion}");
    }
    if entry.retries > 0 {
        let _ = write!(line, " retries={}", entry.retries);
    }
    let _ = write!(line, " in={} out={} us={}", entry.bytes_in, entry.bytes_out, entry.overhead.as_micros());
    if let Some(client) = entry.client {
        let _ = write!(line, " client={client}");
    }
    let _ = writeln!(line, " id={}", entry.id);
    line
}

fn structured(entry: &Entry<'_>, now: SystemTime) -> Value {
    json!({
        "ts": humantime::format_rfc3339_millis(now).to_string(),
        "id": entry.id,
        "client": entry.client.map(|client| client.to_string()),
        "caller": entry.caller,
        "method": entry.method,
        "path": entry.path,
        "model": entry.model,
        "alias": entry.alias,
        "engine": entry.engine,
        "status": entry.status,
        "stream": entry.stream,
        "bytes_in": entry.bytes_in,
        "bytes_out": entry.bytes_out,
        "duration_ms": millis(entry.took),
        "ttft_ms": entry.first_token.map(millis),
        "overhead_us": u64::try_from(entry.overhead.as_micros()).unwrap_or(u64::MAX),
        "retries": entry.retries,
        "prompt_tokens": entry.tokens.map(|tokens| tokens.0),
        "completion_tokens": entry.tokens.map(|tokens| tokens.1),
        "error": entry.error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry<'static> {
        Entry {
            id: "r1",
            client: Some(IpAddr::from([127, 0, 0, 1])),
            caller: Some("bot"),
            method: "POST",
            path: "/v1/chat/completions\n",
            model: Some("m"),
            alias: None,
            engine: Some("m/0"),
            status: 200,
            stream: true,
            bytes_in: 10,
            bytes_out: 20,
            took: Duration::from_micros(1500),
            first_token: Some(Duration::from_millis(1)),
            overhead: Duration::from_micros(42),
            retries: 1,
            tokens: Some((3, 4)),
            error: None,
        }
    }

    #[test]
    fn a_text_line_is_one_line_whatever_the_path() {
        assert_eq!(
            text(&entry(), SystemTime::UNIX_EPOCH),
            "1970-01-01T00:00:00.000Z 200 POST /v1/chat/completions\\n 1.5ms caller=bot model=m engine=m/0 stream ttft=1ms \
             tokens=3+4 retries=1 in=10 out=20 us=42 client=127.0.0.1 id=r1\n"
        );
    }

    #[test]
    fn a_structured_line_has_every_field_always() {
        let value = structured(&entry(), SystemTime::UNIX_EPOCH);
        assert_eq!(value["duration_ms"], 1.5);
        assert_eq!(value["alias"], Value::Null);
        assert_eq!(value.as_object().map(serde_json::Map::len), Some(20));
    }
}

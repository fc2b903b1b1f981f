//! One line per request: no bodies, no secrets, no query strings.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use serde_json::{Value, json};
use tracing_appender::non_blocking::NonBlocking;

use super::record::Record;
use crate::config::{Log, LogFormat};

/// Where the lines go. All clones do what the last [`AccessLog::set`] says.
#[derive(Clone, Debug)]
pub struct AccessLog {
    to: NonBlocking,
    /// How lines are written; `None`: there are none.
    format: Arc<ArcSwapOption<LogFormat>>,
}

impl AccessLog {
    /// A log that writes to `to`, and nothing yet.
    #[must_use]
    pub fn new(to: NonBlocking) -> Self {
        Self { to, format: Arc::default() }
    }

    /// Writes lines as `log` says from now on.
    pub fn set(&self, log: &Log) {
        self.format.store(log.access.then(|| Arc::new(log.format)));
    }

    /// Queues a line; drops it when the queue is full.
    pub fn write(&self, record: &Record<'_>) {
        let line = match self.format.load().as_deref() {
            None => return,
            Some(LogFormat::Json) => structured(record, SystemTime::now()).to_string() + "\n",
            Some(LogFormat::Text) => text(record, SystemTime::now()),
        };
        // The queue is the only thing that could refuse, and it is allowed to drop.
        let _ = self.to.clone().write_all(line.as_bytes());
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A value of a text line: in quotes where it could be taken for more than one, and without characters that nobody sees.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain =
            |c: char| !matches!(c, '"' | '\\') && !c.is_whitespace() && (c == '\'' || c.escape_debug().len() == 1);
        if !self.0.is_empty() && self.0.chars().all(is_plain) {
            return f.write_str(self.0);
        }
        f.write_char('"')?;
        for c in self.0.chars() {
            if c == '\'' { f.write_char(c)? } else { write!(f, "{}", c.escape_debug())? }
        }
        f.write_char('"')
    }
}

fn text(record: &Record<'_>, now: SystemTime) -> String {
    let mut line = String::with_capacity(256);
    let _ = write!(
        line,
        "{} {} {} {} {}ms",
        humantime::format_rfc3339_millis(now),
        record.status,
        record.method,
        Word(record.path),
        millis(record.took)
    );
    let words = [
        ("caller", record.caller),
        ("model", record.model),
        ("unknown_model", record.unknown_model),
        ("alias", record.alias),
        ("engine", record.engine),
        ("error", record.error),
    ];
    for (word, value) in words {
        if let Some(value) = value {
            let _ = write!(line, " {word}={}", Word(value));
        }
    }
    if record.stream {
        let _ = write!(line, " stream end={}", record.stream_end.unwrap_or("complete"));
    }
    if let Some(first) = record.first_token {
        let _ = write!(line, " ttft={}ms", millis(first));
    }
    if let Some(usage) = record.usage {
        let about = if record.is_estimate { "~" } else { "" };
        let _ = write!(line, " tokens={about}{}+{about}{}", usage.prompt, usage.completion);
    }
    if record.retries > 0 {
        let _ = write!(line, " retries={}", record.retries);
    }
    let _ = write!(line, " in={} out={} us={}", record.bytes_in, record.bytes_out, record.overhead.as_micros());
    if let Some(client) = record.client {
        let _ = write!(line, " client={client}");
    }
    let _ = writeln!(line, " id={}", record.id);
    line
}

fn structured(record: &Record<'_>, now: SystemTime) -> Value {
    json!({
        "timestamp": humantime::format_rfc3339_millis(now).to_string(),
        "id": record.id,
        "client": record.client.map(|client| client.to_string()),
        "caller": record.caller,
        "method": record.method,
        "path": record.path,
        "model": record.model,
        "unknown_model": record.unknown_model,
        "alias": record.alias,
        "engine": record.engine,
        "status": record.status,
        "stream": record.stream,
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
        "duration_ms": millis(record.took),
        "ttft_ms": record.first_token.map(millis),
        "overhead_us": u64::try_from(record.overhead.as_micros()).unwrap_or(u64::MAX),
        "retries": record.retries,
        "prompt_tokens": record.usage.map(|usage| usage.prompt),
        "completion_tokens": record.usage.map(|usage| usage.completion),
        "tokens_estimated": record.usage.map(|_| record.is_estimate),
        "stream_end": record.stream_end,
        "error": record.error,
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::openai::Usage;

    fn record() -> Record<'static> {
        Record {
            id: "r1",
            client: Some(IpAddr::from([127, 0, 0, 1])),
            caller: Some("bot"),
            method: "POST",
            endpoint: Some(crate::openai::Endpoint::ChatCompletions),
            path: "/v1/chat/completions\n",
            model: Some("m"),
            unknown_model: None,
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
            usage: Some(Usage { prompt: 3, completion: 4, cached: 0 }),
            is_estimate: false,
            stream_end: Some("complete"),
            error: None,
        }
    }

    #[test]
    fn a_text_line_is_one_line_whatever_the_path() {
        assert_eq!(
            text(&record(), SystemTime::UNIX_EPOCH),
            "1970-01-01T00:00:00.000Z 200 POST \"/v1/chat/completions\\n\" 1.5ms caller=bot model=m engine=m/0 stream \
             end=complete ttft=1ms tokens=3+4 retries=1 in=10 out=20 us=42 client=127.0.0.1 id=r1\n"
        );
    }

    #[test]
    fn a_value_is_one_word_and_people_can_read_it() {
        for (value, shown) in [
            ("org/qwen3-32b:fast", "org/qwen3-32b:fast"),
            ("größe", "größe"),
            ("模型", "模型"),
            ("l'été", "l'été"),
            ("my model", "\"my model\""),
            ("say \"hi\"", r#""say \"hi\"""#),
            (r"a\b", r#""a\\b""#),
            ("", "\"\""),
            ("a\u{a0}b", r#""a\u{a0}b""#),
            ("a\u{202e}b\u{1b}[31m", r#""a\u{202e}b\u{1b}[31m""#),
            ("a status=200", "\"a status=200\""),
        ] {
            assert_eq!(Word(value).to_string(), shown);
        }
    }

    #[test]
    fn a_stream_says_how_it_ended_and_another_answer_nothing() {
        let line = |stream, stream_end| text(&Record { stream, stream_end, ..record() }, SystemTime::UNIX_EPOCH);
        assert!(line(true, Some("engine_died")).contains(" stream end=engine_died "));
        assert!(!line(false, None).contains("end="));
    }

    #[test]
    fn a_structured_line_has_every_field_always() {
        let value = structured(&record(), SystemTime::UNIX_EPOCH);
        // As in the other log.
        assert_eq!(value["timestamp"], "1970-01-01T00:00:00.000Z");
        assert_eq!(value["duration_ms"], 1.5);
        assert_eq!(value["alias"], Value::Null);
        assert_eq!(value.as_object().map(serde_json::Map::len), Some(23));
    }
}

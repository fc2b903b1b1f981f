//! One line per request: no bodies, no secrets, no query strings.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use serde::{Serialize, Serializer};

use super::log_writer::LogWriter;
use super::record::Record;
use crate::config::{Log, LogFormat};

/// Where the lines go. All clones do what the last [`AccessLog::set`] says.
#[derive(Clone, Debug)]
pub struct AccessLog {
    to: LogWriter,
    /// How lines are written; `None`: there are none.
    format: Arc<ArcSwapOption<LogFormat>>,
}

impl AccessLog {
    /// A log that writes to `to`, and nothing yet.
    #[must_use]
    pub(super) fn new(to: LogWriter) -> Self {
        Self { to, format: Arc::default() }
    }

    /// Writes lines as `log` says from now on.
    pub fn set(&self, log: &Log) {
        self.format.store(log.access.then(|| Arc::new(log.format)));
    }

    /// Queues a line; drops and counts it when the queue is full.
    pub fn write(&self, record: &Record<'_>) {
        let line = match self.format.load().as_deref() {
            None => return,
            Some(LogFormat::Json) => structured(record, SystemTime::now()),
            Some(LogFormat::Text) => text(record, SystemTime::now()),
        };
        self.to.write(line.into_bytes());
    }
}

/// A duration in milliseconds, to the microsecond.
#[derive(Clone, Copy)]
struct Millis(Duration);

impl Millis {
    fn micros(self) -> u128 {
        (self.0.as_nanos() + 500) / 1000
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut rest) = (self.micros() / 1000, self.micros() % 1000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let mut digits = 3;
        while rest % 10 == 0 {
            (rest, digits) = (rest / 10, digits - 1);
        }
        write!(f, "{whole}.{rest:0digits$}")
    }
}

impl Serialize for Millis {
    #[expect(clippy::cast_precision_loss, reason = "285 years until the first microsecond is lost")]
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.micros() as f64 / 1e3)
    }
}

/// A value of a text line: in quotes where it could be taken for more than one, and without characters that nobody sees.
struct Word<'a>(&'a str);

impl Word<'_> {
    fn is_plain(&self) -> bool {
        // Nearly all are; the other characters are looked at closer.
        let is_common = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        let is_plain =
            |c: char| !matches!(c, '"' | '\\') && !c.is_whitespace() && (c == '\'' || c.escape_debug().len() == 1);
        !self.0.is_empty() && (self.0.bytes().all(is_common) || self.0.chars().all(is_plain))
    }
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_plain() {
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
    let mut line = String::with_capacity(384);
    let _ = write!(
        line,
        "{} {} {} {} {}ms",
        humantime::format_rfc3339_millis(now),
        record.status,
        record.method,
        Word(record.path),
        Millis(record.took)
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
        let _ = write!(line, " ttft={}ms", Millis(first));
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
    if let Some(trace) = record.trace_id {
        let _ = write!(line, " trace={trace:032x}");
    }
    let _ = writeln!(line, " id={}", record.id);
    line
}

/// A line in JSON.
#[derive(Serialize)]
struct Structured<'a> {
    timestamp: String,
    id: &'a str,
    trace_id: Option<String>,
    client: Option<IpAddr>,
    caller: Option<&'a str>,
    method: &'a str,
    path: &'a str,
    model: Option<&'a str>,
    unknown_model: Option<&'a str>,
    alias: Option<&'a str>,
    engine: Option<&'a str>,
    status: u16,
    stream: bool,
    bytes_in: usize,
    bytes_out: usize,
    duration_ms: Millis,
    ttft_ms: Option<Millis>,
    overhead_us: u64,
    retries: usize,
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    tokens_estimated: Option<bool>,
    stream_end: Option<&'a str>,
    error: Option<&'a str>,
}

fn structured(record: &Record<'_>, now: SystemTime) -> String {
    let line = Structured {
        timestamp: humantime::format_rfc3339_millis(now).to_string(),
        id: record.id,
        trace_id: record.trace_id.map(|id| format!("{id:032x}")),
        client: record.client,
        caller: record.caller,
        method: record.method,
        path: record.path,
        model: record.model,
        unknown_model: record.unknown_model,
        alias: record.alias,
        engine: record.engine,
        status: record.status,
        stream: record.stream,
        bytes_in: record.bytes_in,
        bytes_out: record.bytes_out,
        duration_ms: Millis(record.took),
        ttft_ms: record.first_token.map(Millis),
        overhead_us: u64::try_from(record.overhead.as_micros()).unwrap_or(u64::MAX),
        retries: record.retries,
        prompt_tokens: record.usage.map(|usage| usage.prompt),
        completion_tokens: record.usage.map(|usage| usage.completion),
        tokens_estimated: record.usage.map(|_| record.is_estimate),
        stream_end: record.stream_end,
        error: record.error,
    };
    // Of such members nothing can fail.
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::record::testing::record;
    use super::*;

    #[test]
    fn a_text_line_is_one_line_whatever_the_path() {
        assert_eq!(
            text(&record(), SystemTime::UNIX_EPOCH),
            "1970-01-01T00:00:00.000Z 200 POST \"/v1/chat/completions\\n\" 1.5ms caller=bot model=m engine=m/0 stream \
             end=complete ttft=1ms tokens=3+4 retries=1 in=10 out=20 us=42 client=127.0.0.1 trace=0000000000000000000000000000002a id=r1\n"
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
    fn milliseconds_are_written_as_short_as_they_are_exact() {
        for (nanos, shown) in [
            (0, "0"),
            (499, "0"),
            (500, "0.001"),
            (1_000_000, "1"),
            (1_500_000, "1.5"),
            (1_050_000, "1.05"),
            (1_005_000, "1.005"),
            (60_000_000_000, "60000"),
        ] {
            let millis = Millis(Duration::from_nanos(nanos));
            assert_eq!(millis.to_string(), shown);
            assert_eq!(serde_json::to_value(millis).expect("a number").as_f64(), shown.parse().ok());
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
        let line = structured(&record(), SystemTime::UNIX_EPOCH);
        let value: Value = serde_json::from_str(line.strip_suffix('\n').expect("a line")).expect("JSON");
        // As in the other log.
        assert_eq!(value["timestamp"], "1970-01-01T00:00:00.000Z");
        assert_eq!(value["duration_ms"], 1.5);
        assert_eq!(value["alias"], Value::Null);
        assert_eq!(value.as_object().map(serde_json::Map::len), Some(24));
    }
}

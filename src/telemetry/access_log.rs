//! One line per request: no bodies, no secrets, no query strings.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

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
            Some(LogFormat::Json) => structured(record),
            Some(LogFormat::Text) => text(record),
        };
        self.to.write(line.into_bytes());
    }
}

/// A duration in milliseconds, to the microsecond.
#[derive(Clone, Copy)]
struct Millis(Duration);

impl Millis {
    fn micros(self) -> u64 {
        let seconds = self.0.as_secs().saturating_mul(1_000_000);
        seconds.saturating_add(u64::from((self.0.subsec_nanos() + 500) / 1000))
    }
}

impl Serialize for Millis {
    #[expect(clippy::cast_precision_loss, reason = "285 years until the first microsecond is lost")]
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.micros() as f64 / 1e3)
    }
}

/// A line of text. Every request writes one: `format!` would cost as much as all else that is done to make it.
struct Line(String);

impl Line {
    fn put(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn number(&mut self, number: impl itoa::Integer) {
        self.put(itoa::Buffer::new().format(number));
    }

    fn count(&mut self, before: &str, number: impl itoa::Integer) {
        self.put(before);
        self.number(number);
    }

    /// Milliseconds, as short as they are exact.
    fn millis(&mut self, time: Duration) {
        let micros = Millis(time).micros();
        let (whole, mut rest) = (micros / 1000, micros % 1000);
        self.number(whole);
        let mut digit = 100;
        if rest > 0 {
            self.put(".");
        }
        while rest > 0 {
            self.number(rest / digit);
            (rest, digit) = (rest % digit, digit / 10);
        }
    }

    /// A value: in quotes where it could be taken for more than one, and without characters that nobody sees.
    fn word(&mut self, value: &str) {
        if is_plain(value) {
            return self.put(value);
        }
        self.put("\"");
        for c in value.chars() {
            if c == '\'' {
                self.0.push(c);
            } else {
                self.0.extend(c.escape_debug());
            }
        }
        self.put("\"");
    }

    /// Whose request it was, what answered it, and what went wrong.
    fn words(&mut self, record: &Record<'_>) {
        let words = [
            (" caller=", record.caller),
            (" model=", record.model),
            (" unknown_model=", record.unknown_model),
            (" alias=", record.alias),
            (" engine=", record.engine),
            (" error=", record.error),
        ];
        for (before, value) in words {
            if let Some(value) = value {
                self.put(before);
                self.word(value);
            }
        }
    }

    fn address(&mut self, address: IpAddr) {
        let IpAddr::V4(address) = address else {
            let _ = write!(self.0, "{address}");
            return;
        };
        for (at, octet) in address.octets().into_iter().enumerate() {
            self.put(if at == 0 { "" } else { "." });
            self.number(octet);
        }
    }
}

/// Whether a value needs no quotes.
fn is_plain(value: &str) -> bool {
    // Nearly all do not; the other characters are looked at closer.
    let is_common = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    let is_plain =
        |c: char| !matches!(c, '"' | '\\') && !c.is_whitespace() && (c == '\'' || c.escape_debug().len() == 1);
    !value.is_empty() && (value.bytes().all(is_common) || value.chars().all(is_plain))
}

fn text(record: &Record<'_>) -> String {
    let mut line = Line(String::with_capacity(384));
    let _ = write!(line.0, "{} ", humantime::format_rfc3339_millis(record.ended));
    line.number(record.status);
    line.put(" ");
    line.put(record.method);
    line.put(" ");
    line.word(record.path);
    line.put(" ");
    line.millis(record.took);
    line.put("ms");
    line.words(record);
    if record.stream {
        line.put(" stream end=");
        line.put(record.stream_end.unwrap_or("complete"));
    }
    if let Some(first) = record.first_token {
        line.put(" ttft=");
        line.millis(first);
        line.put("ms");
    }
    if let Some(usage) = record.usage {
        let about = if record.is_estimate { "~" } else { "" };
        for (before, tokens) in [(" tokens=", usage.prompt), ("+", usage.completion)] {
            line.put(before);
            line.count(about, tokens);
        }
    }
    if record.retries > 0 {
        line.count(" retries=", record.retries);
    }
    line.count(" in=", record.bytes_in);
    line.count(" out=", record.bytes_out);
    line.count(" us=", u64::try_from(record.overhead.as_micros()).unwrap_or(u64::MAX));
    if let Some(client) = record.client {
        line.put(" client=");
        line.address(client);
    }
    if let Some(trace) = record.trace_id {
        let _ = write!(line.0, " trace={trace:032x}");
    }
    line.put(" id=");
    line.put(record.id);
    line.put("\n");
    line.0
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

fn structured(record: &Record<'_>) -> String {
    let line = Structured {
        timestamp: humantime::format_rfc3339_millis(record.ended).to_string(),
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

    fn line(put: impl FnOnce(&mut Line)) -> String {
        let mut line = Line(String::new());
        put(&mut line);
        line.0
    }

    #[test]
    fn addresses_are_written_as_usual() {
        for address in ["127.0.0.1", "10.200.0.99", "::1", "2001:db8::7"] {
            assert_eq!(line(|line| line.address(address.parse().expect("an address"))), address);
        }
    }

    #[test]
    fn a_text_line_is_one_line_whatever_the_path() {
        assert_eq!(
            text(&record()),
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
            assert_eq!(line(|line| line.word(value)), shown);
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
            let time = Duration::from_nanos(nanos);
            assert_eq!(line(|line| line.millis(time)), shown);
            assert_eq!(serde_json::to_value(Millis(time)).expect("a number").as_f64(), shown.parse().ok());
        }
    }

    #[test]
    fn a_stream_says_how_it_ended_and_another_answer_nothing() {
        let line = |stream, stream_end| text(&Record { stream, stream_end, ..record() });
        assert!(line(true, Some("engine_died")).contains(" stream end=engine_died "));
        assert!(!line(false, None).contains("end="));
    }

    #[test]
    fn a_structured_line_has_every_field_always() {
        let line = structured(&record());
        let value: Value = serde_json::from_str(line.strip_suffix('\n').expect("a line")).expect("JSON");
        // As in the other log.
        assert_eq!(value["timestamp"], "1970-01-01T00:00:00.000Z");
        assert_eq!(value["duration_ms"], 1.5);
        assert_eq!(value["alias"], Value::Null);
        assert_eq!(value.as_object().map(serde_json::Map::len), Some(24));
    }
}

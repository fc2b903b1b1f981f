//! What the sides are asked, and which of them do not do it as it was asked for.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::{request, try_exchange};
use crate::sides::Side;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stream of 32 tokens 2 ms apart takes twice as long; one that comes at once is there after a few milliseconds.
const SLOW: Duration = Duration::from_millis(30);

/// A kind of request.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    request: Vec<u8>,
    /// The engine needs longer than this when it does what it is asked for.
    longer_than: Duration,
}

pub(crate) fn rows() -> Vec<Row> {
    let kib = 1 << 10;
    let row = |name, model, size| Row { name, request: request(model, size, false, ""), longer_than: Duration::ZERO };
    let at_once = |name, model| Row { name, request: request(model, kib, true, ""), longer_than: Duration::ZERO };
    let apart = |name, model| Row { name, request: request(model, kib, true, "x-sim-gap: 2ms\r\n"), longer_than: SLOW };
    vec![
        row("chat 1 KiB, by model name", "m", kib),
        row("chat 1 KiB, by alias (2 overrides)", "a", kib),
        row("chat 1 KiB, by alias, response_model: engine", "e", kib),
        row("chat 16 KiB, by alias", "a", 16 * kib),
        row("chat 16 KiB, by model name", "m", 16 * kib),
        row("chat 100 KiB, by alias", "a", 100 * kib),
        row("chat 256 KiB, by alias", "a", 256 * kib),
        row("chat 2 MiB, by alias", "a", 2048 * kib),
        apart("32 tokens 2 ms apart, by alias", "a"),
        apart("32 tokens 2 ms apart, response_model: engine", "e"),
        at_once("32 tokens at once, by alias", "a"),
        at_once("32 tokens at once, response_model: engine", "e"),
    ]
}

impl Row {
    /// What this side is sent: the model's own name where it knows no aliases.
    pub(crate) fn request_to(&self, side: &Side) -> Vec<u8> {
        if side.knows_aliases { self.request.clone() } else { by_model_name(&self.request) }
    }

    /// Why figures of this side would say nothing; `None` where it does what the row asks for.
    pub(crate) fn objection(&self, side: &Side) -> Option<String> {
        let mut stream = TcpStream::connect(side.address).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let since = Instant::now();
        match try_exchange(&mut stream, &self.request_to(side), &mut Vec::new()) {
            Err(error) => Some(error.to_string()),
            // Some pass on only the headers they know, so the engine is never told.
            Ok(200) if since.elapsed() < self.longer_than => Some("keeps x-sim-gap from the engine".to_owned()),
            Ok(200) => None,
            Ok(status) => Some(format!("answers with status {status}")),
        }
    }
}

/// The same request for a server without aliases.
fn by_model_name(request: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    ["a", "e"]
        .iter()
        .fold(text.into_owned(), |text, alias| text.replacen(&format!("\"model\":\"{alias}\""), "\"model\":\"m\"", 1))
        .into_bytes()
}

//! An answer that is an error: what it says, in whatever shape.

use http::StatusCode;
use serde_json::Value;

/// Longest message that is shown.
const LONGEST: usize = 2000;

/// An error of the gateway or of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Refusal {
    /// `None`: an event in a stream that had begun.
    pub(in crate::cli) status: Option<u16>,
    /// The word that programs branch on, if there is one.
    pub(in crate::cli) code: Option<String>,
    /// What happened.
    pub(in crate::cli) message: String,
}

impl Refusal {
    /// Reads the body of an answer with `status`.
    pub(in crate::cli) fn of_answer(status: StatusCode, body: &[u8]) -> Self {
        let read = serde_json::from_slice(body).ok().and_then(|body| Self::of(&body));
        let plain =
            || Self { status: None, code: None, message: shortened(String::from_utf8_lossy(body).trim()).to_owned() };
        Self { status: Some(status.as_u16()), ..read.unwrap_or_else(plain) }
    }

    /// Reads an event; `None` where it is no error.
    pub(in crate::cli) fn of_event(data: &[u8]) -> Option<Self> {
        // Nearly every event begins with another member.
        if !data.starts_with(b"{\"error\"") && !data.starts_with(b"{ \"error\"") {
            return None;
        }
        Self::of(&serde_json::from_slice(data).ok()?)
    }

    fn of(body: &Value) -> Option<Self> {
        let error = body.get("error")?;
        let word = |name: &str| match error.get(name) {
            Some(Value::String(word)) => Some(word.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let message = match error {
            Value::Null => return None,
            // vLLM's 401.
            Value::String(message) => message.clone(),
            _ => word("message").unwrap_or_else(|| error.to_string()),
        };
        Some(Self {
            status: None,
            code: word("code").or_else(|| word("type")),
            message: shortened(message.trim()).to_owned(),
        })
    }

    /// Whether the server takes no more just now, and says so.
    pub(in crate::cli) fn is_shed(&self) -> bool {
        matches!(self.status, Some(429 | 503))
    }

    /// Its status and code, which stay the same for errors of one kind.
    pub(in crate::cli) fn kind(&self) -> String {
        match (self.status, &self.code) {
            (Some(status), Some(code)) if *code != status.to_string() => format!("{status} {code}"),
            (Some(status), _) => status.to_string(),
            (None, Some(code)) => format!("error in the stream: {code}"),
            (None, None) => "error in the stream".to_owned(),
        }
    }
}

fn shortened(text: &str) -> &str {
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> (String, String) {
        let refusal = Refusal::of_answer(StatusCode::from_u16(status).expect("a status"), body.as_bytes());
        (refusal.kind(), refusal.message)
    }

    #[test]
    fn every_shape_of_an_error_is_read() {
        for (status, body, kind, message) in [
            (
                404,
                r#"{"error": {"message": "no", "type": "t", "code": "model_not_found"}}"#,
                "404 model_not_found",
                "no",
            ),
            (404, r#"{"error": {"message": "no", "type": "NotFoundError", "code": 404}}"#, "404", "no"),
            (429, r#"{"error": {"message": "no", "type": "t", "code": null}}"#, "429 t", "no"),
            (401, r#"{"error": "Unauthorized"}"#, "401", "Unauthorized"),
            (502, "<html>\n", "502", "<html>"),
            (500, r#"{"error": {}}"#, "500", "{}"),
        ] {
            assert_eq!(read(status, body), (kind.to_owned(), message.to_owned()), "{body}");
        }
        assert_eq!(read(500, &"ä".repeat(3000)).1.len(), LONGEST);
    }

    #[test]
    fn only_errors_in_a_stream_are_errors() {
        let event = br#"{"error":{"message":"died","code":"engine_died"}}"#;
        assert_eq!(Refusal::of_event(event).expect("an error").kind(), "error in the stream: engine_died");
        for other in [r#"{"error":null,"choices":[]}"#, r#"{"choices":[]}"#, "{\"error\"", ""] {
            assert_eq!(Refusal::of_event(other.as_bytes()), None, "{other}");
        }
    }
}

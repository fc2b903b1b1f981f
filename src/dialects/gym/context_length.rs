//! Recognizes an engine's error for a prompt that is longer than the model's context.

use super::errors::engine_message;

/// Whether an engine refused because the context is too short. Gym takes any mention of `max_tokens` for that.
pub(super) fn exceeded(status: u16, body: &[u8], strict: bool) -> bool {
    if strict {
        let text = String::from_utf8_lossy(body);
        return status == 400 && (text.contains("context length") || text.contains("max_tokens"));
    }
    let message = engine_message(body).to_lowercase();
    matches!(status, 400 | 413)
        && ["maximum context length", "maximum model length"].iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_engines() {
        let cases = [
            (400, "This model's maximum context length is 32768 tokens. However, …", true, true),
            (400, "max_tokens must be at least 1, got 0.", false, true),
            (400, "The decoder prompt (length 9) is longer than the maximum model length of 5.", true, false),
            (400, "You asked about \"context length\": no such field.", false, true),
            (413, "maximum context length", true, false),
            (422, "maximum context length", false, false),
            (400, "temperature", false, false),
        ];
        for (status, message, ours, gyms) in cases {
            let body = serde_json::json!({ "error": { "message": message } }).to_string();
            assert_eq!(exceeded(status, body.as_bytes(), false), ours, "{message}");
            assert_eq!(exceeded(status, body.as_bytes(), true), gyms, "{message}");
        }
        assert!(!exceeded(400, b"", false) && !exceeded(400, &[0xff], true));
    }
}

//! What an engine's answer says of the attempt: from its status and, where that is not enough, its body, its first event or
//! the engine's health.

use memchr::memmem;
use serde_json::Value;

use crate::outcome::Outcome;

/// How far an answer's head tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// All of it.
    Known(Outcome),
    /// The body has to be seen, too: [`judge_body`].
    NeedsBody,
    /// The engine has to be asked for its health: [`judge_health`].
    NeedsHealth,
}

/// Words of vLLM (0.32, `serving/engine`, `input_processor`) for a prompt that is longer than the context.
const TOO_LONG: [&[u8]; 2] = [b"maximum context length", b"maximum model length"];

/// Events that promise an answer before the engine has taken the request.
const PROMISES: [&[u8]; 3] = [b"response.created", b"response.queued", b"response.in_progress"];

/// What the head of an answer with `status` says.
#[must_use]
pub fn judge_head(status: u16) -> Judgement {
    match status {
        429 | 503 => Judgement::Known(Outcome::Busy { status }),
        502 => Judgement::Known(Outcome::EngineBroken { status }),
        400 | 413 => Judgement::NeedsBody,
        // A request that the engine cannot compute, or an engine that dies: vLLM's API server outlives its EngineCore by up
        // to 1.4 s, answers 500 to everything and fails its health check.
        500 => Judgement::NeedsHealth,
        _ => Judgement::Known(Outcome::Answered { status }),
    }
}

/// What an answer says whose head did not tell.
#[must_use]
pub fn judge_body(status: u16, body: &[u8]) -> Outcome {
    match judge_head(status) {
        Judgement::Known(outcome) => outcome,
        Judgement::NeedsHealth => Outcome::Answered { status },
        Judgement::NeedsBody => {
            let lower = body.to_ascii_lowercase();
            let too_long = TOO_LONG.iter().any(|words| memmem::find(&lower, words).is_some());
            if too_long { Outcome::TooLong { status } } else { Outcome::Answered { status } }
        }
    }
}

/// What an answer says that speaks of the engine as much as of the request.
#[must_use]
pub fn judge_health(status: u16, healthy: bool) -> Outcome {
    if healthy { Outcome::Answered { status } } else { Outcome::EngineBroken { status } }
}

/// What a stream says of which `bytes` have come; `None`: nothing yet. vLLM sends the head of a stream, 200, before its engine
/// has taken the request, and of a response its first two events, too: what it refuses then it tells in the next one.
#[must_use]
pub fn judge_opening(bytes: &[u8]) -> Option<Outcome> {
    let (mut rest, mut name) = (bytes, &b""[..]);
    loop {
        let end = memchr::memchr(b'\n', rest)?;
        let line = rest[..end].trim_ascii();
        rest = &rest[end + 1..];
        if let Some(data) = line.strip_prefix(b"data:") {
            if !PROMISES.contains(&name) {
                return Some(judge_event(data));
            }
        } else if let Some(told) = line.strip_prefix(b"event:") {
            name = told.trim_ascii();
        } else if line.is_empty() {
            name = b"";
        }
    }
}

/// What an event says with this `data`.
fn judge_event(data: &[u8]) -> Outcome {
    // Nearly all events have none, and are not parsed.
    let told = memmem::find(data, b"error").and_then(|_| serde_json::from_slice::<Value>(data).ok());
    let refusal = told.as_ref().and_then(|event| {
        let nested = event.get("error").or_else(|| event.get("response")?.get("error"));
        // Responses' own: `{"type": "error", "code": …, "message": …}`.
        let is_error = event.get("type").and_then(Value::as_str) == Some("error");
        nested.filter(|error| error.is_object()).or(Some(event).filter(|_| is_error))
    });
    refusal.and_then(judge_error).unwrap_or(Outcome::Answered { status: 200 })
}

/// `{"message": …, "type": …, "code": 500}` in vLLM's OpenAI API; Anthropic's API has no code, and Responses has words for it.
fn judge_error(error: &Value) -> Option<Outcome> {
    let error = error.as_object()?;
    let by_word =
        || match error.get("code").filter(|code| code.is_string()).or(error.get("type")).and_then(Value::as_str) {
            Some("overloaded_error" | "server_is_overloaded") => 503,
            Some("rate_limit_error" | "rate_limit_exceeded") => 429,
            Some("invalid_request_error" | "BadRequestError" | "invalid_prompt") => 400,
            _ => 500,
        };
    let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    Some(match code.unwrap_or_else(by_word) {
        status @ (429 | 503) => Outcome::Busy { status },
        status @ 400..500 => judge_body(status, error.get("message").and_then(Value::as_str).unwrap_or("").as_bytes()),
        status => Outcome::GaveUp { status },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_that_is_too_long_is_told_from_other_mistakes() {
        let said = |status, message: &str| {
            judge_body(status, serde_json::json!({ "error": { "message": message } }).to_string().as_bytes())
        };
        for (status, message) in [
            (400, "This model's maximum context length is 32768 tokens. However, your request has 40000"),
            (400, "The decoder prompt (length 9) is longer than the maximum model length of 5."),
            (413, "Maximum context length exceeded"),
        ] {
            assert_eq!(said(status, message), Outcome::TooLong { status }, "{message}");
        }
        for (status, message) in [(400, "max_tokens must be at least 1"), (400, ""), (422, "maximum context length")] {
            assert_eq!(said(status, message), Outcome::Answered { status }, "{message}");
        }
        assert_eq!(judge_body(400, &[0xff, 0]), Outcome::Answered { status: 400 });
    }

    #[test]
    fn a_head_tells_of_a_full_engine_and_of_a_broken_one() {
        assert_eq!(judge_head(503), Judgement::Known(Outcome::Busy { status: 503 }));
        assert_eq!(judge_head(502), Judgement::Known(Outcome::EngineBroken { status: 502 }));
        for status in [200, 204, 301, 401, 404, 422, 501, 504] {
            assert_eq!(judge_head(status), Judgement::Known(Outcome::Answered { status }));
        }
        assert_eq!(judge_head(500), Judgement::NeedsHealth);
        assert_eq!(judge_health(500, true), Outcome::Answered { status: 500 });
        assert_eq!(judge_health(500, false), Outcome::EngineBroken { status: 500 });
    }

    #[test]
    fn a_first_event_that_refuses_is_told_from_output() {
        let error = |code: u16| format!("data: {{\"error\": {{\"message\": \"x\", \"code\": {code}}}}}\n\n");
        for (events, outcome) in [
            (error(500), Outcome::GaveUp { status: 500 }),
            (error(503), Outcome::Busy { status: 503 }),
            (format!(": ping\n\n{}", error(429)), Outcome::Busy { status: 429 }),
            (error(400), Outcome::Answered { status: 400 }),
            (error(400).replace('x', "maximum context length is 5"), Outcome::TooLong { status: 400 }),
            (
                "event: error\r\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\r\n\r\n".into(),
                Outcome::Busy { status: 503 },
            ),
            ("event: error\ndata: {\"error\":{\"type\":\"api_error\"}}\n\n".into(), Outcome::GaveUp { status: 500 }),
            (
                "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\"\"}}]}\n\n".into(),
                Outcome::Answered { status: 200 },
            ),
            ("data: {\"error\":null,\"choices\":[]}\n\n".into(), Outcome::Answered { status: 200 }),
            ("data: [DONE]\n\n".into(), Outcome::Answered { status: 200 }),
            ("data: {\"error\": nonsense\n\n".into(), Outcome::Answered { status: 200 }),
        ] {
            assert_eq!(judge_opening(events.as_bytes()), Some(outcome), "{events}");
            let first_line = events.find("data:").expect("data");
            assert_eq!(judge_opening(&events.as_bytes()[..first_line + 5]), None, "{events}");
        }
        assert_eq!(judge_opening(b""), None);
    }

    #[test]
    fn what_a_response_promises_is_no_output() {
        let promises = "event: response.created\ndata: {\"response\":{\"error\":null},\"type\":\"response.created\"}\n\n\
                        event: response.in_progress\r\ndata: {\"type\":\"response.in_progress\"}\r\n\r\n";
        for end in 0..promises.len() {
            assert_eq!(judge_opening(&promises.as_bytes()[..end]), None);
        }
        let with = |event: &str| judge_opening(format!("{promises}{event}\n\n").as_bytes());
        for (event, outcome) in [
            ("event: response.output_item.added\ndata: {\"item\":{}}", Outcome::Answered { status: 200 }),
            (
                "event: response.failed\ndata: {\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"x\"}}}",
                Outcome::GaveUp { status: 500 },
            ),
            (
                "event: response.failed\ndata: {\"response\":{\"error\":{\"code\":\"rate_limit_exceeded\"}}}",
                Outcome::Busy { status: 429 },
            ),
            (
                "event: error\ndata: {\"type\":\"error\",\"code\":503,\"message\":\"Generation is paused\"}",
                Outcome::Busy { status: 503 },
            ),
            ("data: {\"error\":{\"message\":\"x\",\"code\":500}}", Outcome::GaveUp { status: 500 }),
            ("event: response.completed\ndata: {\"response\":{\"error\":null}}", Outcome::Answered { status: 200 }),
        ] {
            assert_eq!(with(event), Some(outcome), "{event}");
        }
    }
}

//! What an engine's answer says of the attempt: from its status and, where that is not enough, its body.

use memchr::memmem;

use crate::outcome::Outcome;

/// How far an answer's head tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// All of it.
    Known(Outcome),
    /// The body has to be seen, too: [`judge_body`].
    NeedsBody,
}

/// Words of vLLM (0.32, `serving/engine`, `input_processor`) for a prompt that is longer than the context.
const TOO_LONG: [&[u8]; 2] = [b"maximum context length", b"maximum model length"];

/// What the head of an answer with `status` says.
#[must_use]
pub fn judge_head(status: u16) -> Judgement {
    match status {
        429 | 503 => Judgement::Known(Outcome::Busy { status }),
        502 => Judgement::Known(Outcome::EngineBroken { status }),
        400 | 413 => Judgement::NeedsBody,
        _ => Judgement::Known(Outcome::Answered { status }),
    }
}

/// What an answer says whose head did not tell.
#[must_use]
pub fn judge_body(status: u16, body: &[u8]) -> Outcome {
    match judge_head(status) {
        Judgement::Known(outcome) => outcome,
        Judgement::NeedsBody => {
            let lower = body.to_ascii_lowercase();
            let too_long = TOO_LONG.iter().any(|words| memmem::find(&lower, words).is_some());
            if too_long { Outcome::TooLong { status } } else { Outcome::Answered { status } }
        }
    }
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
        for status in [200, 204, 301, 401, 404, 422, 500, 501, 504] {
            assert_eq!(judge_head(status), Judgement::Known(Outcome::Answered { status }));
        }
    }
}

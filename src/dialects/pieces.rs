//! Reads an engine's chat answer, whole or chunk by chunk, as a sequence of pieces.

use serde_json::Value;

/// A piece of an answer, in the order the engine made it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Piece<'a> {
    /// Thoughts.
    Reasoning(&'a str),
    /// Text, and what the engine says of its tokens; there may be tokens without text.
    Text(&'a str, &'a [Value]),
    /// Why the model declines.
    Refusal(&'a str),
    /// A part of a tool call.
    Call(CallPart<'a>),
}

/// A part of a tool call; `index` is the engine's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CallPart<'a> {
    pub(super) index: u64,
    pub(super) id: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) arguments: &'a str,
}

/// The pieces in `message` (a chunk's `delta` or an answer's `message`), in the order a model makes them.
pub(super) fn of_message<'a>(message: &'a Value, logprobs: &'a Value) -> Vec<Piece<'a>> {
    let said = |name: &str| message.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut pieces = Vec::new();
    // vLLM's name, and the one it and others had before. Never both: they would say the same.
    pieces.extend(said("reasoning").or_else(|| said("reasoning_content")).map(Piece::Reasoning));
    let tokens = logprobs.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    match said("content") {
        Some(text) => pieces.push(Piece::Text(text, tokens)),
        // A token that is part of a character has no text of its own yet.
        None if !tokens.is_empty() && pieces.is_empty() => pieces.push(Piece::Text("", tokens)),
        None => {}
    }
    pieces.extend(said("refusal").map(Piece::Refusal));
    let calls = message.get("tool_calls").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    pieces.extend(calls.iter().enumerate().map(|(at, call)| Piece::Call(call_part(at, call))));
    pieces
}

fn call_part(at: usize, call: &Value) -> CallPart<'_> {
    let function = &call["function"];
    let text = |value: &'_ Value| value.as_str().is_some_and(|text| !text.is_empty());
    CallPart {
        index: call["index"].as_u64().unwrap_or(at as u64),
        id: call.get("id").filter(|id| text(id)).and_then(Value::as_str),
        name: function.get("name").filter(|name| text(name)).and_then(Value::as_str),
        arguments: function["arguments"].as_str().unwrap_or_default(),
    }
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Finish {
    /// By itself, or at a stop token.
    Stop,
    /// At one of the caller's stop strings.
    StopString(String),
    /// To have tools called.
    Tools,
    /// At the limit of tokens.
    Length,
    /// A filter cut it.
    Filter,
    /// The engine gave up: it was put to sleep, or failed.
    Broken(String),
}

impl Finish {
    /// Of a choice; `None` while it goes on.
    pub(super) fn of(choice: &Value) -> Option<Self> {
        let stop = choice.get("stop_reason").and_then(Value::as_str);
        Some(match (choice.get("finish_reason")?.as_str()?, stop) {
            ("length", _) => Self::Length,
            ("content_filter", _) => Self::Filter,
            ("abort" | "error", _) => Self::Broken(choice["finish_reason"].as_str().unwrap_or_default().to_owned()),
            ("stop", Some(stop)) => Self::StopString(stop.to_owned()),
            ("tool_calls" | "function_call", _) => Self::Tools,
            _ => Self::Stop,
        })
    }

    /// Whether the model would have said more.
    pub(super) fn cut(&self) -> bool {
        matches!(self, Self::Length | Self::Filter)
    }
}

/// Tokens of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) prompt: u64,
    pub(super) completion: u64,
    pub(super) total: u64,
    /// Of the prompt: read from the prefix cache.
    pub(super) cached: u64,
    /// Of the prompt: written to the prefix cache.
    pub(super) stored: u64,
    /// Of the completion: thoughts.
    pub(super) reasoning: u64,
}

impl Tokens {
    /// Of chat's `usage` object; `None` when it is none.
    pub(super) fn of(usage: &Value) -> Option<Self> {
        let count = |path: &str| usage.pointer(path).and_then(Value::as_u64).unwrap_or_default();
        usage.is_object().then(|| {
            let (prompt, completion) = (count("/prompt_tokens"), count("/completion_tokens"));
            Self {
                prompt,
                completion,
                total: usage["total_tokens"].as_u64().unwrap_or(prompt.saturating_add(completion)),
                cached: count("/prompt_tokens_details/cached_tokens"),
                stored: count("/prompt_tokens_details/created_cache_tokens"),
                reasoning: count("/completion_tokens_details/reasoning_tokens"),
            }
        })
    }
}

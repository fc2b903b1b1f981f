//! Reads an engine's chat answer, whole or chunk by chunk, as a sequence of deltas.

use serde_json::Value;

/// A part of an answer, in the order in which the engine made them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Delta<'a> {
    /// Reasoning.
    Reasoning(&'a str),
    /// Text, and the log-probabilities of its tokens; there may be tokens without text.
    Text(&'a str, &'a [Value]),
    /// Why the model declines.
    Refusal(&'a str),
    /// A part of a tool call.
    ToolCall(ToolCallDelta<'a>),
}

/// A part of a tool call; `index` is the engine's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ToolCallDelta<'a> {
    pub(super) index: u64,
    pub(super) id: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) arguments: &'a str,
}

/// The deltas in `message` (a chunk's `delta` or an answer's `message`), in the order in which a model makes them.
pub(super) fn deltas<'a>(message: &'a Value, logprobs: &'a Value) -> Vec<Delta<'a>> {
    let text = |name: &str| message[name].as_str().filter(|text| !text.is_empty());
    let mut deltas = Vec::new();
    // vLLM's name, and its older one that others use. Never both: they would hold the same.
    deltas.extend(text("reasoning").or_else(|| text("reasoning_content")).map(Delta::Reasoning));
    let tokens = logprobs["content"].as_array().map_or(&[][..], Vec::as_slice);
    match text("content") {
        Some(text) => deltas.push(Delta::Text(text, tokens)),
        // A token that is part of a character has no text of its own yet.
        None if !tokens.is_empty() && deltas.is_empty() => deltas.push(Delta::Text("", tokens)),
        None => {}
    }
    deltas.extend(text("refusal").map(Delta::Refusal));
    let calls = message["tool_calls"].as_array().map_or(&[][..], Vec::as_slice);
    deltas.extend(calls.iter().enumerate().map(|(at, call)| Delta::ToolCall(tool_call(at, call))));
    deltas
}

fn tool_call(at: usize, call: &Value) -> ToolCallDelta<'_> {
    let function = &call["function"];
    ToolCallDelta {
        index: call["index"].as_u64().unwrap_or(at as u64),
        id: call["id"].as_str().filter(|id| !id.is_empty()),
        name: function["name"].as_str().filter(|name| !name.is_empty()),
        arguments: function["arguments"].as_str().unwrap_or_default(),
    }
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FinishReason {
    /// By itself, or at a stop token.
    Stop,
    /// At one of the client's stop strings.
    StopString(String),
    /// To have tools called.
    ToolCalls,
    /// At the limit of tokens.
    Length,
    /// At a filter.
    ContentFilter,
    /// The engine gave up, in its own word: it was put to sleep, or failed.
    Aborted(String),
}

impl FinishReason {
    /// Of a choice; `None` while it goes on.
    pub(super) fn read(choice: &Value) -> Option<Self> {
        let stop = choice["stop_reason"].as_str();
        Some(match (choice["finish_reason"].as_str()?, stop) {
            ("length", _) => Self::Length,
            ("content_filter", _) => Self::ContentFilter,
            (reason @ ("abort" | "error"), _) => Self::Aborted(reason.to_owned()),
            ("stop", Some(stop)) => Self::StopString(stop.to_owned()),
            ("tool_calls" | "function_call", _) => Self::ToolCalls,
            _ => Self::Stop,
        })
    }

    /// Whether the answer is incomplete.
    pub(super) fn is_incomplete(&self) -> bool {
        matches!(self, Self::Length | Self::ContentFilter)
    }
}

/// Token counts of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) prompt: u64,
    pub(super) completion: u64,
    pub(super) total: u64,
    /// Of the prompt: read from the prefix cache.
    pub(super) cached: u64,
    /// Of the prompt: written to the prefix cache.
    pub(super) cache_written: u64,
    /// Of the completion: reasoning.
    pub(super) reasoning: u64,
}

impl Usage {
    /// Of chat's `usage` object; `None` when it is none.
    pub(super) fn read(usage: &Value) -> Option<Self> {
        let count = |path: &str| usage.pointer(path).and_then(Value::as_u64).unwrap_or_default();
        usage.is_object().then(|| {
            let (prompt, completion) = (count("/prompt_tokens"), count("/completion_tokens"));
            Self {
                prompt,
                completion,
                total: usage["total_tokens"].as_u64().unwrap_or(prompt.saturating_add(completion)),
                cached: count("/prompt_tokens_details/cached_tokens"),
                cache_written: count("/prompt_tokens_details/created_cache_tokens"),
                reasoning: count("/completion_tokens_details/reasoning_tokens"),
            }
        })
    }
}

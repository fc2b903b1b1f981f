//! Which events of a stream carry output: text, reasoning, arguments of tools. The others open and close it.

use std::iter::from_fn;
use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem::Finder;
use serde_json::Value;

/// What comes before a text in an event of Chat Completions. Finders are made once: that takes longer than looking through an event.
static CONTENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"delta\":{\"content\":\""));

/// The end of a type of an event with output in the Responses API.
static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b".delta\""));

/// The type of an event with output in the Messages API.
static BLOCK_DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"content_block_delta\""));

/// How many of the whole events at the beginning of `piece` carry no output. Nothing after the first that does is read.
#[must_use]
pub fn events_before_output(piece: &[u8]) -> usize {
    let data = data_lines(piece).filter(|data| data.trim_ascii() != b"[DONE]");
    data.take_while(|data| !is_output(data)).count()
}

/// How many of the events of `piece` carry output.
#[must_use]
pub fn output_events(piece: &[u8]) -> usize {
    data_lines(piece).filter(|data| is_output(data)).count()
}

/// The data of the events of `piece`, line by line.
fn data_lines(piece: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(piece);
    let lines = from_fn(move || {
        let text = rest?;
        let end = memchr(b'\n', text);
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    });
    lines.filter_map(|line| line.strip_prefix(b"data:"))
}

/// Whether an event with this data carries output.
#[must_use]
pub fn is_output(data: &[u8]) -> bool {
    // Nearly all events say it so: then the JSON need not be read. A text that does stand elsewhere is output, too.
    let content = CONTENT.find(data).map(|at| at + CONTENT.needle().len());
    content.is_some_and(|at| data.get(at).is_some_and(|byte| *byte != b'"'))
        // The types of Responses and Messages. In a text that a model wrote a quote has a backslash before it.
        || DELTA.find(data).is_some()
        || BLOCK_DELTA.find(data).is_some()
        || serde_json::from_slice(data).is_ok_and(|event| carries_output(&event))
}

/// Whether an event carries output, in any of the three APIs.
fn carries_output(event: &Value) -> bool {
    if let Some(choices) = event.get("choices").and_then(Value::as_array) {
        return choices.iter().any(|choice| is_said(choice.get("text")) || choice.get("delta").is_some_and(delta));
    }
    // Responses: `response.output_text.delta`; Messages: `content_block_delta`.
    event.get("type").and_then(Value::as_str).is_none_or(|kind| kind.ends_with("delta") && kind != "message_delta")
}

fn delta(delta: &Value) -> bool {
    ["content", "reasoning_content", "reasoning", "refusal"].iter().any(|key| is_said(delta.get(key)))
        || delta.get("tool_calls").and_then(Value::as_array).is_some_and(|calls| !calls.is_empty())
        || delta.get("function_call").is_some_and(Value::is_object)
}

fn is_said(text: Option<&Value>) -> bool {
    text.and_then(Value::as_str).is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_open_or_close_a_stream_are_no_output() {
        for (event, count) in [
            (r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#, 0),
            (r#"{"choices":[{"delta":{"content":"a"}}]}"#, 1),
            (r#"{"choices":[{"delta":{"content":null,"reasoning_content":"a"}}]}"#, 1),
            (r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#, 1),
            (r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, 0),
            (r#"{"choices":[],"usage":{}}"#, 0),
            (r#"{"choices":[{"text":"a"}]}"#, 1),
            (r#"{"choices":[{"text":""}]}"#, 0),
            (r#"{"type":"response.created"}"#, 0),
            (r#"{"type":"response.output_text.delta","delta":"a"}"#, 1),
            (r#"{"type":"response.function_call_arguments.delta","delta":"a"}"#, 1),
            (r#"{"type":"message_start"}"#, 0),
            (r#"{"type":"content_block_delta"}"#, 1),
            (r#"{"type":"message_delta"}"#, 0),
            (r#"{"text":"of an API that we do not know"}"#, 1),
            ("{", 0),
        ] {
            let piece = format!(": a note\n\nevent: x\r\ndata: {event}\r\n\r\n");
            assert_eq!(events_before_output(piece.as_bytes()), 1 - count, "{event}");
        }
        let last = "data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n";
        assert_eq!((output_events(last.as_bytes()), output_events(b"data: [DONE]\n\n")), (1, 0));
        let opening = r#"data: {"choices":[{"delta":{"role":"assistant"}}]}"#;
        let output = r#"data: {"choices":[{"text":"a"}]}"#;
        for (piece, before) in [
            (format!("{opening}\n\n{opening}\n\n{output}\n\n{opening}\n\n"), 2),
            (format!("{opening}\n\ndata: [DONE]\n\n"), 1),
            (format!(": ping\n\n{output}\n\n"), 0),
            (": ping\n\n".into(), 0),
        ] {
            assert_eq!(events_before_output(piece.as_bytes()), before, "{piece}");
        }
    }
}

//! A conversation: what was said last, how long it is, how a template writes it.

use serde_json::Value;

use super::params::Params;
use super::tokens;
use crate::sim::wire::fields::content_text;

/// What the last user said.
pub(crate) fn last_user_text(messages: &[Value]) -> String {
    let of_user = |message: &&Value| message.get("role").and_then(Value::as_str) == Some("user");
    let last = messages.iter().rev().find(of_user).or(messages.last());
    // A dozen words are repeated; do not copy megabytes for them.
    let text = last.and_then(|message| message.get("content")).map(content_text).unwrap_or_default();
    text.chars().take(2000).collect()
}

/// Length of the conversation in a template like Qwen3's, which adds an empty thought when thinking is off.
pub(crate) fn prompt_tokens(messages: &[Value], params: &Params) -> usize {
    let each = |message: &Value| {
        // `output` is what a tool said, in the Responses API.
        let texts = ["content", "output"].iter().filter_map(|name| message.get(*name));
        5 + texts.map(|content| tokens::count(&content_text(content))).sum::<usize>()
            + message.get("tool_calls").map_or(0, |calls| tokens::count(&calls.to_string()))
    };
    messages.iter().map(each).sum::<usize>() + 5 + if params.thinking == Some(false) { 6 } else { 0 }
}

/// The conversation as a template would write it.
pub(crate) fn render(messages: &[Value]) -> String {
    let mut out = String::new();
    for message in messages {
        let role = message.get("role").and_then(Value::as_str).unwrap_or("user");
        let text = message.get("content").map(content_text).unwrap_or_default();
        out.push_str(&format!("<|im_start|>{role}\n{text}<|im_end|>\n"));
    }
    out.push_str("<|im_start|>assistant\n");
    out
}

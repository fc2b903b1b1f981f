//! What a message says of itself.

use serde_json::{Value, json};

use super::super::answer::Answer;
use super::super::generate::Head;
use super::super::tools::Tool;
use crate::sim::metrics::Finish;
use crate::sim::stamp::random_id;
use crate::sim::wire::errors::Fail;

/// A message, without its blocks.
pub(super) struct Sheet {
    pub(super) head: Head,
    pub(super) prompt: usize,
    /// Usage tells of the prefix cache.
    pub(super) details: bool,
    pub(super) tool: Option<Tool>,
}

impl Sheet {
    /// The message as it begins.
    pub(super) fn begun(&self) -> Value {
        json!({
            "id": format!("chatcmpl-{}", self.head.id), "type": "message", "role": "assistant", "content": [],
            "model": self.head.model, "stop_reason": null, "stop_sequence": null,
            "usage": { "input_tokens": self.prompt, "output_tokens": 0 },
        })
    }

    /// The message at its end.
    ///
    /// # Errors
    /// The arguments of a call were cut, and vLLM reads them as JSON.
    pub(super) fn whole(&self, answer: &Answer) -> Result<Value, Fail> {
        let mut content = Vec::new();
        if answer.reasoning > 0 {
            let thought = answer.text(0, answer.reasoning);
            content.push(json!({ "type": "thinking", "thinking": thought, "signature": signature() }));
        }
        let said = answer.text(answer.reasoning, answer.count);
        match &self.tool {
            _ if said.is_empty() => {}
            None => content.push(json!({ "type": "text", "text": said })),
            // A list of calls that is cut is no list.
            Some(tool) if tool.is_any && answer.finish != Finish::Stop => {}
            Some(tool) => {
                let end = said.len();
                let cut = |_| Fail::bad(format!("Expecting value: line 1 column {} (char {end})", end + 1), None);
                let input: Value = serde_json::from_str(&said).map_err(cut)?;
                content.push(json!({ "type": "tool_use", "id": call_id(), "name": tool.name, "input": input }));
            }
        }
        if content.is_empty() {
            content.push(json!({ "type": "text", "text": "" }));
        }
        let mut whole = self.begun();
        let (reason, sequence) = self.stop(answer, answer.finish);
        whole["content"] = content.into();
        set_or_remove(&mut whole, "stop_reason", reason);
        set_or_remove(&mut whole, "stop_sequence", sequence);
        whole["usage"] = self.usage(answer.count);
        Ok(whole)
    }

    /// Why it ended, and the stop sequence that ended it.
    pub(super) fn stop<'a>(&self, answer: &'a Answer, finish: Finish) -> (Option<&'a str>, Option<&'a str>) {
        match (finish, answer.stop_reason.as_deref()) {
            (Finish::Length, _) => (Some("max_tokens"), None),
            (Finish::Abort, _) => (None, None),
            (Finish::Stop, Some(sequence)) => (Some("stop_sequence"), Some(sequence)),
            (Finish::Stop, None) if self.tool.is_some() => (Some("tool_use"), None),
            (Finish::Stop, None) => (Some("end_turn"), None),
        }
    }

    pub(super) fn usage(&self, output: usize) -> Value {
        let mut usage = json!({ "input_tokens": self.prompt, "output_tokens": output });
        if self.details {
            usage["cache_creation_input_tokens"] = 0.into();
            usage["cache_read_input_tokens"] = 0.into();
        }
        usage
    }
}

/// A plain message has no members that are null.
fn set_or_remove(message: &mut Value, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        message[name] = value.into();
    } else if let Some(members) = message.as_object_mut() {
        members.shift_remove(name);
    }
}

/// The id of a call.
pub(super) fn call_id() -> String {
    format!("chatcmpl-tool-{}", random_id())
}

/// What Anthropic's API signs thoughts with.
pub(super) fn signature() -> String {
    random_id() + &random_id()
}

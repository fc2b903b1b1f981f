//! The response object: the members that repeat the request, the status and the output.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::dialects::delta::{FinishReason, Usage};
use crate::dialects::members::Members;
use crate::ids::new_request_id;

/// A response without its end.
#[derive(Clone, Debug)]
pub(super) struct ResponseObject {
    /// Random part of the ids of the response and its items: from one id the others can be found in a log.
    seed: String,
    base: Value,
}

impl ResponseObject {
    /// Of the request.
    pub(super) fn new(request: &Members) -> Self {
        let seed = new_request_id();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let given = |name: &str| request.get(name).filter(|value| !value.is_null()).cloned();
        let or = |name: &str, default: Value| given(name).unwrap_or(default);
        let base = json!({
            "id": format!("resp_{seed}"),
            "object": "response",
            "created_at": now,
            "status": "in_progress",
            "background": false,
            "error": null,
            "incomplete_details": null,
            "instructions": given("instructions"),
            "max_output_tokens": given("max_output_tokens"),
            "max_tool_calls": given("max_tool_calls"),
            "model": or("model", "".into()),
            "output": [],
            "parallel_tool_calls": or("parallel_tool_calls", true.into()),
            "previous_response_id": null,
            "prompt": null,
            "prompt_cache_key": given("prompt_cache_key"),
            "reasoning": or("reasoning", json!({ "effort": null, "summary": null })),
            "safety_identifier": given("safety_identifier"),
            "service_tier": or("service_tier", "default".into()),
            // Nothing is stored, but clients read back what they asked for.
            "store": or("store", false.into()),
            "temperature": given("temperature"),
            "text": or("text", json!({ "format": { "type": "text" } })),
            "tool_choice": or("tool_choice", "auto".into()),
            "tools": or("tools", json!([])),
            "top_logprobs": or("top_logprobs", 0.into()),
            "top_p": given("top_p"),
            "truncation": or("truncation", "disabled".into()),
            "usage": null,
            "user": given("user"),
            "metadata": or("metadata", json!({})),
        });
        Self { seed, base }
    }

    pub(super) fn set_model(&mut self, name: &str) {
        self.base["model"] = name.into();
    }

    pub(super) fn set_created(&mut self, seconds: u64) {
        self.base["created_at"] = seconds.into();
    }

    /// The id of the `number`-th item.
    pub(super) fn item_id(&self, prefix: &str, number: usize) -> String {
        format!("{prefix}_{}{number:04x}", self.seed)
    }

    /// The response before its end.
    pub(super) fn in_progress(&self) -> Value {
        self.base.clone()
    }

    /// The response at its end.
    pub(super) fn finished(&self, reason: &FinishReason, output: Vec<Value>, usage: Option<Usage>) -> Value {
        let (status, details) = match reason {
            FinishReason::Length => ("incomplete", json!({ "reason": "max_output_tokens" })),
            FinishReason::ContentFilter => ("incomplete", json!({ "reason": "content_filter" })),
            _ => ("completed", Value::Null),
        };
        let mut whole = self.with(status, output, usage);
        whole["incomplete_details"] = details;
        whole
    }

    /// The response that failed with `error`, an object with `code` and `message`.
    pub(super) fn failed(&self, error: Value, output: Vec<Value>, usage: Option<Usage>) -> Value {
        let mut whole = self.with("failed", output, usage);
        whole["error"] = error;
        whole
    }

    fn with(&self, status: &str, output: Vec<Value>, usage: Option<Usage>) -> Value {
        let mut whole = self.base.clone();
        whole["status"] = status.into();
        whole["output"] = output.into();
        whole["usage"] = usage.map_or(Value::Null, usage_json);
        whole
    }
}

fn usage_json(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt,
        "input_tokens_details": { "cached_tokens": usage.cached, "cache_write_tokens": usage.cache_written },
        "output_tokens": usage.completion,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning },
        "total_tokens": usage.total,
    })
}

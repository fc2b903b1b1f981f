//! What a response says of itself and of its request.

use serde_json::{Value, json};

use super::super::answer::Answer;
use super::super::generate::Head;
use super::super::params::Params;
use super::super::task::Task;
use super::super::tools::Tool;
use super::items::{Item, Kind};
use crate::sim::metrics::Finish;
use crate::sim::wire::fields::Fields;

/// A response, without what only its end can tell.
pub(super) struct Sheet {
    pub(super) base: Value,
    pub(super) tool: Option<Tool>,
    prompt: usize,
}

impl Sheet {
    pub(super) fn new(fields: &Fields, head: &Head, params: &Params, task: &Task, prompt: usize) -> Self {
        let tool = task.tool().cloned();
        Self { base: base(fields, head, params, tool.as_ref()), tool, prompt }
    }

    /// The response at its end, in an answer that was not streamed.
    pub(super) fn whole(&self, answer: &Answer) -> Value {
        let mut output = Vec::new();
        for (from, to) in [(0, answer.reasoning), (answer.reasoning, answer.count)] {
            let kind = Kind::of(answer, self.tool.as_ref(), from);
            // A list of calls that is cut is no list; a call whose name is known may be cut.
            let is_cut = self.tool.as_ref().is_some_and(|tool| tool.is_any) && answer.finish != Finish::Stop;
            if from < to && (kind == Kind::Thought || !is_cut) {
                output.push(Item::new(kind).plain(self.tool.as_ref(), &answer.text(from, to)));
            }
        }
        self.ended(output, (answer.count, answer.reasoning), answer.finish)
    }

    /// The response with its items; `tokens`: all that were made, and how many of them were thoughts.
    pub(super) fn ended(&self, output: Vec<Value>, tokens: (usize, usize), finish: Finish) -> Value {
        let mut whole = self.base.clone();
        let (status, why) = match finish {
            Finish::Length => ("incomplete", json!({ "reason": "max_output_tokens" })),
            // One that the engine ended is complete for vLLM.
            Finish::Stop | Finish::Abort => ("completed", Value::Null),
        };
        whole["status"] = status.into();
        whole["incomplete_details"] = why;
        whole["output"] = output.into();
        whole["usage"] = json!({
            "input_tokens": self.prompt,
            "input_tokens_details": {
                "cached_tokens": 0, "cache_write_tokens": 0, "input_tokens_per_turn": [], "cached_tokens_per_turn": [],
            },
            "output_tokens": tokens.0,
            "output_tokens_details": {
                "reasoning_tokens": tokens.1, "tool_output_tokens": 0, "output_tokens_per_turn": [],
                "tool_output_tokens_per_turn": [],
            },
            "total_tokens": self.prompt + tokens.0,
        });
        whole
    }
}

fn base(fields: &Fields, head: &Head, params: &Params, tool: Option<&Tool>) -> Value {
    let given = |name: &str, default: Value| fields.get(name).cloned().unwrap_or(default);
    let tools: Vec<Value> =
        fields.get("tools").and_then(Value::as_array).into_iter().flatten().map(described).collect();
    let usual = if tools.is_empty() { "none" } else { "auto" };
    let choice = match fields.get("tool_choice") {
        Some(Value::Object(choice)) if choice.contains_key("name") => {
            json!({ "name": choice.get("name"), "type": choice.get("type") })
        }
        Some(choice) => choice.clone(),
        None => usual.into(),
    };
    json!({
        "id": format!("resp_{}", head.id), "created_at": head.created, "incomplete_details": null,
        "instructions": given("instructions", Value::Null),
        "metadata": given("metadata", Value::Null), "model": head.model, "object": "response", "output": [],
        "parallel_tool_calls": given("parallel_tool_calls", true.into()),
        "temperature": fields.float("temperature").ok().flatten().unwrap_or(1.0),
        "tool_choice": choice, "tools": tools,
        "top_p": fields.float("top_p").ok().flatten().unwrap_or(1.0), "background": false,
        "max_output_tokens": params.max_tokens, "max_tool_calls": null,
        "previous_response_id": given("previous_response_id", Value::Null), "prompt": null,
        "reasoning": given("reasoning", Value::Null), "service_tier": "auto", "status": "in_progress",
        "text": text(fields, tool), "top_logprobs": null, "truncation": "disabled", "usage": null,
        "user": given("user", Value::Null), "presence_penalty": 0.0, "frequency_penalty": 0.0,
        "kv_transfer_params": null, "ec_transfer_params": null, "input_messages": null, "output_messages": null,
    })
}

/// A tool of the request with all members that OpenAI's types have.
fn described(tool: &Value) -> Value {
    let of = |name: &str| tool.get(name).cloned().unwrap_or(Value::Null);
    let common = |mut all: Value, last: &str| {
        for name in ["allowed_callers", "async", "defer_loading", "description", last] {
            all[name] = of(name);
        }
        all
    };
    match tool.get("type").and_then(Value::as_str) {
        Some("function") => common(
            json!({ "name": of("name"), "parameters": of("parameters"), "strict": of("strict"), "type": "function" }),
            "output_schema",
        ),
        Some("custom") => common(json!({ "name": of("name"), "type": "custom" }), "format"),
        _ => tool.clone(),
    }
}

/// The form of the text. vLLM makes a schema of the tools that must be called, and tells of it here.
fn text(fields: &Fields, tool: Option<&Tool>) -> Value {
    let schema = |name: &Value, schema: &Value, description: Value, strict: Value| {
        json!({
            "name": name, "schema": schema, "type": "json_schema", "description": description, "strict": strict,
        })
    };
    if let Some(tool) = tool {
        let form = match tool.is_any {
            false => tool.parameters.clone(),
            true => json!({
                "type": "array", "minItems": 1,
                "items": { "type": "object", "anyOf": [{
                    "properties": {
                        "name": { "type": "string", "enum": [tool.name] }, "parameters": tool.parameters,
                    },
                    "required": ["name", "parameters"],
                }] },
            }),
        };
        let format = schema(&"tool_calling_response".into(), &form, Value::Null, true.into());
        return json!({ "format": format, "verbosity": null });
    }
    let Some(text) = fields.get("text") else { return Value::Null };
    let of = |name: &str| text.pointer(&format!("/format/{name}")).cloned().unwrap_or(Value::Null);
    let format = match text.pointer("/format/type").and_then(Value::as_str) {
        Some("json_schema") => schema(&of("name"), &of("schema"), of("description"), of("strict")),
        _ => text.get("format").cloned().unwrap_or(Value::Null),
    };
    json!({ "format": format, "verbosity": text.get("verbosity") })
}

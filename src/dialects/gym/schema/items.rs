//! Input and output items of the Responses API, and which shape an item has.

use serde_json::Value;

use super::bundle;
use super::shape::{Absent, Others, Shape, field, object, shape, shapes};
use super::validate::{Mode, is_valid, validate};

shapes! {
    STATUS = ("in_progress" | "completed" | "incomplete");
    DETAIL = ("low" | "high" | "auto");

    TEXT_PART = { text: text, type: text };
    FILE_PART = {
        type: text, file_data?: (text | null), file_id?: (text | null), file_url?: (text | null),
        filename?: (text | null)
    };
    MESSAGE_PARTS = [(by type
        "input_text" => TEXT_PART,
        "input_image" => { detail: DETAIL, type: text, file_id?: (text | null), image_url?: (text | null) },
        "input_file" => FILE_PART,
        "input_video" => { type: text, video_url?: (text | {*: any}), video?: (text | {*: any}) },
    )];
    RESULT_PARTS = [(by type
        "input_text" => TEXT_PART,
        "input_image" => { type: text, detail?: (DETAIL | null), file_id?: (text | null), image_url?: (text | null) },
        "input_file" => FILE_PART,
    )];

    INPUT_MESSAGE = {
        content: (text | MESSAGE_PARTS), role: ("user" | "assistant" | "system" | "developer"), type?: "message",
        @bundle
    };
    OUTPUT_MESSAGE = {
        id: text,
        content: [(by type
            "output_text" => { annotations: [any], text: text, type: text, logprobs?: ([any] | null) },
            "refusal" => { refusal: text, type: text },
        )],
        role?: "assistant", status?: STATUS, type?: "message", @bundle
    };
    /// What an item without a type may hold at least; everything else of it stays.
    UNTYPED = { id?: (text | null), server_label?: (text | null), error?: (text | null), tools?: [any], .. };

    /// Items other than messages. Those after `reasoning` have no counterpart in chat: only required members are checked.
    TYPED = (by type
        "function_call" => {
            arguments: text, call_id: text, name: text, type: text, id?: (text | null), status?: (STATUS | null),
            @bundle
        },
        "function_call_output" => {
            call_id: text, output: (text | RESULT_PARTS), type: text, id?: (text | null), status?: (STATUS | null)
        },
        "reasoning" => {
            id: text, summary: [{ text: text, type: "summary_text", .. }], type: text,
            encrypted_content?: (text | null), content?: ([{ text: text, type: "reasoning_text", .. }] | null), @bundle
        },
        "mcp_call" | "mcp_approval_request" => { arguments: text, name: text, .. },
        "mcp_list_tools" => { .. },
        "mcp_approval_response" => { approval_request_id: text, approve: bool, .. },
        "file_search_call" => { id: text, queries: [text], status: text, .. },
        "web_search_call" => { id: text, action: any, status: text, .. },
        "computer_call" | "local_shell_call" => { id: text, action: any, call_id: text, status: text, .. },
        "computer_call_output" | "custom_tool_call_output" => { call_id: text, output: any, .. },
        "image_generation_call" => { id: text, status: text, .. },
        "code_interpreter_call" => { id: text, container_id: text, status: text, .. },
        "local_shell_call_output" => { id: text, output: text, .. },
        "custom_tool_call" => { call_id: text, name: text, input: text, .. },
    );
    pub(super) INPUT_ITEM = (pick input_item);

    KNOWN_OUTPUT = (by type
        "message" => {
            id: text,
            content: [(by type
                "output_text" => { annotations: [any], text: text, type: text, logprobs: [any] = null },
                "refusal" => { refusal: text, type: text },
            )],
            role: "assistant" = "assistant", status: STATUS = "completed", type: text, @bundle
        },
        "function_call" => {
            arguments: text, call_id: text, name: text, type: text, id: text = null, status: STATUS = null, @bundle
        },
        "reasoning" => {
            id: text, summary: [{*: any}], type: text, encrypted_content: text = null, content: [{*: any}] = null,
            @bundle
        },
        "mcp_call" => {
            arguments: text, name: text, id: text = null, server_label: text = null, approval_request_id: text = null,
            error: text = null, output: text = null, status: text = null, ..
        },
        "mcp_list_tools" => { id: text = null, server_label: text = null, error: text = null, .. },
        "mcp_approval_request" => { id: text = null, server_label: text = null, .. },
        "file_search_call" => { results: [any] = null, .. },
        "code_interpreter_call" => { code: text = null, outputs: [any] = null, .. },
        "image_generation_call" => { result: text = null, .. },
        "custom_tool_call" => { id: text = null, .. },
        "web_search_call" | "computer_call" | "local_shell_call" => { .. },
    );
    pub(super) OUTPUT_ITEM = (strict KNOWN_OUTPUT else (pick output_item));
}

/// The shape of an input item. An item without a type is taken as it is, unless it is a plain message: Gym does so by
/// accident, and chat messages in `input` (tool results, assistant turns with calls) depend on it.
fn input_item(item: &Value) -> Result<Shape, (&'static str, String)> {
    if !item.is_object() {
        return Err(("model_type", "Input should be a valid dictionary".to_owned()));
    }
    bundle::refuse_part(item)?;
    match item.get("type") {
        None => {
            let message = [INPUT_MESSAGE, OUTPUT_MESSAGE].into_iter().find(|shape| is_valid(shape, item));
            Ok(message.unwrap_or(UNTYPED))
        }
        Some(kind) if kind == "message" => {
            one_source(item)?;
            Ok(if is_valid(&OUTPUT_MESSAGE, item) { OUTPUT_MESSAGE } else { INPUT_MESSAGE })
        }
        Some(_) => Ok(TYPED),
    }
}

/// Refuses a video with no source, two, or an empty one.
fn one_source(message: &Value) -> Result<(), (&'static str, String)> {
    let given = |source: &Value| source.get("url").unwrap_or(source).as_str().is_some_and(|url| !url.trim().is_empty());
    let one = |video: &Value| {
        let sources: Vec<&Value> = ["video_url", "video"].iter().filter_map(|name| video.get(*name)).collect();
        matches!(sources.as_slice(), [only] if given(only))
    };
    let parts = message.get("content").and_then(Value::as_array).into_iter().flatten();
    let mut videos = parts.filter(|part| part.get("type").is_some_and(|kind| kind == "input_video"));
    let error = "Value error, input_video requires exactly one of video_url or video, and not an empty one";
    if videos.all(one) { Ok(()) } else { Err(("value_error", error.to_owned())) }
}

/// The shape of an output item where items of types that Gym does not know pass.
fn output_item(item: &Value) -> Result<Shape, (&'static str, String)> {
    let known = |kind: &str| {
        kind == "message" || matches!(TYPED, Shape::By(_, arms) if arms.iter().any(|(words, _)| words.contains(&kind)))
    };
    Ok(match item.get("type").and_then(Value::as_str) {
        Some(kind) if !known(kind) => Shape::Any,
        _ => KNOWN_OUTPUT,
    })
}

/// Whether an input item is one that Gym knows.
pub(in crate::dialects::gym) fn is_item(item: &Value) -> bool {
    validate(&INPUT_ITEM, item.clone(), Mode::default()).is_ok()
}

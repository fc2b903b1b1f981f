//! The Responses API as Gym reads it (its own schema over openai 2.7.2): requests and answers, their items aside.
//!
//! A request's own members, unlike those of its items, have no others beside them. Members that an answer lacks become
//! `null`.

use serde_json::{Map, Value};

use super::bundle;
use super::chat::{EFFORT, SERVICE_TIER};
use super::items::{INPUT_ITEM, OUTPUT_ITEM};
use super::shape::{Absent, Others, Shape, field, object, shape, shapes};
use super::validate::{DropRefused, Mode, ValidationError, validate, validate_members};

shapes! {
    SUMMARY = ("auto" | "concise" | "detailed");
    TRUNCATION = ("auto" | "disabled");
    VERBOSITY = ("low" | "medium" | "high");

    /// Of tools that a chat engine does not have, only the required members are checked.
    TOOL = (by type
        "function" => {
            name: text, parameters: ({*: any} | null), strict: (bool | null), type: text, description?: (text | null), !
        },
        "custom" => { name: text, type: text, description?: text, format?: {*: any}, ! },
        "file_search" => { vector_store_ids: [text], .. },
        "computer_use_preview" => { display_height: int, display_width: int, environment: text, .. },
        "mcp" => { server_label: text, .. },
        "code_interpreter" => { container: (text | {*: any}), .. },
        "web_search" | "web_search_2025_08_26" | "web_search_preview" | "web_search_preview_2025_03_11"
            | "image_generation" | "local_shell" | "local_shell_2025" => { .. },
    );
    TOOL_CHOICE = (("none" | "auto" | "required") | (by type
        "function" | "custom" => { name: text, type: text, ! },
        "mcp" => { server_label: text, type: text, name?: (text | null), ! },
        "allowed_tools" => { mode: ("auto" | "required"), tools: [{*: any}], type: text, ! },
        "file_search" | "web_search_preview" | "web_search_preview_2025_03_11" | "computer_use_preview"
            | "image_generation" | "code_interpreter" => { type: text, ! },
    ));
    FORMAT = (by type
        "text" | "json_object" => { type: text, ! },
        "json_schema" => {
            name: text, schema: {*: any}, type: text, description?: text, strict?: (bool | null), !
        },
    );
    INCLUDABLE = ("file_search_call.results" | "web_search_call.results" | "web_search_call.action.sources"
        | "message.input_image.image_url" | "computer_call_output.output.image_url" | "code_interpreter_call.outputs"
        | "reasoning.encrypted_content" | "message.output_text.logprobs");
    PROMPT = { id: text, variables?: ({*: any} | null), version?: (text | null), ! };
    REASONING = { effort?: (EFFORT | null), generate_summary?: (SUMMARY | null), summary?: (SUMMARY | null), ! };

    REQUEST = {
        background?: (bool | null), include?: ([INCLUDABLE] | null), input: (text | [INPUT_ITEM]),
        instructions?: (text | null), max_output_tokens?: (int | null), max_tool_calls?: (int | null),
        metadata?: ({*: text} | null), model?: (text | null), parallel_tool_calls?: bool,
        previous_response_id?: (text | null), prompt?: (PROMPT | null), reasoning?: (REASONING | null),
        service_tier?: (SERVICE_TIER | null), store?: (bool | null), temperature?: (float | null),
        text?: ({ format?: FORMAT, verbosity?: (VERBOSITY | null), ! } | null), tool_choice?: TOOL_CHOICE,
        tools?: [TOOL], top_logprobs?: (int | null), top_p?: (float | null), truncation?: (TRUNCATION | null),
        user?: (text | null), stream?: (false | null), !
    };

    ANSWER_TOOL = ((by type
        "function" => {
            name: text, parameters: any = null, strict: bool = null, type: text, description: text = null, ..
        },
        "custom" => { name: text, type: text, description: text = null, format: any = null, .. },
    ) | {*: any});
    ANSWER_FORMAT = (by type
        "text" | "json_object" => { .. },
        "json_schema" => {
            name: text, schema: {*: any}, type: text, description: text = null, strict: bool = null, ..
        },
    );
    USAGE = {
        input_tokens: int, input_tokens_details: { cached_tokens: (int | null), .. },
        output_tokens: int, output_tokens_details: { reasoning_tokens: (int | null), .. }, total_tokens: int, ..
    };
    RESPONSE = {
        id: text, created_at: float, error: {*: any} = null, incomplete_details: { reason: text = null, .. } = null,
        instructions: (text | [any]) = null, metadata: {*: text} = null, model: text, object: "response",
        output: [OUTPUT_ITEM], parallel_tool_calls: bool, temperature: float = null,
        tool_choice: (text | (by type "mcp" => { name: text = null, .. }) | {*: any}), tools: [ANSWER_TOOL],
        top_p: float = null, background: bool = null, conversation: {*: any} = null, max_output_tokens: int = null,
        max_tool_calls: int = null, previous_response_id: text = null,
        prompt: { id: text, variables: any = null, version: text = null, .. } = null, prompt_cache_key: text = null,
        reasoning: { effort: text = null, generate_summary: text = null, summary: text = null, .. } = null,
        safety_identifier: text = null, service_tier: SERVICE_TIER = null, status: text = null,
        text: { format: ANSWER_FORMAT = null, verbosity: text = null, .. } = null, top_logprobs: int = null,
        truncation: TRUNCATION = null, usage: USAGE = null, user: text = null, ..
    };
}

/// A request as Gym sees it: only what the client sent.
///
/// # Errors
/// Everything that does not fit.
pub(in crate::dialects::gym) fn responses_request(
    body: Map<String, Value>,
    mode: Mode,
) -> Result<Map<String, Value>, Vec<ValidationError>> {
    validate_members(&REQUEST, body, mode)
}

/// Whether a tool is one that Gym knows; members that it does not know do not count.
pub(in crate::dialects::gym) fn is_tool(tool: &Value) -> bool {
    let mode = Mode { drop_refused: DropRefused::Always, ..Mode::default() };
    validate(&TOOL, tool.clone(), mode).is_ok()
}

/// Whether a request may have a member of that name.
pub(in crate::dialects::gym) fn is_parameter(name: &str) -> bool {
    matches!(REQUEST, Shape::Object(fields, _) if fields.iter().any(|field| field.name == name))
}

/// A response as Gym hands it on, its own or a native engine's: absent members are `null`.
///
/// # Errors
/// What of it is not a response; in strict mode also items of types that Gym does not know.
pub(in crate::dialects::gym) fn response(mut answer: Value, mode: Mode) -> Result<Value, Vec<ValidationError>> {
    let items = answer.get_mut("output").and_then(Value::as_array_mut);
    items.into_iter().flatten().for_each(bundle::complete);
    validate(&RESPONSE, answer, mode)
}

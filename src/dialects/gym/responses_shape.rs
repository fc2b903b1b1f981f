//! The shapes of the Responses API as Gym reads them: requests, input items, tools, and answers of a native engine.

use serde_json::{Map, Value};

use super::chat_shape::whole_bundle;
use super::fit::{Fit, Misfit, Reading, Step, fit, fits};
use super::shape::{Absent, Object, Shape, closed, fill, may, need, object, open, or};

use Shape::{Any, Bool, By, Either, False, Float, Int, List, OrNull, Text, Word};

const ANY: Shape = Any;
const INT: Shape = Int;
const FLOAT: Shape = Float;
const TEXT: Shape = Text;
const BOOL: Shape = Bool;

const TIER: Shape = Word(&["auto", "default", "flex", "scale", "priority"]);
const EFFORT: Shape = Word(&["minimal", "low", "medium", "high"]);
const SUMMARY: Shape = Word(&["auto", "concise", "detailed"]);
const VERBOSITY: Shape = Word(&["low", "medium", "high"]);
const TRUNCATION: Shape = Word(&["auto", "disabled"]);
const DONE: Shape = Word(&["in_progress", "completed", "incomplete"]);
const INCLUDABLE: Shape = Word(&[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]);

// Requests. What stands in the request itself and not in an item has no unknown members.

static FUNCTION_TOOL: Object = closed(&[
    need("name", Text),
    need("parameters", OrNull(&Shape::Map(&ANY))),
    need("strict", OrNull(&BOOL)),
    need("type", Word(&["function"])),
    may("description", OrNull(&TEXT)),
]);
static CUSTOM_TOOL: Object = closed(&[
    need("name", Text),
    need("type", Word(&["custom"])),
    may("description", Text),
    may("format", Shape::Map(&ANY)),
]);
/// Tools that engines of chat completions do not have: only what tells a valid one is looked at.
static HOSTED: [(&str, &Object); 13] = [
    ("function", &FUNCTION_TOOL),
    ("custom", &CUSTOM_TOOL),
    ("file_search", &open(&[need("vector_store_ids", List(&TEXT))])),
    (
        "computer_use_preview",
        &open(&[need("display_height", Int), need("display_width", Int), need("environment", Text)]),
    ),
    ("web_search", &open(&[])),
    ("web_search_2025_08_26", &open(&[])),
    ("web_search_preview", &open(&[])),
    ("web_search_preview_2025_03_11", &open(&[])),
    ("mcp", &open(&[need("server_label", Text)])),
    ("code_interpreter", &open(&[need("container", Either(&[Text, Shape::Map(&ANY)]))])),
    ("image_generation", &open(&[])),
    ("local_shell", &open(&[])),
    ("local_shell_2025", &open(&[])),
];
const TOOL: Shape = By("type", &HOSTED);

const TOOL_CHOICE: Shape = Either(&[
    Word(&["none", "auto", "required"]),
    By(
        "type",
        &[
            ("function", &closed(&[need("name", Text), need("type", Text)])),
            ("custom", &closed(&[need("name", Text), need("type", Text)])),
            ("mcp", &closed(&[need("server_label", Text), need("type", Text), may("name", OrNull(&TEXT))])),
            (
                "allowed_tools",
                &closed(&[
                    need("mode", Word(&["auto", "required"])),
                    need("tools", List(&Shape::Map(&ANY))),
                    need("type", Text),
                ]),
            ),
            ("file_search", &closed(&[need("type", Text)])),
            ("web_search_preview", &closed(&[need("type", Text)])),
            ("web_search_preview_2025_03_11", &closed(&[need("type", Text)])),
            ("computer_use_preview", &closed(&[need("type", Text)])),
            ("image_generation", &closed(&[need("type", Text)])),
            ("code_interpreter", &closed(&[need("type", Text)])),
        ],
    ),
]);

const FORMAT: Shape = By(
    "type",
    &[
        ("text", &closed(&[need("type", Text)])),
        ("json_object", &closed(&[need("type", Text)])),
        (
            "json_schema",
            &closed(&[
                need("name", Text),
                need("schema", Shape::Map(&ANY)),
                need("type", Text),
                may("description", Text),
                may("strict", OrNull(&BOOL)),
            ]),
        ),
    ],
);

/// A request. `input` is read by [`request`].
static REQUEST: Object = closed(&[
    may("background", OrNull(&BOOL)),
    may("include", OrNull(&List(&INCLUDABLE))),
    need("input", Any),
    may("instructions", OrNull(&TEXT)),
    may("max_output_tokens", OrNull(&INT)),
    may("max_tool_calls", OrNull(&INT)),
    may("metadata", OrNull(&Shape::Map(&TEXT))),
    may("model", OrNull(&TEXT)),
    may("parallel_tool_calls", Bool),
    may("previous_response_id", OrNull(&TEXT)),
    may(
        "prompt",
        OrNull(&Shape::Object(&closed(&[
            need("id", Text),
            may("variables", OrNull(&Shape::Map(&ANY))),
            may("version", OrNull(&TEXT)),
        ]))),
    ),
    may(
        "reasoning",
        OrNull(&Shape::Object(&closed(&[
            may("effort", OrNull(&EFFORT)),
            may("generate_summary", OrNull(&SUMMARY)),
            may("summary", OrNull(&SUMMARY)),
        ]))),
    ),
    may("service_tier", OrNull(&TIER)),
    may("store", OrNull(&BOOL)),
    may("temperature", OrNull(&FLOAT)),
    may("text", OrNull(&Shape::Object(&closed(&[may("format", FORMAT), may("verbosity", OrNull(&VERBOSITY))])))),
    may("tool_choice", TOOL_CHOICE),
    may("tools", List(&TOOL)),
    may("top_logprobs", OrNull(&INT)),
    may("top_p", OrNull(&FLOAT)),
    may("truncation", OrNull(&TRUNCATION)),
    may("user", OrNull(&TEXT)),
    may("stream", OrNull(&False)),
]);

// Input items.

static INPUT_TEXT: Object = object(&[need("text", Text), need("type", Word(&["input_text"]))]);
static INPUT_IMAGE: Object = object(&[
    need("detail", Word(&["low", "high", "auto"])),
    need("type", Word(&["input_image"])),
    may("file_id", OrNull(&TEXT)),
    may("image_url", OrNull(&TEXT)),
]);
static INPUT_FILE: Object = object(&[
    need("type", Word(&["input_file"])),
    may("file_data", OrNull(&TEXT)),
    may("file_id", OrNull(&TEXT)),
    may("file_url", OrNull(&TEXT)),
    may("filename", OrNull(&TEXT)),
]);
const VIDEO: Shape = Either(&[Text, Shape::Map(&ANY)]);
static INPUT_VIDEO: Object =
    object(&[need("type", Word(&["input_video"])), may("video_url", VIDEO), may("video", VIDEO)]);
const PARTS: Shape = List(&By(
    "type",
    &[
        ("input_text", &INPUT_TEXT),
        ("input_image", &INPUT_IMAGE),
        ("input_file", &INPUT_FILE),
        ("input_video", &INPUT_VIDEO),
    ],
));
const EXPERTS: Shape = Either(&[Text, List(&List(&List(&INT)))]);

/// The members of a bundle of token ids, for items that may carry one.
macro_rules! with_bundle {
    ($($field:expr),* $(,)?) => {
        object(&[
            $($field,)*
            may("prompt_token_ids", List(&INT)),
            may("generation_token_ids", List(&INT)),
            may("generation_log_probs", List(&FLOAT)),
            may("routed_experts", OrNull(&EXPERTS)),
        ])
    };
}

static EASY: Object = with_bundle![
    need("content", Either(&[Text, PARTS])),
    need("role", Word(&["user", "assistant", "system", "developer"])),
    may("type", Word(&["message"])),
];
static OUTPUT_MESSAGE: Object = with_bundle![
    need("id", Text),
    need("content", List(&SAID_PART)),
    may("role", Word(&["assistant"])),
    may("status", DONE),
    may("type", Word(&["message"])),
];
const SAID_PART: Shape = By(
    "type",
    &[
        (
            "output_text",
            &object(&[
                need("annotations", List(&ANY)),
                need("text", Text),
                need("type", Text),
                may("logprobs", OrNull(&List(&ANY))),
            ]),
        ),
        ("refusal", &object(&[need("refusal", Text), need("type", Text)])),
    ],
);
static FUNCTION_CALL: Object = with_bundle![
    need("arguments", Text),
    need("call_id", Text),
    need("name", Text),
    may("type", Text),
    may("id", OrNull(&TEXT)),
    may("status", OrNull(&DONE)),
];
static FUNCTION_CALL_OUTPUT: Object = object(&[
    need("call_id", Text),
    need("output", Either(&[Text, List(&ANY)])),
    may("type", Text),
    may("id", OrNull(&TEXT)),
    may("status", OrNull(&DONE)),
]);
static REASONING: Object = with_bundle![
    need("id", Text),
    need("summary", List(&Shape::Object(&open(&[need("text", Text), need("type", Word(&["summary_text"]))])))),
    may("type", Text),
    may("encrypted_content", OrNull(&TEXT)),
    may(
        "content",
        OrNull(&List(&Shape::Object(&open(&[need("text", Text), need("type", Word(&["reasoning_text"]))]))))
    ),
];

/// Items by their `type`. Those after `reasoning` are known, but have no counterpart in chat: only what tells a valid
/// one is looked at.
static ITEMS: [(&str, &Object); 19] = [
    ("function_call", &FUNCTION_CALL),
    ("function_call_output", &FUNCTION_CALL_OUTPUT),
    ("reasoning", &REASONING),
    ("mcp_call", &open(&[need("arguments", Text), need("name", Text)])),
    ("mcp_list_tools", &open(&[])),
    ("mcp_approval_request", &open(&[need("arguments", Text), need("name", Text)])),
    ("mcp_approval_response", &open(&[need("approval_request_id", Text), need("approve", Bool)])),
    ("file_search_call", &open(&[need("id", Text), need("queries", List(&TEXT)), need("status", Text)])),
    ("web_search_call", &open(&[need("id", Text), need("action", Any), need("status", Text)])),
    ("computer_call", &open(&[need("id", Text), need("action", Any), need("call_id", Text), need("status", Text)])),
    ("computer_call_output", &open(&[need("call_id", Text), need("output", Any)])),
    ("image_generation_call", &open(&[need("id", Text), need("status", Text)])),
    ("code_interpreter_call", &open(&[need("id", Text), need("container_id", Text), need("status", Text)])),
    ("local_shell_call", &open(&[need("id", Text), need("action", Any), need("call_id", Text), need("status", Text)])),
    ("local_shell_call_output", &open(&[need("id", Text), need("output", Text)])),
    ("custom_tool_call", &open(&[need("call_id", Text), need("name", Text), need("input", Text)])),
    ("custom_tool_call_output", &open(&[need("call_id", Text), need("output", Any)])),
    ("compaction", &closed(&[need("never", False)])),
    ("item_reference", &closed(&[need("never", False)])),
];

/// A request as Gym sees it: only what the client sent.
///
/// # Errors
/// Everything that does not fit.
pub(super) fn request(body: Value, reading: Reading) -> Result<Map<String, Value>, Vec<Misfit>> {
    let mut fit = Fit::new(reading);
    let mut read = fit.object(&REQUEST, body);
    if let Some(read) = read.as_mut().and_then(Value::as_object_mut) {
        if let Some(input) = read.get_mut("input") {
            let taken = input.take();
            if let Some(fitted) = fit.below(Step::Member("input".into()), |fit| input_of(fit, taken)) {
                *input = fitted;
            }
        }
    }
    let misfits = fit.into_misfits();
    match read {
        Some(Value::Object(read)) if misfits.is_empty() => Ok(read),
        _ => Err(misfits),
    }
}

fn input_of(fit: &mut Fit, input: Value) -> Option<Value> {
    match input {
        Value::String(_) => Some(input),
        Value::Array(items) => {
            let each = items.into_iter().enumerate();
            let read: Vec<Option<Value>> =
                each.map(|(at, value)| fit.below(Step::Index(at), |fit| item(fit, value))).collect();
            read.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
        }
        other => {
            fit.misfit("string_type", "Input should be a valid string or a list of items", &other);
            None
        }
    }
}

/// One input item. What says no type is taken as it is, unless it is a plain message: Gym does so by accident, and chat
/// messages in `input` (tool results, assistant turns with calls) depend on it.
fn item(fit: &mut Fit, value: Value) -> Option<Value> {
    if !value.is_object() {
        fit.misfit("model_type", "Input should be a valid dictionary", &value);
        return None;
    }
    if !whole_bundle(fit, &value) {
        return None;
    }
    match value.get("type") {
        None => Some(match [&EASY, &OUTPUT_MESSAGE].into_iter().find(|object| fits(&Shape::Object(object), &value)) {
            Some(object) => fit.object(object, value)?,
            None => value,
        }),
        Some(Value::String(kind)) if kind == "message" => {
            let said = fits(&Shape::Object(&OUTPUT_MESSAGE), &value);
            fit.object(if said { &OUTPUT_MESSAGE } else { &EASY }, value)
        }
        Some(Value::String(kind)) => match ITEMS.iter().find(|(known, _)| known == kind) {
            Some((_, object)) => fit.object(object, value),
            None => {
                let message = format!("Items of type '{kind}' are not supported");
                fit.misfit("union_tag_invalid", message, &value);
                None
            }
        },
        Some(_) => {
            fit.misfit("literal_error", "The type of an item is a word", &value);
            None
        }
    }
}

/// Whether a tool is one that Gym knows; unknown members aside.
pub(super) fn is_tool(tool: &Value) -> bool {
    fit(&TOOL, tool.clone(), Reading { lenient: false, pruning: true }).is_ok()
}

/// Whether an input item is one that Gym knows.
pub(super) fn is_item(value: &Value) -> bool {
    let mut fit = Fit::new(Reading::default());
    item(&mut fit, value.clone()).is_some() && fit.into_misfits().is_empty()
}

/// Names of what a request may hold.
pub(super) fn is_member(name: &str) -> bool {
    REQUEST.fields.iter().any(|field| field.name == name)
}

// Answers of an engine that speaks Responses itself: absent members become `null`.

const USAGE: Shape = Shape::Object(&open(&[
    need("input_tokens", Int),
    need("input_tokens_details", Shape::Object(&open(&[need("cached_tokens", OrNull(&INT))]))),
    need("output_tokens", Int),
    need("output_tokens_details", Shape::Object(&open(&[need("reasoning_tokens", OrNull(&INT))]))),
    need("total_tokens", Int),
]));
const REASONING_ECHO: Shape =
    Shape::Object(&open(&[fill("effort", &TEXT), fill("generate_summary", &TEXT), fill("summary", &TEXT)]));
const PROMPT_ECHO: Shape = Shape::Object(&open(&[need("id", Text), fill("variables", &ANY), fill("version", &TEXT)]));
const FORMAT_ECHO: Shape = By(
    "type",
    &[
        ("text", &open(&[])),
        ("json_object", &open(&[])),
        (
            "json_schema",
            &open(&[
                need("name", Text),
                need("schema", Shape::Map(&ANY)),
                need("type", Text),
                fill("description", &TEXT),
                fill("strict", &BOOL),
            ]),
        ),
    ],
);
const TEXT_ECHO: Shape = Shape::Object(&open(&[fill("format", &FORMAT_ECHO), fill("verbosity", &TEXT)]));
const TOOL_ECHO: Shape = Either(&[
    By(
        "type",
        &[
            (
                "function",
                &open(&[
                    need("name", Text),
                    fill("parameters", &ANY),
                    fill("strict", &BOOL),
                    need("type", Text),
                    fill("description", &TEXT),
                ]),
            ),
            (
                "custom",
                &open(&[need("name", Text), need("type", Text), fill("description", &TEXT), fill("format", &ANY)]),
            ),
        ],
    ),
    Shape::Map(&ANY),
]);
const OUTPUT_ITEM: Shape = Either(&[
    By(
        "type",
        &[
            (
                "message",
                &object(&[
                    need("id", Text),
                    need("content", List(&SAID)),
                    or("role", Word(&["assistant"]), Absent::Word("assistant")),
                    or("status", DONE, Absent::Word("completed")),
                    need("type", Text),
                ]),
            ),
            (
                "function_call",
                &object(&[
                    need("arguments", Text),
                    need("call_id", Text),
                    need("name", Text),
                    need("type", Text),
                    fill("id", &TEXT),
                    fill("status", &DONE),
                ]),
            ),
            (
                "reasoning",
                &object(&[
                    need("id", Text),
                    need("summary", List(&Shape::Map(&ANY))),
                    need("type", Text),
                    fill("encrypted_content", &TEXT),
                    fill("content", &List(&Shape::Map(&ANY))),
                ]),
            ),
        ],
    ),
    Shape::Object(&open(&[need("type", Text)])),
]);
const SAID: Shape = By(
    "type",
    &[
        (
            "output_text",
            &object(&[
                need("annotations", List(&ANY)),
                need("text", Text),
                need("type", Text),
                fill("logprobs", &List(&ANY)),
            ]),
        ),
        ("refusal", &object(&[need("refusal", Text), need("type", Text)])),
    ],
);
static RESPONSE: Object = open(&[
    need("id", Text),
    need("created_at", Float),
    fill("error", &Shape::Map(&ANY)),
    fill("incomplete_details", &Shape::Object(&open(&[fill("reason", &TEXT)]))),
    fill("instructions", &Either(&[Text, List(&ANY)])),
    fill("metadata", &Shape::Map(&TEXT)),
    need("model", Text),
    need("object", Word(&["response"])),
    need("output", List(&OUTPUT_ITEM)),
    need("parallel_tool_calls", Bool),
    fill("temperature", &FLOAT),
    need("tool_choice", Either(&[Text, Shape::Map(&ANY)])),
    need("tools", List(&TOOL_ECHO)),
    fill("top_p", &FLOAT),
    fill("background", &BOOL),
    fill("conversation", &Shape::Map(&ANY)),
    fill("max_output_tokens", &INT),
    fill("max_tool_calls", &INT),
    fill("previous_response_id", &TEXT),
    fill("prompt", &PROMPT_ECHO),
    fill("prompt_cache_key", &TEXT),
    fill("reasoning", &REASONING_ECHO),
    fill("safety_identifier", &TEXT),
    fill("service_tier", &TIER),
    fill("status", &TEXT),
    fill("text", &TEXT_ECHO),
    fill("top_logprobs", &INT),
    fill("truncation", &TRUNCATION),
    fill("usage", &USAGE),
    fill("user", &TEXT),
]);

/// A response as Gym hands it on: its own or a native engine's, absent members `null`.
///
/// # Errors
/// What is not a response.
pub(super) fn response(answer: Value) -> Result<Value, Vec<Misfit>> {
    fit(&Shape::Object(&RESPONSE), answer, Reading::default())
}

//! The shape of a Responses request as Gym reads it (its own schema over openai 2.7.2), its items aside.
//!
//! What stands in the request itself and not in an item has no unknown members.

use serde_json::{Map, Value};

use super::fit::{Fit, Misfit, Pruning, Reading, Step, fit};
use super::item_shape::input;
use super::shape::{ANY, BOOL, FLOAT, INT, Object, Shape, TEXT, closed, may, need, open};

use Shape::{Any, Bool, By, Either, False, Int, List, OrNull, Text, Word};

pub(super) const TIER: Shape = Word(&["auto", "default", "flex", "scale", "priority"]);
const EFFORT: Shape = Word(&["minimal", "low", "medium", "high"]);
const SUMMARY: Shape = Word(&["auto", "concise", "detailed"]);
const VERBOSITY: Shape = Word(&["low", "medium", "high"]);
pub(super) const TRUNCATION: Shape = Word(&["auto", "disabled"]);
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

/// A request as Gym sees it: only what the client sent.
///
/// # Errors
/// Everything that does not fit.
pub(super) fn request(body: Value, reading: Reading) -> Result<Map<String, Value>, Vec<Misfit>> {
    let mut fit = Fit::new(reading);
    let mut read = fit.object(&REQUEST, body);
    if let Some(slot) = read.as_mut().and_then(|read| read.get_mut("input")) {
        let taken = slot.take();
        if let Some(fitted) = fit.below(Step::Member("input".into()), |fit| input(fit, taken)) {
            *slot = fitted;
        }
    }
    let misfits = fit.into_misfits();
    match read {
        Some(Value::Object(read)) if misfits.is_empty() => Ok(read),
        _ => Err(misfits),
    }
}

/// Whether a tool is one that Gym knows; unknown members aside.
pub(super) fn is_tool(tool: &Value) -> bool {
    fit(&TOOL, tool.clone(), Reading { lenient: false, pruning: Pruning::Always }).is_ok()
}

/// Names of what a request may hold.
pub(super) fn is_member(name: &str) -> bool {
    REQUEST.fields.iter().any(|field| field.name == name)
}

//! The shapes of a Responses request's input items, and which of them an item has.

use serde_json::Value;

use super::chat_shape::whole_bundle;
use super::fit::{Fit, Reading, Step, fits};
use super::shape::{ANY, FLOAT, INT, Object, Shape, TEXT, may, need, object, open};

use Shape::{Any, Bool, By, Either, List, OrNull, Text, Word};

pub(super) const DONE: Shape = Word(&["in_progress", "completed", "incomplete"]);

static INPUT_TEXT: Object = object(&[need("text", Text), need("type", Word(&["input_text"]))]);
static INPUT_IMAGE: Object = object(&[
    need("detail", DETAIL),
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
/// The parts of a function's output; their details are optional.
const OUTPUT_PARTS: Shape = List(&By(
    "type",
    &[
        ("input_text", &INPUT_TEXT),
        (
            "input_image",
            &object(&[
                need("type", Text),
                may("detail", OrNull(&DETAIL)),
                may("file_id", OrNull(&TEXT)),
                may("image_url", OrNull(&TEXT)),
            ]),
        ),
        ("input_file", &INPUT_FILE),
    ],
));
const DETAIL: Shape = Word(&["low", "high", "auto"]);

pub(super) const EXPERTS: Shape = Either(&[Text, List(&List(&List(&INT)))]);

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
pub(super) use with_bundle;

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
    need("output", Either(&[Text, OUTPUT_PARTS])),
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
pub(super) static ITEMS: [(&str, &Object); 17] = [
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
];

/// The input of a request: a text or items.
pub(super) fn input(fit: &mut Fit, input: Value) -> Option<Value> {
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

/// What an item without a type may hold at least; everything else of it stays.
static UNTYPED: Object = open(&[
    may("id", OrNull(&TEXT)),
    may("server_label", OrNull(&TEXT)),
    may("error", OrNull(&TEXT)),
    may("tools", List(&ANY)),
]);

/// Notes a video with no source, two, or an empty one.
fn one_source(fit: &mut Fit, value: &Value) {
    let parts = value.get("content").and_then(Value::as_array);
    let videos = parts.into_iter().flatten().filter(|part| part.get("type").is_some_and(|kind| kind == "input_video"));
    for video in videos {
        let sources: Vec<&Value> = ["video_url", "video"].iter().filter_map(|name| video.get(*name)).collect();
        let url =
            |source: &Value| source.get("url").unwrap_or(source).as_str().is_some_and(|url| !url.trim().is_empty());
        if !matches!(sources.as_slice(), [only] if url(only)) {
            let message = "Value error, input_video requires exactly one of video_url or video, and not an empty one";
            fit.misfit("value_error", message, video);
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
            None => fit.object(&UNTYPED, value)?,
        }),
        Some(Value::String(kind)) if kind == "message" => {
            let said = fits(&Shape::Object(&OUTPUT_MESSAGE), &value);
            one_source(fit, &value);
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

/// Whether an input item is one that Gym knows.
pub(super) fn is_item(value: &Value) -> bool {
    let mut fit = Fit::new(Reading::default());
    item(&mut fit, value.clone()).is_some() && fit.into_misfits().is_empty()
}

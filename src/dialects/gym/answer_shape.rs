//! The shape of a response as Gym hands it on: absent members are `null`.

use serde_json::Value;

use super::chat_shape::{BUNDLE, ROUTED_EXPERTS};
use super::fit::{Misfit, Reading, fit};
use super::item_shape::{DONE, EXPERTS, ITEMS, with_bundle};
use super::responses_shape::{TIER, TRUNCATION};
use super::shape::{ANY, Absent, BOOL, FLOAT, INT, Object, Shape, TEXT, fill, may, need, object, open, or};

use Shape::{Bool, By, Either, Float, Int, List, OrNull, Text, Word};

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
                &with_bundle![
                    need("id", Text),
                    need("content", List(&SAID)),
                    or("role", Word(&["assistant"]), Absent::Word("assistant")),
                    or("status", DONE, Absent::Word("completed")),
                    need("type", Text),
                ],
            ),
            (
                "function_call",
                &with_bundle![
                    need("arguments", Text),
                    need("call_id", Text),
                    need("name", Text),
                    need("type", Text),
                    fill("id", &TEXT),
                    fill("status", &DONE),
                ],
            ),
            (
                "reasoning",
                &with_bundle![
                    need("id", Text),
                    need("summary", List(&Shape::Map(&ANY))),
                    need("type", Text),
                    fill("encrypted_content", &TEXT),
                    fill("content", &List(&Shape::Map(&ANY))),
                ],
            ),
        ],
    ),
    By(
        "type",
        &[
            (
                "mcp_call",
                &open(&[
                    need("arguments", Text),
                    need("name", Text),
                    fill("id", &TEXT),
                    fill("server_label", &TEXT),
                    fill("approval_request_id", &TEXT),
                    fill("error", &TEXT),
                    fill("output", &TEXT),
                    fill("status", &TEXT),
                ]),
            ),
            ("mcp_list_tools", &open(&[fill("id", &TEXT), fill("server_label", &TEXT), fill("error", &TEXT)])),
            ("mcp_approval_request", &open(&[fill("id", &TEXT), fill("server_label", &TEXT)])),
            ("file_search_call", &open(&[fill("results", &List(&ANY))])),
            ("code_interpreter_call", &open(&[fill("code", &TEXT), fill("outputs", &List(&ANY))])),
            ("image_generation_call", &open(&[fill("result", &TEXT)])),
            ("custom_tool_call", &open(&[fill("id", &TEXT)])),
            ("web_search_call", &open(&[])),
            ("computer_call", &open(&[])),
            ("local_shell_call", &open(&[])),
        ],
    ),
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
    need("output", List(&ANY)),
    need("parallel_tool_calls", Bool),
    fill("temperature", &FLOAT),
    need("tool_choice", Either(&[Text, By("type", &[("mcp", &open(&[fill("name", &TEXT)]))]), Shape::Map(&ANY)])),
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

/// A response as Gym hands it on: its own or a native engine's, absent members `null`. In strict mode items of types that
/// Gym does not know are a fault; otherwise they stay as they are.
///
/// # Errors
/// What is not a response.
pub(super) fn response(mut answer: Value, strict: bool) -> Result<Value, Vec<Misfit>> {
    let output = answer.get_mut("output").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
    let mut response = fit(&Shape::Object(&RESPONSE), answer, Reading::default())?;
    let items = output.into_iter().map(|item| output_item(item, strict)).collect::<Result<Vec<_>, _>>()?;
    response["output"] = Value::Array(items);
    Ok(response)
}

fn output_item(mut item: Value, strict: bool) -> Result<Value, Vec<Misfit>> {
    let kind = item.get("type").and_then(Value::as_str);
    let known = kind.is_some_and(|kind| kind == "message" || ITEMS.iter().any(|(known, _)| *known == kind));
    if !known && !strict && kind.is_some() {
        return Ok(item);
    }
    if let Some(members) = item.as_object_mut().filter(|it| BUNDLE.iter().all(|member| it.contains_key(*member))) {
        members.entry(ROUTED_EXPERTS).or_insert(Value::Null);
    }
    fit(&OUTPUT_ITEM, item, Reading::default())
}

//! The shapes of Chat Completions as Gym reads them: requests (its own schema over openai 2.7.2) and answers.

use serde_json::Value;

use super::fit::{Fit, Misfit, Reading, Step};
use super::shape::{Field, Object, Shape, fill, may, need, object, open};

use Shape::{Any, Bool, By, Either, False, Float, Int, List, OrNull, Text, Word};

const INT: Shape = Int;
const FLOAT: Shape = Float;
const TEXT: Shape = Text;
const BOOL: Shape = Bool;
const ANY: Shape = Any;

const METADATA: Shape = Shape::Map(&TEXT);
const EFFORT: Shape = Word(&["minimal", "low", "medium", "high"]);
const TIER: Shape = Word(&["auto", "default", "flex", "scale", "priority"]);

static TEXT_PART: Object = object(&[need("text", Text), need("type", Word(&["text"]))]);
static REFUSAL_PART: Object = object(&[need("refusal", Text), need("type", Word(&["refusal"]))]);
static IMAGE_PART: Object = object(&[
    need("image_url", Shape::Object(&object(&[need("url", Text), may("detail", Word(&["auto", "low", "high"]))]))),
    need("type", Word(&["image_url"])),
]);
static AUDIO_PART: Object = object(&[
    need("input_audio", Shape::Object(&object(&[need("data", Text), need("format", Word(&["wav", "mp3"]))]))),
    need("type", Word(&["input_audio"])),
]);
static FILE_PART: Object = object(&[
    need("file", Shape::Object(&object(&[may("file_data", Text), may("file_id", Text), may("filename", Text)]))),
    need("type", Word(&["file"])),
]);
static VIDEO_PART: Object =
    object(&[need("video_url", Either(&[Text, Shape::Map(&ANY)])), need("type", Word(&["video_url"]))]);

const TEXTS: Shape = List(&By("type", &[("text", &TEXT_PART)]));
const USER_PARTS: Shape = List(&By(
    "type",
    &[
        ("text", &TEXT_PART),
        ("image_url", &IMAGE_PART),
        ("input_audio", &AUDIO_PART),
        ("file", &FILE_PART),
        ("video_url", &VIDEO_PART),
    ],
));
const ASSISTANT_PARTS: Shape = List(&By("type", &[("text", &TEXT_PART), ("refusal", &REFUSAL_PART)]));

const CALLED: Shape = Shape::Object(&object(&[need("arguments", Text), need("name", Text)]));
static CALL: Object = object(&[need("id", Text), need("function", CALLED), need("type", Word(&["function"]))]);
static CUSTOM_CALL: Object = object(&[
    need("id", Text),
    need("custom", Shape::Object(&object(&[need("input", Text), need("name", Text)]))),
    need("type", Word(&["custom"])),
]);
const CALLS: Shape = List(&By("type", &[("function", &CALL), ("custom", &CUSTOM_CALL)]));

const IDS: Shape = List(&INT);
const LOG_PROBS: Shape = List(&FLOAT);
const EXPERTS: Shape = Either(&[Text, List(&List(&List(&INT)))]);

static SYSTEM: Object =
    object(&[need("content", Either(&[Text, TEXTS])), need("role", Word(&["system"])), may("name", Text)]);
static DEVELOPER: Object =
    object(&[need("content", Either(&[Text, TEXTS])), need("role", Word(&["developer"])), may("name", Text)]);
static USER: Object =
    object(&[need("content", Either(&[Text, USER_PARTS])), need("role", Word(&["user"])), may("name", Text)]);
static ASSISTANT: Object = object(&[
    need("role", Word(&["assistant"])),
    may("audio", OrNull(&Shape::Object(&object(&[need("id", Text)])))),
    may("content", OrNull(&Either(&[Text, ASSISTANT_PARTS]))),
    may("function_call", OrNull(&CALLED)),
    may("name", Text),
    may("refusal", OrNull(&TEXT)),
    may("tool_calls", OrNull(&CALLS)),
    may("prompt_token_ids", IDS),
    may("generation_token_ids", IDS),
    may("generation_log_probs", LOG_PROBS),
    may("routed_experts", OrNull(&EXPERTS)),
]);
static TOOL: Object =
    object(&[need("content", Either(&[Text, TEXTS])), need("role", Word(&["tool"])), need("tool_call_id", Text)]);

const MESSAGE: Shape = By(
    "role",
    &[("developer", &DEVELOPER), ("system", &SYSTEM), ("user", &USER), ("assistant", &ASSISTANT), ("tool", &TOOL)],
);

const FUNCTION: Shape = Shape::Object(&object(&[
    need("name", Text),
    may("description", Text),
    may("parameters", Shape::Map(&ANY)),
    may("strict", OrNull(&BOOL)),
]));
static FUNCTION_TOOL: Object = object(&[need("function", FUNCTION), need("type", Word(&["function"]))]);
static CUSTOM_TOOL: Object = object(&[
    need(
        "custom",
        Shape::Object(&object(&[need("name", Text), may("description", Text), may("format", Shape::Map(&ANY))])),
    ),
    need("type", Word(&["custom"])),
]);
const TOOLS: Shape = List(&By("type", &[("function", &FUNCTION_TOOL), ("custom", &CUSTOM_TOOL)]));

const NAMED: Shape = Shape::Object(&object(&[need("name", Text)]));
const TOOL_CHOICE: Shape = Either(&[
    Word(&["none", "auto", "required"]),
    By(
        "type",
        &[
            ("function", &object(&[need("function", NAMED), need("type", Word(&["function"]))])),
            ("custom", &object(&[need("custom", NAMED), need("type", Word(&["custom"]))])),
            (
                "allowed_tools",
                &object(&[
                    need(
                        "allowed_tools",
                        Shape::Object(&object(&[
                            need("mode", Word(&["auto", "required"])),
                            need("tools", List(&Shape::Map(&ANY))),
                        ])),
                    ),
                    need("type", Word(&["allowed_tools"])),
                ]),
            ),
        ],
    ),
]);

const RESPONSE_FORMAT: Shape = By(
    "type",
    &[
        ("text", &object(&[need("type", Word(&["text"]))])),
        ("json_object", &object(&[need("type", Word(&["json_object"]))])),
        (
            "json_schema",
            &object(&[
                need(
                    "json_schema",
                    Shape::Object(&object(&[
                        need("name", Text),
                        may("description", Text),
                        may("schema", Shape::Map(&ANY)),
                        may("strict", OrNull(&BOOL)),
                    ])),
                ),
                need("type", Word(&["json_schema"])),
            ]),
        ),
    ],
);

const SEARCH: Shape = Shape::Object(&object(&[
    may("search_context_size", Word(&["low", "medium", "high"])),
    may(
        "user_location",
        OrNull(&Shape::Object(&object(&[
            need(
                "approximate",
                Shape::Object(&object(&[
                    may("city", Text),
                    may("country", Text),
                    may("region", Text),
                    may("timezone", Text),
                ])),
            ),
            need("type", Word(&["approximate"])),
        ]))),
    ),
]));

/// A chat request. `messages` are read one by one, see [`chat`].
static CHAT: Object = object(&[
    need("messages", List(&ANY)),
    may("model", OrNull(&TEXT)),
    may(
        "audio",
        OrNull(&Shape::Object(&object(&[
            need("format", Word(&["wav", "aac", "mp3", "flac", "opus", "pcm16"])),
            need("voice", Text),
        ]))),
    ),
    may("frequency_penalty", OrNull(&FLOAT)),
    may("logit_bias", OrNull(&Shape::Map(&INT))),
    may("logprobs", OrNull(&BOOL)),
    may("max_completion_tokens", OrNull(&INT)),
    may("max_tokens", OrNull(&INT)),
    may("metadata", OrNull(&METADATA)),
    may("modalities", OrNull(&List(&Word(&["text", "audio"])))),
    may("n", OrNull(&INT)),
    may("parallel_tool_calls", Bool),
    may(
        "prediction",
        OrNull(&Shape::Object(&object(&[need("content", Either(&[Text, TEXTS])), need("type", Word(&["content"]))]))),
    ),
    may("presence_penalty", OrNull(&FLOAT)),
    may("reasoning_effort", OrNull(&EFFORT)),
    may("response_format", OrNull(&RESPONSE_FORMAT)),
    may("seed", OrNull(&INT)),
    may("service_tier", OrNull(&TIER)),
    may("stop", OrNull(&Either(&[Text, List(&TEXT)]))),
    may("store", OrNull(&BOOL)),
    may(
        "stream_options",
        OrNull(&Shape::Object(&object(&[may("include_obfuscation", Bool), may("include_usage", Bool)]))),
    ),
    may("temperature", OrNull(&FLOAT)),
    may("tool_choice", OrNull(&TOOL_CHOICE)),
    may("tools", OrNull(&TOOLS)),
    may("top_logprobs", OrNull(&INT)),
    may("top_p", OrNull(&FLOAT)),
    may("user", OrNull(&TEXT)),
    may("web_search_options", OrNull(&SEARCH)),
    may("stream", OrNull(&False)),
]);

/// Members that come together or not at all (`routed_experts` only with the others).
pub(super) const BUNDLE: [&str; 3] = ["prompt_token_ids", "generation_token_ids", "generation_log_probs"];
/// Per-token expert indices, opaque.
pub(super) const ROUTED_EXPERTS: &str = "routed_experts";

/// A chat request as Gym sees it: only what the client sent and the tables know.
///
/// # Errors
/// Everything that does not fit.
pub(super) fn chat(body: Value, reading: Reading) -> Result<Value, Vec<Misfit>> {
    let mut fit = Fit::new(reading);
    let mut read = fit.object(&CHAT, body);
    let messages = read.as_mut().and_then(|read| read.get_mut("messages")).map(Value::take);
    if let Some(Value::Array(messages)) = messages {
        let read_messages: Vec<Option<Value>> = fit.below(Step::Member("messages".into()), |fit| {
            let each = messages.into_iter().enumerate();
            each.map(|(at, message)| fit.below(Step::Index(at), |fit| one(fit, message))).collect()
        });
        if let Some(slot) = read.as_mut().and_then(|read| read.get_mut("messages")) {
            *slot = Value::Array(read_messages.into_iter().flatten().collect());
        }
    }
    let misfits = fit.into_misfits();
    match read {
        Some(read) if misfits.is_empty() => Ok(read),
        _ => Err(misfits),
    }
}

fn one(fit: &mut Fit, message: Value) -> Option<Value> {
    if !whole_bundle(fit, &message) {
        return None;
    }
    fit.value(&MESSAGE, message)
}

/// Notes a bundle of token ids that is not complete.
pub(super) fn whole_bundle(fit: &mut Fit, value: &Value) -> bool {
    let any = BUNDLE.iter().chain([&ROUTED_EXPERTS]).any(|member| value.get(member).is_some());
    let missing: Vec<&str> = BUNDLE.iter().copied().filter(|member| value.get(member).is_none()).collect();
    if any && !missing.is_empty() {
        let message =
            format!("Value error, Token metadata must include all required fields; missing: {}", missing.join(", "));
        fit.misfit("value_error", message, value);
        return false;
    }
    true
}

const DETAILS_OF_PROMPT: Shape = Shape::Object(&open(&[fill("audio_tokens", &INT), fill("cached_tokens", &INT)]));
const DETAILS_OF_COMPLETION: Shape = Shape::Object(&open(&[
    fill("accepted_prediction_tokens", &INT),
    fill("audio_tokens", &INT),
    fill("reasoning_tokens", &INT),
    fill("rejected_prediction_tokens", &INT),
]));
const USAGE: Shape = Shape::Object(&open(&[
    need("completion_tokens", Int),
    need("prompt_tokens", Int),
    need("total_tokens", Int),
    fill("completion_tokens_details", &DETAILS_OF_COMPLETION),
    fill("prompt_tokens_details", &DETAILS_OF_PROMPT),
]));
const OPEN_CALLED: Shape = Shape::Object(&open(&[need("arguments", Text), need("name", Text)]));
/// Gym's own model of a function call drops what it does not know.
const REPLY_CALLS: Shape = List(&By(
    "type",
    &[
        ("function", &open(&[need("id", Text), need("function", CALLED), need("type", Word(&["function"]))])),
        (
            "custom",
            &open(&[
                need("id", Text),
                need("custom", Shape::Object(&open(&[need("input", Text), need("name", Text)]))),
                need("type", Word(&["custom"])),
            ]),
        ),
    ],
));
static REPLY_MESSAGE: Object = open(&[
    fill("content", &TEXT),
    fill("refusal", &TEXT),
    need("role", Word(&["assistant"])),
    fill("annotations", &List(&ANY)),
    fill("audio", &ANY),
    fill("function_call", &OPEN_CALLED),
    fill("tool_calls", &REPLY_CALLS),
    may("prompt_token_ids", IDS),
    may("generation_token_ids", IDS),
    may("generation_log_probs", LOG_PROBS),
    may(ROUTED_EXPERTS, OrNull(&EXPERTS)),
]);
const LOG_PROB: Shape = Shape::Object(&open(&[
    need("token", Text),
    fill("bytes", &List(&INT)),
    need("logprob", Float),
    need(
        "top_logprobs",
        List(&Shape::Object(&open(&[need("token", Text), fill("bytes", &List(&INT)), need("logprob", Float)]))),
    ),
]));
const REPLY_LOG_PROBS: Shape =
    Shape::Object(&open(&[fill("content", &List(&LOG_PROB)), fill("refusal", &List(&LOG_PROB))]));

/// Why a completion ended, in OpenAI's words.
const REASONS: &[&str] = &["stop", "length", "tool_calls", "content_filter", "function_call"];

static STRICT_CHOICE: Object = open(&[
    need("finish_reason", Word(REASONS)),
    need("index", Int),
    fill("logprobs", &REPLY_LOG_PROBS),
    need("message", Shape::Object(&REPLY_MESSAGE)),
]);
/// vLLM says `abort` and `repetition` as well.
static CHOICE: Object = open(&[
    need("finish_reason", Text),
    need("index", Int),
    fill("logprobs", &REPLY_LOG_PROBS),
    need("message", Shape::Object(&REPLY_MESSAGE)),
]);
static STRICT_CHOICES: Shape = Shape::Object(&STRICT_CHOICE);
static CHOICES: Shape = Shape::Object(&CHOICE);
static STRICT_FIELDS: [Field; 8] = reply_fields(List(&STRICT_CHOICES));
static FIELDS: [Field; 8] = reply_fields(List(&CHOICES));
static STRICT_REPLY: Object = open(&STRICT_FIELDS);
static REPLY: Object = open(&FIELDS);

const fn reply_fields(choices: Shape) -> [Field; 8] {
    [
        need("id", Text),
        need("choices", choices),
        need("created", Int),
        need("model", Text),
        need("object", Word(&["chat.completion"])),
        fill("service_tier", &TIER),
        fill("system_fingerprint", &TEXT),
        fill("usage", &USAGE),
    ]
}

/// A chat answer as Gym hands it on: absent members of the schema are `null`, what the schema does not know stays.
///
/// # Errors
/// What of the engine's answer is not a chat completion.
pub(super) fn reply(mut answer: Value, strict: bool) -> Result<Value, Vec<Misfit>> {
    let choices = answer.get_mut("choices").and_then(Value::as_array_mut);
    let messages = choices.into_iter().flatten().filter_map(|choice| choice.get_mut("message")?.as_object_mut());
    let mut fit = Fit::new(Reading::default());
    for message in messages {
        whole_bundle(&mut fit, &Value::Object(message.clone()));
        if BUNDLE.iter().all(|member| message.contains_key(*member)) {
            message.entry(ROUTED_EXPERTS).or_insert(Value::Null);
        }
    }
    let read = fit.object(if strict { &STRICT_REPLY } else { &REPLY }, answer);
    let misfits = fit.into_misfits();
    match read {
        Some(read) if misfits.is_empty() => Ok(read),
        _ => Err(misfits),
    }
}

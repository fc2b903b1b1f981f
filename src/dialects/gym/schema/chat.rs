//! Chat Completions as Gym reads them: requests (its own schema over openai 2.7.2) and answers.

use serde_json::{Map, Value};

use super::bundle::{self, BUNDLE, ROUTED_EXPERTS};
use super::shape::{Absent, Others, Shape, field, object, shape, shapes};
use super::validate::{Mode, ValidationError, validate, validate_members};

shapes! {
    TEXT_PART = { text: text, type: text };
    TEXT_PARTS = [(by type "text" => TEXT_PART)];
    USER_PARTS = [(by type
        "text" => TEXT_PART,
        "image_url" => { image_url: { url: text, detail?: ("auto" | "low" | "high") }, type: text },
        "input_audio" => { input_audio: { data: text, format: ("wav" | "mp3") }, type: text },
        "file" => { file: { file_data?: text, file_id?: text, filename?: text }, type: text },
        "video_url" => { video_url: (text | {*: any}), type: text },
    )];
    ASSISTANT_PARTS = [(by type "text" => TEXT_PART, "refusal" => { refusal: text, type: text })];

    FUNCTION_CALL = { arguments: text, name: text };
    CALLS = [(by type
        "function" => { id: text, function: FUNCTION_CALL, type: text },
        "custom" => { id: text, custom: { input: text, name: text }, type: text },
    )];

    MESSAGE = (by role
        "developer" | "system" => { content: (text | TEXT_PARTS), role: text, name?: text },
        "user" => { content: (text | USER_PARTS), role: text, name?: text },
        "assistant" => {
            role: text, audio?: ({ id: text } | null), content?: (text | ASSISTANT_PARTS | null),
            function_call?: (FUNCTION_CALL | null), name?: text, refusal?: (text | null), tool_calls?: (CALLS | null),
            @bundle
        },
        "tool" => { content: (text | TEXT_PARTS), role: text, tool_call_id: text },
    );

    FUNCTION = { name: text, description?: text, parameters?: {*: any}, strict?: (bool | null) };
    TOOLS = [(by type
        "function" => { function: FUNCTION, type: text },
        "custom" => { custom: { name: text, description?: text, format?: {*: any} }, type: text },
    )];
    TOOL_CHOICE = (("none" | "auto" | "required") | (by type
        "function" => { function: { name: text }, type: text },
        "custom" => { custom: { name: text }, type: text },
        "allowed_tools" => { allowed_tools: { mode: ("auto" | "required"), tools: [{*: any}] }, type: text },
    ));

    AUDIO = { format: ("wav" | "aac" | "mp3" | "flac" | "opus" | "pcm16"), voice: text };
    PREDICTION = { content: (text | TEXT_PARTS), type: "content" };
    RESPONSE_FORMAT = (by type
        "text" | "json_object" => { type: text },
        "json_schema" => { json_schema: JSON_SCHEMA, type: text },
    );
    JSON_SCHEMA = { name: text, description?: text, schema?: {*: any}, strict?: (bool | null) };
    SEARCH = { search_context_size?: ("low" | "medium" | "high"), user_location?: (LOCATION | null) };
    LOCATION = {
        approximate: { city?: text, country?: text, region?: text, timezone?: text }, type: "approximate"
    };
    pub(super) EFFORT = ("minimal" | "low" | "medium" | "high");
    pub(super) SERVICE_TIER = ("auto" | "default" | "flex" | "scale" | "priority");

    CHAT_REQUEST = {
        messages: [(pick message)], model?: (text | null), audio?: (AUDIO | null), frequency_penalty?: (float | null),
        logit_bias?: ({*: int} | null), logprobs?: (bool | null), max_completion_tokens?: (int | null),
        max_tokens?: (int | null), metadata?: ({*: text} | null), modalities?: ([("text" | "audio")] | null),
        n?: (int | null), parallel_tool_calls?: bool, prediction?: (PREDICTION | null),
        presence_penalty?: (float | null), reasoning_effort?: (EFFORT | null),
        response_format?: (RESPONSE_FORMAT | null), seed?: (int | null), service_tier?: (SERVICE_TIER | null),
        stop?: (text | [text] | null), store?: (bool | null),
        stream_options?: ({ include_obfuscation?: bool, include_usage?: bool } | null), temperature?: (float | null),
        tool_choice?: (TOOL_CHOICE | null), tools?: (TOOLS | null), top_logprobs?: (int | null),
        top_p?: (float | null), user?: (text | null), web_search_options?: (SEARCH | null), stream?: (false | null)
    };

    /// Gym's own class for a function call drops what it does not know.
    ANSWER_CALLS = [(by type
        "function" => { id: text, function: FUNCTION_CALL, type: text, .. },
        "custom" => { id: text, custom: { input: text, name: text, .. }, type: text, .. },
    )];
    ANSWER_MESSAGE = {
        content: text = null, refusal: text = null, role: "assistant", annotations: [any] = null, audio: any = null,
        function_call: { arguments: text, name: text, .. } = null, tool_calls: ANSWER_CALLS = null, @bundle, ..
    };
    TOKEN = { token: text, bytes: [int] = null, logprob: float, .. };
    LOGPROBS = [{ token: text, bytes: [int] = null, logprob: float, top_logprobs: [TOKEN], .. }];
    COMPLETION_DETAILS = {
        accepted_prediction_tokens: int = null, audio_tokens: int = null, reasoning_tokens: int = null,
        rejected_prediction_tokens: int = null, ..
    };
    USAGE = {
        completion_tokens: int, prompt_tokens: int, total_tokens: int,
        completion_tokens_details: COMPLETION_DETAILS = null,
        prompt_tokens_details: { audio_tokens: int = null, cached_tokens: int = null, .. } = null, ..
    };
    /// OpenAI's reasons; vLLM also has `abort` and `repetition`.
    FINISH_REASON = (strict ("stop" | "length" | "tool_calls" | "content_filter" | "function_call") else text);
    CHOICE = {
        finish_reason: FINISH_REASON, index: int,
        logprobs: { content: LOGPROBS = null, refusal: LOGPROBS = null, .. } = null, message: (pick answer_message), ..
    };
    CHAT_COMPLETION = {
        id: text, choices: [CHOICE], created: int, model: text, object: "chat.completion",
        service_tier: SERVICE_TIER = null, system_fingerprint: text = null, usage: USAGE = null, ..
    };
}

fn message(message: &Value) -> Result<Shape, (&'static str, String)> {
    bundle::refuse_part(message).map(|()| MESSAGE)
}

fn answer_message(message: &Value) -> Result<Shape, (&'static str, String)> {
    bundle::refuse_part(message).map(|()| ANSWER_MESSAGE)
}

/// A chat request as Gym sees it: only what the client sent and the tables list.
///
/// # Errors
/// Everything that does not fit.
pub(in crate::dialects::gym) fn chat_request(
    mut body: Map<String, Value>,
    mode: Mode,
) -> Result<Map<String, Value>, Vec<ValidationError>> {
    for message in body.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten() {
        drop_null_experts(message, mode.keep_unknown);
    }
    validate_members(&CHAT_REQUEST, body, mode)
}

/// Gym takes `routed_experts: null`, which its own answers hold, for no bundle at all.
fn drop_null_experts(message: &mut Value, keep_bundle: bool) {
    let Some(members) = message.as_object_mut().filter(|members| bundle::is_whole(members)) else { return };
    if members.get(ROUTED_EXPERTS) == Some(&Value::Null) {
        members.shift_remove(ROUTED_EXPERTS);
        if !keep_bundle {
            BUNDLE.iter().for_each(|member| drop(members.shift_remove(*member)));
        }
    }
}

/// A chat answer as Gym hands it on: absent members of the schema are `null`, what the schema does not list stays.
///
/// # Errors
/// What of the engine's answer is not a chat completion.
pub(in crate::dialects::gym) fn chat_completion(mut answer: Value, mode: Mode) -> Result<Value, Vec<ValidationError>> {
    let choices = answer.get_mut("choices").and_then(Value::as_array_mut);
    choices.into_iter().flatten().filter_map(|choice| choice.get_mut("message")).for_each(bundle::complete);
    validate(&CHAT_COMPLETION, answer, mode)
}

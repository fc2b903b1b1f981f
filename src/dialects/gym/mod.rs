//! NeMo Gym's model server as a state machine without I/O: it asks for calls to the engine and is given the answers.
//!
//! [`start`] reads a request and returns the first [`Step`]: a call to the engine, or the answer. [`Turn::engine_said`] goes
//! on from the engine's answer. Nothing here touches a socket, a clock or a file: the driver makes the calls, repeats them
//! by the rules in `retry`, keeps the replica of the [`Sessions`]' session, and reads files below `audio_root`.
//!
//! The path of a request, by files: `schema` checks it → `streaming_request`, `messages`, `responses_to_chat`, `tools` make
//! a chat request of it → `chat_request` merges the settings into it (`audio`, `reasoning`), or `completions` makes a prompt
//! of it → the engine → `reasoning`, `token_ids` → `chat_to_responses`, `schema`, `messages` → `replay` for streams.
//! `responses_native` leaves chat out.
//!
//! The rules are those of NVIDIA-NeMo/Gym at commit 07d6b0d. `tests/gym` replays recordings of it.
//!
//! # Deliberate differences
//!
//! In both modes (no successful answer of Gym's shows them):
//!
//! | Gym | here | why |
//! |---|---|---|
//! | 500 and a text for an error in the request | 400, or 422 with FastAPI's `detail` | the client learns that it is at fault |
//! | 500 for every error of the engine | the engine's status, in OpenAI's (Messages: Anthropic's) shape | 400 is not 500 |
//! | 500 for an answer of the engine that cannot be used; for a failed `/tokenize` | 502 and what is wrong with it | |
//! | 500 for settings that `is_responses_native` rules out | 501 and which to change | |
//! | 500 for part of a token bundle in the history | 422 | its error handler crashes on its own 422 |
//! | 500 for `tool_choice: {type: allowed_tools}` on chat | it is sent | Gym cannot write its own list |
//! | `audio_path` reads any file of the server | only below `audio_root`; other folders, also by `..` or a link, are 400 | the client chooses the path |
//! | retries without end | for `retry_for` | |
//! | the prompt is rendered by a tokenizer of the server's own | by the engine's `/tokenize`, sent as token ids | the same template, no second BOS |
//! | errors of `/v1/messages` are texts | Anthropic's error objects | |
//!
//! With `strict: false` (the default) also, where Gym's successful answers or calls would show it:
//!
//! | Gym, and `strict: true` | `strict: false` |
//! |---|---|
//! | chat members that it does not know are dropped (`top_k`, `chat_template_kwargs`, keys within messages) | they reach the engine |
//! | of several `<think>` blocks in a history text the first is kept, of several parts the last | all, a line break between |
//! | a refusal part in the history is 500 | it stays as it is |
//! | a history bundle with `routed_experts: null` (its own answers hold it) is dropped | the bundle is kept |
//! | named and allowed `tool_choice` on `/v1/responses` and `/v1/messages` are 500 | they work; of allowed tools only those are sent |
//! | a `custom` tool becomes a function without parameters, a call of one is 500 | custom stays custom |
//! | tools with `parameters: null` or `description: null` are 500 (on `/v1/messages`: without a description) | the member is left out |
//! | `text.format` is dropped | it becomes `response_format` |
//! | `top_logprobs` goes without `logprobs`, which engines refuse | `logprobs: true` goes with it |
//! | finish reasons `abort` and `repetition` are 500 | they pass; a response is `completed` |
//! | any 400 that mentions `max_tokens` or `context length` is an empty completion | only an error for a prompt that is too long, also a 413 |
//! | `/tokenize` does not get `reasoning_effort`, `chat_template`, `add_generation_prompt`, `continue_final_message` | it does |
//! | `developer` stays `developer` on the way to `/v1/completions` and to a native engine | it becomes `system` there as well |
//! | a last assistant message without content is 500 when `sequential_reasoning_allowed` is false | it counts as empty |
//! | unknown members of tools and formats of a streaming `/v1/responses` are 422 | they are dropped |
//! | unknown output items of a native engine are 500 | they pass |
//! | `text.format.schema` is called `schema_` in streams | `schema` |
//! | `model` of an answer is the engine's, of messages the client's | the alias', unless it says `response_model: engine` |
//!
//! Recorded cases whose status class differs, all of them Gym's 500 (`tests/gym` checks that they do, and that the engine
//! was called as by Gym): the client's fault: `hist_list_refusal_part`, `tok_chat_history_partial_bundle`, `tok_n2`,
//! `resp_tool_mcp`, `resp_fco_image`, `resp_input_audio`, `resp_web_search_call_item`, `resp_custom_tool_call_item`,
//! `audio_two_keys`, `audio_paths_str`, `comp_raw_multi_turn`, `comp_raw_tools`, `comp_developer`,
//! `msgs_tool_choice_named`, `msgs_redacted_thinking`; the engine's status kept: `err_401`, `err_404`, `err_422`,
//! `err_chat_stream`, `resp_top_logprobs_engine_400`.

mod audio;
mod chat_request;
mod chat_to_responses;
mod completions;
mod context_length;
mod errors;
mod messages;
mod python_json;
mod reasoning;
mod replay;
mod responses_native;
mod responses_to_chat;
mod retry;
mod routes;
mod schema;
mod session;
mod step;
mod streaming_request;
mod token_ids;
mod tools;
mod turn;

pub use audio::ReadFile;
pub use retry::{PAUSE, SERVER_ERROR_TRIES, is_overload};
pub use routes::{ALIVE, GymRoute, OPENAPI, route, without_rollout};
pub use session::{Sessions, new_id, new_session, replica};
pub use step::{Answer, Ask, EVENTS, Ids, Step};
pub use turn::{Turn, start};

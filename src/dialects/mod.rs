//! Pure translation between APIs: Responses and Messages over an engine's Chat Completions. Bytes in, bytes out.
//!
//! [`to_chat`] turns a client's request into a chat request, and returns the [`Translator`] that turns the engine's answer
//! back: its JSON, its events in any split, its errors, or its death. [`to_tokenize`] and [`from_tokenize`] do the same for
//! counting the tokens of a Messages prompt. [`gym`] has the rules of NeMo Gym's model servers.
//!
//! An answer, whole or streamed, is read as one sequence of deltas and written by one writer per client API, so that a
//! stream's last object and the JSON answer cannot differ.
//!
//! # What cannot be carried over
//!
//! | request | answer |
//! |---|---|
//! | `previous_response_id`, `conversation`, `background`, `prompt`, item references | 400: nothing is stored here |
//! | Anthropic's `bash`, `text_editor` and `memory`, which clients run | functions |
//! | hosted tools, MCP servers | dropped, and named in the answer's head; 400 where `tool_choice` demands one |
//! | calls of hosted tools in the history | dropped: the conversation goes on without them |
//! | files, documents other than text | 400: an engine reads text and images |
//! | `thinking.budget_tokens` | not sent: vLLM refuses budgets unless it was started with a reasoning configuration; clients may send vLLM's `thinking_token_budget` |
//! | `text.verbosity`, `service_tier`, `max_tool_calls`, prompt-cache hints | echoed, not sent: an engine has no such thing |
//! | unknown members (`top_k`, `min_p`, `seed`, `chat_template_kwargs`, …) | passed to the engine as they are |

mod chat;
mod client_api;
mod conversation;
mod delta;
mod engine_error;
pub mod gym;
mod json_object;
mod members;
mod messages;
#[cfg(test)]
mod recorded;
mod responses;
mod sse;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tool_calls;
mod tool_names;
mod translator;
mod writer;

pub use client_api::ClientApi;
pub use engine_error::engine_error;
pub use messages::{from_tokenize, to_tokenize};
pub use translator::{Translator, to_chat};

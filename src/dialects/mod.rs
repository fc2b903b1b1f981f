//! Pure translation between APIs: Responses and Messages spoken over an engine's Chat Completions. Bytes in, bytes out.
//!
//! [`to_chat`] turns a request into the chat request the engine understands, and hands out the [`Translator`] that turns
//! the engine's answer back: its JSON, its events in any split, its errors, or its death. [`to_tokenize`] and [`counted`] do
//! the same for the tokens of a Messages prompt.
//!
//! Both answers, whole and streamed, are read as one sequence of pieces and told by one writer per dialect, so that a
//! stream's last object and the JSON answer cannot differ.
//!
//! # What cannot be carried over
//!
//! | asked | answer |
//! |---|---|
//! | `previous_response_id`, `conversation`, `background`, `prompt`, item references | 400: nothing is stored here |
//! | custom and hosted tools, their items, MCP servers | 400 naming the type: the engine runs functions only |
//! | files, documents other than text | 400: an engine reads text and images |
//! | `thinking.budget_tokens` | not sent: vLLM refuses budgets unless it was started with a reasoning configuration; a caller who knows sends vLLM's `thinking_token_budget` |
//! | `text.verbosity`, `service_tier`, `max_tool_calls`, prompt-cache hints | echoed, not sent: an engine has no such thing |
//! | members we do not know (`top_k`, `min_p`, `seed`, `chat_template_kwargs`, …) | passed to the engine as they are |

mod ask;
mod blame;
mod braces;
mod calls;
mod frames;
pub mod gym;
mod history;
mod messages;
mod pieces;
#[cfg(test)]
mod recorded;
mod responses;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod translator;

pub use messages::{counted, to_tokenize};
pub use translator::{Spoken, Translator, to_chat};

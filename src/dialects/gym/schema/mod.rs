//! The schemas of Gym's requests and answers: tables in a small language, and the validator that reads them.
//!
//! `shape` is the language; `validate` and `coerce` read values by it as pydantic does; `bundle` has the rules for token ids;
//! `chat`, `responses` and `items` are the tables.

mod bundle;
mod chat;
mod coerce;
mod items;
mod responses;
mod shape;
#[cfg(test)]
mod tests;
mod validate;

pub(super) use bundle::{BUNDLE, ROUTED_EXPERTS, is_whole};
pub(super) use chat::{chat_completion, chat_request};
pub(super) use items::is_item;
pub(super) use responses::{is_parameter, is_tool, response, responses_request};
pub(super) use validate::{DropRefused, Mode, ValidationError};

//! The Messages API over Chat Completions: request, message, events.

mod content;
mod count;
mod request;
#[cfg(test)]
mod tests;
mod tools;
mod writer;

pub use count::{from_tokenize, to_tokenize};
pub(super) use request::to_chat;

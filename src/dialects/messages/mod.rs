//! The Messages API over Chat Completions: request, message, events.

mod content;
mod request;
mod writer;

pub(super) use request::to_chat;
pub(super) use writer::Writer;

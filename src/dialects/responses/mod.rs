//! The Responses API over Chat Completions: request, response object, events.

mod calls;
mod content;
mod custom_input;
mod input;
mod item;
mod request;
mod response;
#[cfg(test)]
mod tests;
mod tools;
mod writer;

pub(super) use request::to_chat;

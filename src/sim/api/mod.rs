//! What a simulated engine answers: one file for each API, and what they share.

mod answer;
pub(super) mod audio;
pub(super) mod chat;
mod chunks;
pub(super) mod completions;
mod conversation;
mod example;
pub(super) mod generate;
pub(super) mod messages;
pub(super) mod params;
mod pattern;
pub(super) mod pooling;
pub(super) mod responses;
pub(super) mod stream;
mod structured;
mod task;
pub(super) mod text;
mod tokens;
mod tools;

//! What the commands that are clients of the data port share: where it is, who asks, a request and its answer.

mod address;
mod client;
mod events;
mod refusal;
mod settings;
mod target;

pub(super) use address::Address;
pub(super) use client::{Answer, Client, SendError};
pub(super) use events::Lines;
pub(super) use refusal::Refusal;
pub(super) use settings::Setting;
pub(super) use target::{Destination, Target};

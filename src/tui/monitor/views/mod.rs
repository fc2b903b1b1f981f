//! The views of a monitor.

mod aliases;
mod engine;
mod gpus;
mod logs;
mod operations;
mod overview;
mod request;
mod requests;
mod summary;

pub(super) use aliases::Aliases;
pub(super) use engine::EngineScreen;
pub(super) use gpus::Gpus;
pub(super) use logs::Logs;
pub(super) use operations::Operations;
pub(super) use overview::Overview;
pub(super) use request::OneRequest;
pub(super) use requests::Requests;

//! Requests that go by NeMo Gym's rules: several calls of engines, one answer, in a session that a cookie keeps.

mod driver;
mod files;
mod serve;

pub(super) use serve::{Asked, answer_local, serve};

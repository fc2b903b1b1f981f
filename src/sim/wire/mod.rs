//! Replies and bodies with vLLM's manners.

pub(super) mod errors;
pub(super) mod fields;
pub(super) mod query;
pub(super) mod reply;

//! What a user writes: YAML in, a validated [`Config`] or every fault out.

mod types;

pub use types::*;

//! The JSON Schema of the configuration, and what in a value does not match it.

mod check;
mod json_schema;
mod lookup;
mod replaced;

pub(super) use check::{check, prune};
pub use json_schema::schema;
pub(super) use lookup::{element, member, shapes, types};

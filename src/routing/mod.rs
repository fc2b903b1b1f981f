//! From the name a caller said to a model, and from a model to one of its engines. Pure.

mod pick;
mod rules;
mod snapshot;

pub use pick::{Candidate, Picker, pick};
pub use rules::{endpoints, rules};
pub use snapshot::{Aim, Near, Route, Snapshot};

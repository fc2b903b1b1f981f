//! From the name a caller said to a model, and from a model to one of its engines. Pure.

mod pick;
mod snapshot;

pub use pick::{Candidate, Picker, pick};
pub use snapshot::{Near, Route, Snapshot};

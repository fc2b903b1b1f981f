//! Pure knowledge of the wire: bytes in, bytes out. No sockets, no state, no configuration.

mod change;
mod condition;
mod endpoint;
mod error;
mod fields;
mod form;
mod json;
pub mod models;
mod multipart;
mod patch;
mod peek;
mod prompt;
mod rules;
mod scan;
mod splice;
#[cfg(test)]
mod testing;
mod text;
mod tree;

pub use endpoint::{BodyKind, Dialect, Endpoint};
pub use error::{ApiError, Code};
pub use form::{explain_form, rewrite_form};
pub use json::Fault;
pub use multipart::{BadForm, FormPeek, boundary_of, peek_form};
pub use peek::{BadBody, Peek, peek};
pub use rules::{Block, Condition, Place, Prompt, Request, Rules, Step, Test, Way};
pub use scan::{ResponseScanner, Scanned, Usage};
pub use splice::{Rewritten, explain, rewrite};

//! The OpenAI API on the wire: reads and changes bodies, forms, streams and errors. Bytes in, bytes out: no sockets, no state,
//! no configuration.

mod apply;
mod changes;
mod condition;
mod endpoint;
mod error;
mod field_rule;
mod fields;
mod form;
mod invocations;
mod json;
mod members;
pub mod models;
mod multipart;
mod object;
mod output_length;
mod patch;
pub mod path;
mod peek;
mod plain;
mod plain_runs;
mod prompt;
mod rules;
mod scan;
mod splice;
mod stored_response;
mod stream_output;
mod stream_usage;
#[cfg(test)]
mod testing;
mod text;

pub use changes::Change;
pub use endpoint::{BodyKind, Dialect, Endpoint};
pub use error::{ApiError, Code};
pub use form::rewrite_form;
pub use invocations::{INVOCATIONS, invoked};
pub use json::SyntaxError;
pub use multipart::{BadForm, FormPeek, boundary_of, peek_form};
pub use peek::{BadBody, Peek, peek, peek_seen};
pub use plain_runs::PlainRuns;
pub use rules::{Request, RuleBook, Rules};
pub use scan::{ResponseScanner, Scanned, Usage};
pub use splice::{Rewritten, rewrite};
pub use stored_response::{StoredResponse, is_background, previous_response, response_id};
pub use stream_output::{events_before_output, is_output, output_events};
pub use stream_usage::{last_boundary, without_usage};

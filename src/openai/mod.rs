//! Pure knowledge of the wire: bytes in, bytes out. No sockets, no state, no configuration.

mod endpoint;
mod error;
mod json;
mod patch;
mod peek;
mod rules;
mod splice;
#[cfg(test)]
mod testing;

pub use endpoint::{BodyKind, Dialect, Endpoint};
pub use error::ApiError;
pub use json::Fault;
pub use peek::{BadBody, Peek, peek};
pub use rules::Rules;
pub use splice::rewrite;

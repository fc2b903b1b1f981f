//! Pure knowledge of the wire: bytes in, bytes out. No sockets, no state, no configuration.

mod endpoint;
mod error;

pub use endpoint::{BodyKind, Dialect, Endpoint};
pub use error::ApiError;

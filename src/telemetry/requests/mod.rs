//! Requests that have ended, for operators: the newest of them, and how fast and how well they are answered.
//!
//! `sink` takes records on the data path, one allocation (`kept`) and one push onto a queue without a lock each. `collector`
//! empties that queue several times a second, where it costs no request anything: into the list of the newest requests (`store`),
//! the `rates` of the last minutes (a `series` of intervals for each model and engine), and the event bus. Where an alias has
//! `capture`, `captured` gathers the bodies of its requests on the data path, and the collector keeps them (`bodies`) without what
//! is to be masked (`mask`).

mod bodies;
mod captured;
mod collector;
mod kept;
mod mask;
mod rates;
mod series;
mod sink;
mod store;

pub use captured::Captured;
pub use collector::{Collector, RequestHistory};
pub(in crate::telemetry) use kept::KeptRecord;
pub use sink::RequestSink;

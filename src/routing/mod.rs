//! From a request to a plan: which model it names, what its settings change, where it may go. Pure.
//!
//! `snapshot` is everything that a reload can change, as one immutable value that a request loads once: `routes` (what each
//! name means), `target` (that, ready to serve), `callers` (by a `key_table`), `cors`, limits and times. `prepare` turns a
//! request into one that an engine understands, and into the `plan` of where it may go; `split` is a part of that.

mod callers;
mod cors;
mod key_table;
mod plan;
mod prepare;
mod routes;
mod snapshot;
mod split;
mod target;

pub use callers::CREDENTIALS;
pub use cors::{Cors, CorsAnswer};
pub use plan::{Place, Plan, Protocol, When};
pub use prepare::{
    Chance, OwnedHead, Prepared, PreparedRequest, RequestHead, Resolved, ResponseTranslator, Room, Unprepared, prepare,
    prepare_for, tree_cost,
};
pub use routes::{Destination, Route, Routes};
pub use snapshot::Snapshot;
pub use target::Target;

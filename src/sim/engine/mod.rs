//! What all requests of one simulated engine share, and how one of them runs.

mod models;
mod request_log;
mod responses;
mod run;
mod scheduler;
mod sleep;
mod state;
mod stats;

pub(super) use self::run::{Run, Step, Tempo};
pub(super) use self::scheduler::Wedge;
pub(super) use self::state::Engine;
pub(super) use self::stats::InFlight;
pub use self::stats::Stats;

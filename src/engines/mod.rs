//! Where supervisor and proxy meet: engines, their state, and the leases that count requests.
//!
//! The supervisor writes ([`Engine::set_state`], [`Engine::set_cards`]), the proxy reads and holds [`Lease`]s.

pub(crate) mod ask;
mod engine;
mod house;
mod lease;
mod state;

pub use engine::{Address, Card, Engine, Local};
pub use house::{House, Pool};
pub use lease::Lease;
pub use state::{Failure, Nap, State};

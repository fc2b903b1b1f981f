//! Engines: which there are, what each does, and the leases that count requests on them.
//!
//! The modules that run engines (`supervisor`), that find engines that others run (`discovery`) and that send requests
//! (`proxy`) meet here. The first two write ([`Engine::publish`], [`Pool::set_engines`]), the last one reads and
//! holds [`Lease`]s. `health` checks an engine for its owner; `client` sends requests of the gateway itself.

mod budget;
mod client;
mod engine;
mod exchange;
pub mod health;
mod history;
mod lease;
mod pool;
mod process;
mod prometheus_text;
mod registry;
mod report;
mod status;
#[cfg(test)]
pub(crate) mod testing;

pub use self::budget::RetryBudget;
pub use self::client::{Answer, CallLimits, EngineClient, Reply};
pub use self::engine::{Address, Card, Engine, HeldUp};
pub use self::exchange::{ExchangeError, connect_outcome, outcome};
pub use self::history::History;
pub use self::lease::Lease;
pub use self::pool::{Members, Owner, Pool, Waiting};
pub use self::process::{Local, Process};
pub use self::registry::{DemandReceiver, EngineRegistry, Readiness};
pub use self::report::Report;
pub use self::status::Times;
pub use crate::api::EngineState;

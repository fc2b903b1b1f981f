//! Which engine runs on which GPUs: a pure function of what there is, what is wanted and what runs already.
//!
//! [`place`] tells the story: what runs is put down first and never moves (`ledger`), then engines whose GPUs are listed
//! (`listed`), then those that want so many of any (`choose`), the largest first. Either every engine has a place, or
//! all reasons why not are returned at once (`conflict`). [`place_in_turns`] asks before anything runs whether each model can
//! be loaded, of which some have GPUs in turns.

mod choose;
mod conflict;
mod demand;
mod ledger;
mod listed;
mod place;
mod ranks;
mod table;
#[cfg(test)]
mod tests;
mod turns;
mod types;

pub use self::conflict::Conflict;
pub use self::demand::{demand, demands, memory_share, share};
pub use self::ledger::LARGEST_SHARE;
pub use self::place::place;
pub use self::ranks::{Ranks, tensor_parallel_size};
pub use self::table::table;
pub use self::turns::place_in_turns;
pub use self::types::{Assignment, Demand, Held, Keeps, Place};

//! Metrics under vLLM's names.

mod counters;
mod histogram;
mod page;

pub(super) use self::counters::{Finish, Metrics, Now, Record};
pub(super) use self::page::page;

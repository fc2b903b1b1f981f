//! From what was written and found good to what the rest of the program trusts.

mod alias;
mod gateway;
mod model;
mod settings;

pub(super) use gateway::convert;

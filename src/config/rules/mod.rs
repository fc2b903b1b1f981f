//! What types cannot say: rules, grouped by what they are about.

mod aliases;
mod all;
mod callers;
mod capture;
mod command;
mod engines;
mod entries;
mod flags;
mod gym;
mod load;
mod names;
mod network;
mod numbers;
mod ports;
mod profiles;
mod settings;
mod variants;
mod wildcards;

pub(super) use all::check;
pub use settings::is_own_header;

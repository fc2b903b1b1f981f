//! What a user writes: YAML in, a validated [`Config`] or every fault out.
//!
//! [`load`] tells the story: text → tree (`yaml`) → value with variables expanded (`resolve`, `expand`) → held against the
//! JSON Schema of the raw types (`check`, `schema`, `raw`) → rules that types cannot say (`rules`) → [`Config`] (`build`).

mod address;
mod alias;
mod build;
mod callers;
mod check;
mod command;
mod expand;
mod faces;
mod fault;
mod finding;
mod gym;
mod load;
mod marks;
mod path;
mod plan;
mod profiles;
mod raw;
mod raw_settings;
mod renamed;
mod resolve;
mod rules;
mod schema;
mod settings;
mod suggest;
#[cfg(test)]
mod tests;
mod types;
mod units;
mod yaml;

pub use command::{PLACEHOLDERS, fill, is_template, is_vllm};
pub use fault::{Fault, Faults};
pub use gym::Gym;
pub use load::{load, parse};
pub use plan::plan;
pub use profiles::{Profile, builtin_profiles, flag_name, profiles_yaml};
pub use schema::schema;
pub use types::*;

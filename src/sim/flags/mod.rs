//! The command line of the simulated engine.

mod args;
mod ignored;
mod settings;
mod values;

pub use self::args::Args;
pub(super) use self::settings::Settings;
pub(super) use self::values::parse_duration;

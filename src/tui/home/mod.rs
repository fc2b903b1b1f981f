//! The home screen: what a person can do who runs `enginehouse` alone.
//!
//! `menu`: the first screen. `saved`: saved configurations, to be started. `running`: gateways that run, to be attached to.
//! `settings`: where things are kept; edits and deletes them. `list`: what these three have in common.

mod list;
mod menu;
mod running;
mod saved;
mod settings;

pub use menu::Menu;

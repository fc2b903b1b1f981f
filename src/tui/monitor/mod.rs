//! Monitors of a running gateway: what it does now, and what can be done with it.
//!
//! `screen`: the monitor, a screen with views. `known`: what is known of the gateway, from its events. `link`: threads that ask it; `following`: which streams they follow.
//! `news`: what they tell. `wish`: what views want. `view`: what a view is; `views`: all of them. `actions`, `questions`: what can be
//! done with engines. `log_lines`, `log_pane`: logs. `figures`, `look`, `gpu_lines`: how things look. `once`: one picture as text.

mod actions;
#[cfg(test)]
mod example;
mod figures;
mod following;
mod gpu_lines;
mod known;
mod link;
mod log_lines;
mod log_pane;
mod look;
mod news;
mod once;
mod questions;
mod screen;
mod view;
mod views;
mod wish;

pub use link::Link;
pub use once::once;
pub use screen::Monitor;

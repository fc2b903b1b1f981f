//! `enginehouse import`: configurations of other programs as ours.

mod compose;
mod overrides;
mod resolve;
mod swap;
mod yaml;

//! The wizard: makes a configuration step by step, or changes one that is saved. What it writes is made by `config`.
//!
//! `screen`: the pages and what leads from one to the next. `form`: a page of fields. `gateway`, `source`, `model`, `gpus`,
//! `models`, `review`: the pages. `edited`: from a saved configuration to answers, and back to the same text with changes.
//! `known`: what is known of this machine.

mod edited;
mod form;
mod gateway;
mod gpus;
mod known;
mod model;
mod models;
mod review;
mod screen;
mod source;

pub use screen::Wizard;

//! The wizard: makes a configuration step by step, or changes one that is saved. What it writes is made by `config`.
//!
//! `screen`: the pages and what leads from one to the next. `form`: a page of fields. `gateway`, `source`, `model`, `gpus`,
//! `models`, `review`: the pages. `edited`: from a saved configuration to answers, and back to the same text with changes.
//! `shortcut`: the same for models that come from shortcuts. `differences`: which changes answers are. `known`: what is known of
//! this machine. `fit`: what fits on which GPU.

mod differences;
mod edited;
mod fit;
mod form;
mod gateway;
mod gpus;
mod known;
mod model;
mod models;
mod review;
mod screen;
mod shortcut;
mod source;

pub use screen::Wizard;

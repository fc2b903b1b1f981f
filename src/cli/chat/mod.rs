//! `enginehouse chat`: a conversation with a model, on a terminal or in a pipe.

mod answer;
mod args;
mod command;
mod conversation;
mod input;
mod interactive;
mod run;
mod screen;
mod turn;

pub(super) use args::Args;
pub(super) use run::run;

//! `enginehouse bench`: puts a load on an alias, and reports how fast it is answered.

mod args;
mod collect;
mod compare;
mod figures;
mod files;
mod load;
mod measure;
mod plan;
mod plot;
mod progress;
mod prompts;
mod report;
mod request;
mod run;
mod samples;
mod table;
mod timeline;

pub(super) use args::Args;
pub(super) use run::run;

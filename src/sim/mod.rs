//! To be written.
#![allow(missing_docs)]
#[derive(Debug, clap::Args)]
pub struct Args {}
pub fn main(_: Args) -> std::process::ExitCode { std::process::ExitCode::FAILURE }

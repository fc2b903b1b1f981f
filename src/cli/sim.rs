//! `enginehouse sim`: a simulated engine in this process.

use std::io::Write;
use std::process::ExitCode;

use crate::sim::{self, Args};

pub(super) fn run(args: Args) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(sim::run(args));
            // Requests that a fault keeps open must not keep the process.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "enginehouse sim: cannot start worker threads: {error}");
            ExitCode::FAILURE
        }
    }
}

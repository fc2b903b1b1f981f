//! The `enginehouse` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    enginehouse::cli::main()
}

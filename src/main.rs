//! The `enginehouse` binary: everything is in the library.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Faster than glibc's, and gives the memory of bodies back (`.cargo/config.toml` says when).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    enginehouse::cli::main()
}

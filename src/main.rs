//! The `enginehouse` binary: everything is in the library.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Faster than glibc's, and gives memory back by a thread of its own (`.cargo/config.toml` says when).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    enginehouse::cli::main()
}

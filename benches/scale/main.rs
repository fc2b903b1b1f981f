//! What the gateway takes as its load grows: memory of connections and streams, delay of events, CPU time of a request whatever
//! the configuration, and its start.
//!
//! `cargo bench --bench scale [-- --binary BINARY] [--against BINARY] [--only WORDS] [--rounds N] [--span SECONDS]
//! [--streams N] [--events PER_SECOND] [--json FILE]`; needs `taskset` (util-linux) and two cores.
//!
//! `--binary` measures that build instead of this one, `--against` another one beside it with the same configuration, usually
//! the one from before a change. Whatever is measured has core 0 to itself; the engine and the load share core 1. The engine is
//! this executable in another mode: it answers at once, so that the gateway is what is busy, and puts the time of sending into
//! every event. Figures are medians over the rounds with the smallest and the largest in brackets. The gateway counts and logs
//! every request. What other processes took of the machine meanwhile is said after each section: figures
//! beside others' work are too large.

mod bench;
mod busy;
#[path = "../gateway/client.rs"]
mod client;
mod configuration;
mod cost;
mod delay;
mod engine;
mod gateway;
mod latency;
mod memory;
mod multiplexed;
mod options;
#[path = "../gateway/process.rs"]
mod process;
mod report;
#[path = "../gateway/rounds.rs"]
mod rounds;
mod start;
mod streams;
mod wires;

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use bench::Bench;
use options::{Options, PINNED};

/// The core of the engine and the load.
const CORE: &str = "1";

type Section = (&'static str, fn(&mut Bench));

/// What is measured, in this order; `--only` picks those whose names contain its words.
const SECTIONS: [Section; 9] = [
    ("start", start::run),
    ("connections", memory::connections),
    ("bodies", memory::bodies),
    ("streams", streams::run),
    ("latency", latency::run),
    ("sizes", cost::sizes),
    ("http2", cost::http2),
    ("threads", cost::threads),
    ("configuration", configuration::run),
];

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    // `cargo test --benches` runs this too, with an argument that says so.
    if args.iter().any(|arg| arg == "--test") {
        return ExitCode::SUCCESS;
    }
    if args.first().is_some_and(|mode| mode == engine::MODE) {
        engine::serve();
    }
    if args.iter().any(|arg| arg == PINNED) {
        raise_open_files();
        let mut bench = Bench::new(Options::read());
        for (name, section) in SECTIONS {
            if name.contains(&bench.options.only) {
                bench.run(name, section);
            }
        }
        bench.report.write(bench.options.json.as_ref());
        return ExitCode::SUCCESS;
    }
    let own = std::env::current_exe().expect("this executable");
    let pinned = Command::new("taskset").args(["-c", CORE]).arg(own).arg(PINNED).args(&args).status();
    if pinned.expect("taskset").success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// For thousands of sockets here, in the engine and in gateways, which inherit it.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a limit up to the hard one");
}

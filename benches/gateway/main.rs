//! CPU time that the gateway takes for a request, beside other proxies in one run on one machine.
//!
//! `cargo bench --bench gateway [-- --against BINARY] [--rounds N] [--span SECONDS] [--only WORDS] [--json FILE]`; needs
//! `taskset` (util-linux) and two cores, and uses Debian's `nginx` and `haproxy`, and `envoy`, `vllm-router` and
//! `sglang-router`, where they are on the `PATH`.
//!
//! `--against` adds another build of Enginehouse with the same configuration, usually the one from before a change. Below
//! them stand Pingora without any logic of ours, built with this very profile, nginx, HAProxy and Envoy, which pass everything
//! on unread, and other routers for LLM engines. The gateway counts and logs every request, the others log nothing.
//! Whatever is measured has core 0 to itself; the simulated engine and the client share core 1. All sides take turns in
//! every round, each time beginning with another one, so that a busy moment of the machine hits all of them. Figures are
//! medians over the rounds with the smallest and the largest in brackets; ratios are made within each round.

mod client;
mod passthrough;
mod process;
mod rounds;
mod routers;
mod rows;
mod sides;

use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::time::Duration;

use client::measure;
use process::{Process, reachable};
use rounds::{spread, take_turns};
use routers::{envoy, sglang_router, vllm_router};
use rows::{Row, rows};
use serde_json::{Map, Value, json};
use sides::{Side, gateway, haproxy, nginx, pingora};

/// The gateway's, so that bare Pingora differs from it by our logic alone.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The mode in which this executable does the work, once it has been put on its core.
const PINNED: &str = "--pinned";

/// The core of the engine and the client.
const CORE: &str = "1";

/// Before each row, so that connections are open and memory is there; half of it before each turn.
const WARM_UP: Duration = Duration::from_millis(200);

/// What the command line says. Many short rounds rather than few long ones: what disturbs the machine for a moment then
/// spoils a few ratios, not the median.
struct Options {
    against: Option<OsString>,
    rounds: usize,
    span: Duration,
    only: String,
    json: Option<OsString>,
}

impl Options {
    fn read() -> Self {
        let span = Duration::from_millis(400);
        let mut options = Self { against: None, rounds: 15, span, only: String::new(), json: None };
        let mut args = std::env::args_os().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().unwrap_or_else(|| panic!("{} takes a value", arg.display()));
            let mut number = || value().to_str().and_then(|text| text.parse::<f64>().ok()).expect("a number");
            match arg.to_str() {
                Some("--against") => options.against = Some(value()),
                // Fewer have no median worth the name.
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
                Some("--rounds") => options.rounds = (number() as usize).max(5),
                Some("--span") => options.span = Duration::from_secs_f64(number()),
                Some("--only") => options.only = value().to_string_lossy().into_owned(),
                Some("--json") => options.json = Some(value()),
                // `cargo bench` adds the first.
                Some("--bench" | PINNED) => {}
                _ => panic!(
                    "{}: known are --against BINARY, --rounds N, --span SECONDS, --only WORDS, --json FILE",
                    arg.display()
                ),
            }
        }
        options
    }
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let is = |mode: &str| args.iter().any(|arg| arg == mode);
    // `cargo test --benches` runs this too, with an argument that says so.
    if is("--test") {
        return ExitCode::SUCCESS;
    }
    if let [mode, address, engine] = &args[..]
        && mode == passthrough::MODE
    {
        passthrough::serve(address.to_str().expect("UTF-8"), engine.to_str().expect("UTF-8"));
    }
    if is(PINNED) {
        run(&Options::read());
        return ExitCode::SUCCESS;
    }
    let own = std::env::current_exe().expect("this executable");
    let pinned = Command::new("taskset").args(["-c", CORE]).arg(own).arg(PINNED).args(&args).status();
    if pinned.expect("taskset").success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn run(options: &Options) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let engine_args = [
        &["sim", "m", "--port", "0", "--ttft", "0ms", "--gap", "0ms", "--max-model-len", "4000000"][..],
        // No connection is closed while another side has its turn.
        &["--keep-alive", "1h"],
    ]
    .concat();
    let mut engine = Process::start(CORE, env!("CARGO_BIN_EXE_enginehouse"), &engine_args);
    let engine_address = engine.address("server on http://");
    reachable(engine_address);
    let build =
        |name, binary: &OsString, place: &str| gateway(name, binary, &folder.path().join(place), engine_address);
    let mut sides = vec![build("this build", &env!("CARGO_BIN_EXE_enginehouse").into(), "this")];
    sides.extend(options.against.as_ref().map(|binary| build("other build", binary, "other")));
    sides.push(pingora(engine_address));
    for (name, side) in [
        ("nginx", nginx(folder.path(), engine_address)),
        ("haproxy", haproxy(folder.path(), engine_address)),
        ("envoy", envoy(folder.path(), engine_address)),
        ("vllm-router", vllm_router(engine_address)),
        ("sglang-router", sglang_router(engine_address)),
    ] {
        match side {
            Some(side) => sides.push(side),
            None => println!("{name} is not installed"),
        }
    }
    println!("{} rounds of {:?}; this build / each side: ratio", options.rounds, options.span);
    println!("{:<48} {:>36} {:>12} {:>24}", "", "us CPU per request", "req/core-s", "ratio");
    let mut figures = Vec::new();
    for row in rows().iter().filter(|row| row.name.contains(&options.only)) {
        println!("{}", row.name);
        let (sides, others) = able(&sides, row);
        let costs = rounds(&sides, row, options);
        print(&sides, &costs);
        for (name, why) in others {
            println!("  {name:<46} left out: {why}");
        }
        let of_sides = sides.iter().zip(&costs).map(|(side, costs)| (side.name.to_owned(), json!(costs)));
        figures.push(json!({ "row": row.name, "us_per_request": of_sides.collect::<Map<_, _>>() }));
    }
    if let Some(file) = &options.json {
        std::fs::write(file, Value::from(figures).to_string()).expect("written");
    }
}

/// The sides that do what the row asks for, and the names of those that do not, each with the reason.
fn able<'a>(sides: &'a [Side], row: &Row) -> (Vec<&'a Side>, Vec<(&'static str, String)>) {
    let (mut able, mut others) = (Vec::new(), Vec::new());
    for (at, side) in sides.iter().enumerate() {
        match row.objection(side) {
            None => able.push(side),
            // Everything is set against it.
            Some(why) if at == 0 => panic!("{}, {}: {why}", side.name, row.name),
            Some(why) => others.push((side.name, why)),
        }
    }
    (able, others)
}

/// Costs of each side in each round.
fn rounds(sides: &[&Side], row: &Row, options: &Options) -> Vec<Vec<f64>> {
    let requests: Vec<_> = sides.iter().map(|side| [row.request_to(side)]).collect();
    let turn = |at: usize, span| measure(&sides[at].process, sides[at].address, &requests[at], span);
    (0..sides.len()).for_each(|at| {
        turn(at, WARM_UP);
    });
    take_turns(sides.len(), options.rounds, |at| {
        turn(at, WARM_UP / 2);
        turn(at, options.span)
    })
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn print(sides: &[&Side], costs: &[Vec<f64>]) {
    for (at, (side, own)) in sides.iter().zip(costs).enumerate() {
        let [least, cost, most] = spread(own.clone());
        let ratio = if at == 0 {
            String::new()
        } else {
            let [low, ratio, high] = spread(costs[0].iter().zip(own).map(|(first, own)| first / own).collect());
            format!("{ratio:.3} ({low:.3} to {high:.3})")
        };
        let cost_text = format!("{cost:.1} ({least:.1} to {most:.1})");
        println!("  {:<46} {cost_text:>36} {:>12.0} {ratio:>24}", side.name, 1e6 / cost);
    }
}

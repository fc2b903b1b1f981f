//! Many open streams: their memory, the delay of their events, and the CPU time of an event.

use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::gateway::Setup;
use crate::memory::warm;
use crate::process::cpu_of;
use crate::wires::{Plan, Wires};

/// Before anything is recorded, so that buffers are as large as they get.
const WARM_UP: Duration = Duration::from_secs(2);

/// How long events are recorded.
const SPAN: Duration = Duration::from_secs(5);

/// An event is in time when it takes no longer than this, in microseconds.
const IN_TIME: u64 = 20_000;

/// Streams over HTTP/1.1 and HTTP/2 through each build, and directly to the engine.
pub(crate) fn run(bench: &mut Bench) {
    let (streams, events) = (bench.options.streams, bench.options.events);
    let plan = Plan { address: bench.engine, streams, gap: Duration::from_secs_f64(1.0 / events), http2: false };
    bench.report.heading(&format!("  {streams} streams, {events} events a second in each"));
    let direct = Wires::open(plan);
    note_refused("no gateway", &direct);
    delays(bench, "no gateway", "HTTP/1.1", &direct);
    drop(direct);
    for build in bench.builds() {
        for (protocol, http2) in [("HTTP/1.1", false), ("HTTP/2", true)] {
            let gateway = build.start(&Setup::plain(bench.engine));
            let (idle, files) = (warm(&gateway), gateway.files());
            let since = Instant::now();
            let wires = Wires::open(Plan { address: gateway.address, http2, ..plan });
            let name = |what: &str| format!("{protocol}: {what}");
            bench.report.add(build.name, &name("open streams"), "", &[count(wires.open)]);
            bench.report.add(build.name, &name("until all were open"), "s", &[since.elapsed().as_secs_f64()]);
            note_refused(build.name, &wires);
            if wires.open == 0 {
                continue;
            }
            wires.watch(WARM_UP);
            // Of this process with its children, which are the engine and the gateway.
            let (before, all_before, since) = (gateway.process.cpu(), cpu_of(std::process::id()), Instant::now());
            let events = delays(bench, build.name, protocol, &wires);
            let (used, took) = (gateway.process.cpu().saturating_sub(before).as_secs_f64(), since.elapsed());
            let load = cpu_of(std::process::id()).saturating_sub(all_before).as_secs_f64() - used;
            let memory = (gateway.resident() - idle) / count(wires.open);
            let files = count(gateway.files().saturating_sub(files)) / count(wires.open);
            let report = &mut bench.report;
            report.add(build.name, &name("CPU of an event"), "us", &[used * 1e6 / count(events)]);
            report.add(build.name, &name("the gateway's core is busy"), "%", &[used * 100.0 / took.as_secs_f64()]);
            report.add(
                build.name,
                &name("the core of engine and load is busy"),
                "%",
                &[load * 100.0 / took.as_secs_f64()],
            );
            report.add_bounded(build.name, &name("memory of an open stream"), "KiB", &[memory], 40.0);
            report.add(build.name, &name("open files for a stream"), "", &[files]);
        }
    }
}

/// Reports the delays; how many events there were.
fn delays(bench: &mut Bench, build: &str, protocol: &str, wires: &Wires) -> usize {
    let mut delays = wires.record(SPAN);
    delays.sort_unstable();
    let in_time = delays.partition_point(|delay| *delay <= IN_TIME);
    let mut add = |what: &str, unit, value| bench.report.add(build, &format!("{protocol}: {what}"), unit, &[value]);
    add("events a second", "", count(delays.len()) / SPAN.as_secs_f64());
    add("events within 20 ms of their sending", "%", count(in_time) * 100.0 / count(delays.len()));
    for (what, of_thousand) in [("delay, median", 500), ("delay, 99 of 100", 990), ("delay, 999 of 1000", 999)] {
        let at = delays.get(delays.len() * of_thousand / 1000).copied().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "seconds at most")]
        add(what, "ms", at as f64 / 1e3);
    }
    delays.len()
}

#[expect(clippy::print_stdout, reason = "a benchmark says what failed")]
fn note_refused(build: &str, wires: &Wires) {
    if let Some(why) = wires.refused.first() {
        println!("  {build}: {} not opened, the first because: {}", wires.refused.len(), why.trim());
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

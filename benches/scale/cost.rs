//! CPU time of a request: by its size, over HTTP/2, and with two threads.

use std::time::Duration;

use crate::bench::Bench;
use crate::client::{measure, request};
use crate::gateway::{Gateway, Setup};
use crate::multiplexed;
use crate::rounds::take_turns;

/// Before each turn.
pub(crate) const WARM_UP: Duration = Duration::from_millis(100);

/// What one core carries of requests of three sizes.
pub(crate) fn sizes(bench: &mut Bench) {
    let requests = [1, 16, 256].map(|kib| (kib, request("a0", kib << 10, false, "")));
    for build in bench.builds() {
        let gateway = build.start(&Setup::plain(bench.engine));
        let costs = take_turns(requests.len(), bench.options.rounds, |at| {
            plain(&gateway, &requests[at].1, WARM_UP);
            plain(&gateway, &requests[at].1, bench.options.span)
        });
        for ((kib, _), costs) in requests.iter().zip(&costs) {
            bench.report.add(build.name, &format!("chat {kib} KiB: CPU of a request"), "us", costs);
            let of_core: Vec<f64> = costs.iter().map(|cost| 1e6 / cost).collect();
            bench.report.add(build.name, &format!("chat {kib} KiB: requests for a second of CPU"), "", &of_core);
        }
    }
}

/// 1 KiB over HTTP/2, few and more streams on four connections, beside HTTP/1.1.
pub(crate) fn http2(bench: &mut Bench) {
    let chat = request("a0", 1 << 10, false, "");
    let shapes = [(4, 4), (4, 16)];
    for build in bench.builds() {
        let gateway = build.start(&Setup::plain(bench.engine));
        let side = |at: usize, span| match at {
            0 => plain(&gateway, &chat, span),
            _ => multiplexed::measure(&gateway.process, gateway.address, shapes[at - 1], span),
        };
        let costs = take_turns(1 + shapes.len(), bench.options.rounds, |at| {
            side(at, WARM_UP);
            side(at, bench.options.span)
        });
        bench.report.add(build.name, "HTTP/1.1, 16 connections: CPU of a request", "us", &costs[0]);
        for (shape, own) in shapes.iter().zip(&costs[1..]) {
            let what = format!("HTTP/2, {} connections with {} streams each", shape.0, shape.1);
            bench.report.add(build.name, &format!("{what}: CPU of a request"), "us", own);
            bench.report.add(build.name, &format!("{what} / HTTP/1.1"), "", &ratios(own, &costs[0]));
        }
    }
}

/// Requests for a second of the gateway's CPU time with two threads, over the same with one. Both may use both cores, and the
/// load takes its share of them: how many requests two cores of their own answer in a second is not measured.
pub(crate) fn threads(bench: &mut Bench) {
    let chat = request("a0", 1 << 10, false, "");
    for build in bench.builds() {
        let gateways =
            [1, 2].map(|threads| build.start(&Setup { cores: "0,1", threads, ..Setup::plain(bench.engine) }));
        let costs = take_turns(gateways.len(), bench.options.rounds, |at| {
            plain(&gateways[at], &chat, WARM_UP);
            plain(&gateways[at], &chat, bench.options.span)
        });
        bench.report.add(build.name, "1 thread: CPU of a request", "us", &costs[0]);
        bench.report.add(build.name, "2 threads: CPU of a request", "us", &costs[1]);
        let gain = ratios(&costs[0], &costs[1]);
        bench.report.add(build.name, "requests for a second of CPU, 2 threads / 1 thread", "", &gain);
    }
}

/// CPU of a request over HTTP/1.1.
fn plain(gateway: &Gateway, request: &[u8], span: Duration) -> f64 {
    measure(&gateway.process, gateway.address, &[request], span)
}

/// Of each round.
pub(crate) fn ratios(above: &[f64], below: &[f64]) -> Vec<f64> {
    above.iter().zip(below).map(|(above, below)| above / below).collect()
}

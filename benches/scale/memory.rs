//! Memory of idle connections, and what large bodies leave behind.

use std::net::TcpStream;
use std::time::Duration;

use crate::bench::Bench;
use crate::client::{exchange, measure, request};
use crate::gateway::{Gateway, Setup};

/// Idle connections.
const CONNECTIONS: u32 = 2_000;

/// Large bodies: so many at a time, so many one after the other, and their size.
const BODIES: (usize, usize, usize) = (4, 50, 8 << 20);

/// An idle connection after one request: they come one after the other, so that the gateway needs one connection to the engine.
pub(crate) fn connections(bench: &mut Bench) {
    for build in bench.builds() {
        let gateway = build.start(&Setup::plain(bench.engine));
        let idle = warm(&gateway);
        let chat = request("a0", 1 << 10, false, "");
        let kept: Vec<TcpStream> = (0..CONNECTIONS).map(|_| send(&gateway, &chat)).collect();
        gateway.settle();
        let each = (gateway.resident() - idle) / f64::from(CONNECTIONS);
        drop(kept);
        bench.report.add(build.name, "resident before", "MiB", &[idle / 1024.0]);
        bench.report.add_bounded(build.name, "an idle connection after one request", "KiB", &[each], 24.0);
    }
}

/// What is resident after many large bodies.
pub(crate) fn bodies(bench: &mut Bench) {
    let (at_once, each, size) = BODIES;
    for build in bench.builds() {
        let gateway = build.start(&Setup::plain(bench.engine));
        let idle = warm(&gateway);
        let large = request("a0", size, false, "");
        std::thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(|| {
                    let (mut stream, mut buffer) = (send(&gateway, &large), Vec::new());
                    for _ in 1..each {
                        assert_eq!(exchange(&mut stream, &large, &mut buffer), 200);
                    }
                });
            }
        });
        let right_after = gateway.resident();
        gateway.settle();
        let ratio = gateway.resident() / idle;
        bench.report.add(build.name, "resident before", "MiB", &[idle / 1024.0]);
        bench.report.add(build.name, "most resident, 4 bodies of 8 MiB at a time", "MiB", &[gateway.peak() / 1024.0]);
        bench.report.add(build.name, "resident right after 200 of them", "MiB", &[right_after / 1024.0]);
        bench.report.add_bounded(build.name, "resident 3 s later / before", "", &[ratio], 1.2);
    }
}

/// Lets it allocate what every gateway allocates once; the KiB that are resident then.
pub(crate) fn warm(gateway: &Gateway) -> f64 {
    let chat = request("a0", 1 << 10, false, "");
    measure(&gateway.process, gateway.address, &[chat], Duration::from_millis(500));
    gateway.settle();
    gateway.resident()
}

/// A connection after one request.
fn send(gateway: &Gateway, request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address).expect("connected");
    assert_eq!(exchange(&mut stream, request, &mut Vec::new()), 200);
    stream
}

//! What the gateway adds to the time of a plain request while it is half busy.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::client::{exchange, measure, request};
use crate::gateway::Setup;
use crate::rounds::take_turns;

/// Connections, each of which sends at its own times.
const CONNECTIONS: u32 = 16;

/// Median and 99 of 100, through each build and directly to the engine, at the same rate.
pub(crate) fn run(bench: &mut Bench) {
    let chat = request("a0", 1 << 10, false, "");
    let span = bench.options.span;
    for build in bench.builds() {
        let gateway = build.start(&Setup::plain(bench.engine));
        // All it can do is one core's worth; the rate is half of that.
        measure(&gateway.process, gateway.address, &[&chat], span);
        let gap = Duration::from_secs_f64(2e-6 * measure(&gateway.process, gateway.address, &[&chat], span));
        let sides = [bench.engine, gateway.address];
        let mut tails = [Vec::new(), Vec::new()];
        let medians = take_turns(sides.len(), bench.options.rounds, |at| {
            let [median, tail] = times(sides[at], &chat, gap, span);
            tails[at].push(tail);
            median
        });
        let rate = 1.0 / gap.as_secs_f64();
        bench.report.add(build.name, "requests a second, half of what one core can do", "", &[rate]);
        for (what, values) in [("median", &medians[..]), ("99 of 100", &tails[..])] {
            let added: Vec<f64> = values[0].iter().zip(&values[1]).map(|(direct, through)| through - direct).collect();
            bench.report.add(build.name, &format!("time of a request, {what}"), "us", &values[1]);
            bench.report.add(build.name, &format!("the same without the gateway, {what}"), "us", &values[0]);
            bench.report.add(build.name, &format!("added, {what}"), "us", &added);
        }
    }
}

/// Sends a request every `gap`; microseconds of the median and of 99 of 100.
fn times(address: SocketAddr, chat: &[u8], gap: Duration, span: Duration) -> [f64; 2] {
    let begin = Instant::now();
    let mut all: Vec<f64> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(address).expect("connected");
                    let _ = stream.set_nodelay(true);
                    let (mut buffer, mut times) = (Vec::new(), Vec::new());
                    let mut due = begin + gap * number;
                    while due < begin + span {
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        let sent = Instant::now();
                        assert_eq!(exchange(&mut stream, chat, &mut buffer), 200);
                        times.push(sent.elapsed().as_secs_f64() * 1e6);
                        due += gap * CONNECTIONS;
                    }
                    times
                })
            })
            .collect();
        senders.into_iter().flat_map(|sender| sender.join().expect("sent")).collect()
    });
    all.sort_by(f64::total_cmp);
    [all[all.len() / 2], all[all.len() * 99 / 100]]
}

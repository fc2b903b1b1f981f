//! CPU time of a request must not depend on how much is configured: aliases, engines, keys.

use crate::bench::{Bench, Build};
use crate::client::{measure, request};
use crate::cost::{WARM_UP, ratios};
use crate::engine::addresses;
use crate::gateway::{Gateway, Setup, key};
use crate::rounds::take_turns;

/// Requests that are sent in turn, spread evenly over all that is configured. As many where there is one of each, so that the
/// client touches as much memory.
const REQUESTS: usize = 1_000;

/// The most that much may cost, over one.
const MOST: f64 = 1.05;

/// A gateway and the requests for it.
struct Side {
    gateway: Gateway,
    requests: Vec<Vec<u8>>,
}

/// Much over one of each.
pub(crate) fn run(bench: &mut Bench) {
    let engine = bench.engine;
    let one = || Setup::plain(engine);
    for build in bench.builds() {
        let aliases = [1, 1_000].map(|aliases| side(&build, Setup { aliases, ..one() }));
        compare(bench, &build, ["1 alias", "1,000 aliases"], &aliases);
        let engines = [1, 64].map(|count| side(&build, Setup { engines: addresses(engine, count), ..one() }));
        compare(bench, &build, ["1 engine", "64 engines"], &engines);
        let keys = [1, 100_000].map(|keys| side(&build, Setup { keys, ..one() }));
        compare(bench, &build, ["1 key", "100,000 keys"], &keys);
    }
}

fn side(build: &Build, setup: Setup) -> Side {
    let requests = (0..REQUESTS).map(|number| {
        let key = match setup.keys {
            0 => String::new(),
            keys => format!("authorization: Bearer {}\r\n", key(number * keys / REQUESTS)),
        };
        request(&format!("a{}", number * setup.aliases / REQUESTS), 1 << 10, false, &key)
    });
    Side { requests: requests.collect(), gateway: build.start(&setup) }
}

fn compare(bench: &mut Bench, build: &Build, names: [&str; 2], sides: &[Side; 2]) {
    let costs = take_turns(2, bench.options.rounds, |at| {
        let Side { gateway, requests } = &sides[at];
        measure(&gateway.process, gateway.address, requests, WARM_UP);
        measure(&gateway.process, gateway.address, requests, bench.options.span)
    });
    for (name, costs) in names.iter().zip(&costs) {
        bench.report.add(build.name, &format!("{name}: CPU of a request"), "us", costs);
    }
    let ratio = ratios(&costs[1], &costs[0]);
    bench.report.add_bounded(build.name, &format!("{} / {}", names[1], names[0]), "", &ratio, MOST);
}

//! How long a gateway whose engine is not there takes from its start to its first answer.

use std::net::SocketAddr;

use crate::bench::Bench;
use crate::gateway::Setup;
use crate::rounds::take_turns;

/// Of each build.
pub(crate) fn run(bench: &mut Bench) {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let setup = Setup { awaited: false, ..Setup::plain(nobody) };
    let builds = bench.builds();
    let times =
        take_turns(builds.len(), bench.options.rounds, |at| builds[at].start(&setup).started_in.as_secs_f64() * 1e3);
    for (build, times) in builds.iter().zip(&times) {
        bench.report.add(build.name, "start to the first answer of /livez", "ms", times);
    }
}

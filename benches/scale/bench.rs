//! What all measurements share: the builds, the engine and the report.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Instant;

use crate::CORE;
use crate::busy;
use crate::gateway::{Gateway, Setup};
use crate::options::Options;
use crate::process::{Process, reachable};
use crate::report::Report;

/// A build of the gateway.
pub(crate) struct Build {
    pub(crate) name: &'static str,
    pub(crate) binary: OsString,
}

impl Build {
    /// Starts it.
    pub(crate) fn start(&self, setup: &Setup) -> Gateway {
        Gateway::start(&self.binary, setup)
    }
}

/// The benchmark.
pub(crate) struct Bench {
    pub(crate) options: Options,
    pub(crate) report: Report,
    /// Where the engine listens.
    pub(crate) engine: SocketAddr,
    /// Ended on drop.
    engine_process: Process,
}

impl Bench {
    /// Starts the engine.
    pub(crate) fn new(options: Options) -> Self {
        let own = std::env::current_exe().expect("this executable");
        let mut process = Process::start(CORE, own, &[crate::engine::MODE]);
        let engine = process.address("engine on http://");
        reachable(engine);
        Self { options, report: Report::default(), engine, engine_process: process }
    }

    /// Measures one section, and says how much of the machine others took meanwhile.
    pub(crate) fn run(&mut self, name: &str, section: fn(&mut Self)) {
        self.report.heading(name);
        let (since, all, own) = (Instant::now(), busy::machine(), self.own());
        section(self);
        let others = (busy::machine() - all) - (self.own() - own);
        let share = others.max(0.0) * 100.0 / since.elapsed().as_secs_f64();
        self.report.add("", "others took meanwhile, of one core", "%", &[share]);
    }

    /// Seconds of CPU that this benchmark has used, with children that have ended.
    fn own(&self) -> f64 {
        busy::ended_and_own() + self.engine_process.cpu().as_secs_f64()
    }

    /// This build, and the other one if there is one.
    pub(crate) fn builds(&self) -> Vec<Build> {
        let this = Build { name: "this build", binary: self.options.binary.clone() };
        let other = self.options.against.clone().map(|binary| Build { name: "other build", binary });
        std::iter::once(this).chain(other).collect()
    }
}

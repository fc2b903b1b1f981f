//! Small valid configurations for unit tests, so that a new key changes no test that is not about it.

use super::load::parse;
use super::types::{Config, Engines, Model, Spawn};

/// One model whose engine does not run, small limits, short time-outs; listens on ports that the system chooses.
const MINIMAL: &str = "
listen: 127.0.0.1:0
admin: { listen: 127.0.0.1:0 }
models: { model: { urls: [http://127.0.0.1:9] } }
limits: { body: 64KiB, body_memory: 1MiB, head: 16KiB, connections: 64 }
timeouts: { connect: 1s, read: 1s, write: 1s, body: 1s, client_write: 1s, keepalive: 1s, drain: 1s }
retry: { attempts: 1, budget: 0 }
log: { access: false }
";

impl Config {
    /// A minimal valid configuration with small limits.
    pub(crate) fn for_test() -> Self {
        parse(MINIMAL, &|_| None).expect("a valid configuration")
    }
}

impl Model {
    /// The model of [`Config::for_test`] under that name.
    pub(crate) fn for_test(name: &str) -> Self {
        let model = Config::for_test().models.into_iter().next().expect("a model");
        Self { name: name.into(), ..model }
    }
}

impl Spawn {
    /// Engines started with `command`: one, of the model `org/model`, that is not started again.
    pub(crate) fn for_test(command: &[&str]) -> Self {
        let text = "models: { m: { source: org/model, restart: off, stall_timeout: off } }";
        let model = parse(text, &|_| None).expect("a valid configuration").models.into_iter().next();
        let Some(Model { engines: Engines::Spawn(spawn), .. }) = model else { panic!("a model that is started") };
        Self { command: command.iter().map(ToString::to_string).collect(), ..spawn }
    }
}

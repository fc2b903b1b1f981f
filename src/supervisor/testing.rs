//! What the supervisor's tests share: small configurations, and processes that end with a test.

use std::process::Child;
use std::time::Duration;

use crate::config::{Engines, Health, Model, Spawn};

/// How to start engines with `command`; they have a minute to start and to stop.
pub(super) fn spawn(command: &[&str]) -> Spawn {
    let minute = Duration::from_secs(60);
    Spawn { start_timeout: minute, stop_timeout: minute, ..Spawn::for_test(command) }
}

/// A model without engines, looked at rarely.
pub(super) fn model(name: &str) -> Model {
    let health = Some(health(Duration::from_secs(3600)));
    Model { engines: Engines::Urls(vec![]), health, ..Model::for_test(name) }
}

/// Checks every `interval`.
pub(super) fn health(interval: Duration) -> Health {
    Health { path: "/health".into(), interval, timeout: Duration::from_secs(10), failures: 2, successes: 1 }
}

/// A process of a test, which ends with it.
pub(super) struct KilledOnDrop(pub(super) Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! Keeps the log of a gateway in the background from filling the disk, by the rules for the logs of engines.

use std::path::PathBuf;
use std::time::Duration;

use super::process::spawn::Log;
use super::store::rotate::{Rotation, Rotator};
use crate::config::EngineLogs;

/// Between two looks at the log.
const LOOK: Duration = Duration::from_secs(30);

/// Rotates the file at `path`, to which this process appends, whenever `rules` say so; never returns.
pub async fn rotate_own_log(path: PathBuf, rules: EngineLogs) {
    let mut rotator = Rotator::new(Rotation { size: rules.size, age: Some(rules.age), keep: rules.keep });
    let mut log = Log { path, from: 0 };
    loop {
        rotator.look(&mut log).await;
        tokio::time::sleep(LOOK).await;
    }
}

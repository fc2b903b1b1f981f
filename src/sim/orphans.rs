//! Children that outlive the engine: what is left behind when vLLM's API server is killed, and worse.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::faults::{Escape, Orphan, ProcessFaults};
use super::log;

/// Seconds an orphan lives if it is not ended.
const SECONDS: &str = "600";

/// Starts the orphans that were asked for. Each says its own number: `orphan started, pid N`, `escaped, pid N`.
pub(super) fn start(faults: &ProcessFaults) {
    if let Some(place) = faults.orphan {
        let mut command = Command::new("sleep");
        command.arg(SECONDS).stdin(Stdio::null());
        if place == Orphan::OwnGroup {
            command.process_group(0);
        }
        match command.spawn() {
            Ok(child) => log::info("core.py:1", &format!("orphan started, pid {}", child.id())),
            Err(why) => log::info("core.py:1", &format!("no orphan could be started: {why}")),
        }
    }
    faults.escape.iter().for_each(|how| escape(*how));
}

/// A daemon as the textbooks have it: `setsid --fork` forks, the child leads a session of its own, its parent ends, and
/// so it has neither our group nor our session nor us for a parent.
fn escape(how: Escape) {
    let mut command = Command::new("setsid");
    // Its number is read to the end of its output, which it closes when it is what it will be.
    let daemon = format!("echo $$; exec sleep {SECONDS} >/dev/null 2>&1");
    command.args(["--fork", "sh", "-c", &daemon]).stdin(Stdio::null());
    if how == Escape::Clean {
        command.env_clear().current_dir("/");
    }
    match command.output() {
        Ok(output) if output.status.success() => {
            let number = String::from_utf8_lossy(&output.stdout);
            log::info("core.py:1", &format!("escaped, pid {}", number.trim()));
        }
        Ok(output) => log::info("core.py:1", &format!("nothing escaped: setsid ended with {}", output.status)),
        Err(why) => log::info("core.py:1", &format!("nothing escaped: {why}")),
    }
}

//! Starts a gateway in the background: a process of its own, in a session of its own, that writes to a file.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::app::{self, Source};
use crate::config::{Config, Setting};
use crate::{private_file, supervisor};

/// Between two looks whether the gateway serves.
const LOOK: Duration = Duration::from_millis(20);

/// Lines of the log that are shown of a gateway that ended.
const LINES: usize = 30;

/// Bytes of the log that are looked at for them.
const BYTES: u64 = 64 * 1024;

/// What is to be served in the background.
#[derive(Debug)]
pub(super) struct Detached {
    /// The configuration, later files on top.
    pub(super) files: Vec<PathBuf>,
    /// What `--set` says.
    pub(super) settings: Vec<Setting>,
    /// The state directory, instead of the configuration's.
    pub(super) state_dir: Option<PathBuf>,
    /// Where it writes its addresses, for others than us.
    pub(super) ready_file: Option<PathBuf>,
}

/// A gateway in the background that accepts requests.
#[derive(Debug)]
pub(super) struct Started {
    /// Its process.
    pub(super) pid: u32,
    /// Where callers connect, if there is such an address.
    pub(super) callers: Option<SocketAddr>,
    /// Where operators connect.
    pub(super) operators: SocketAddr,
    /// Its log.
    pub(super) log: PathBuf,
}

impl fmt::Display for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, callers, operators, log } = self;
        writeln!(f, "The gateway runs in the background (pid {pid}).")?;
        if let Some(callers) = callers {
            writeln!(f, "  callers    http://{callers}/v1")?;
        }
        write!(f, "  operators  http://{operators}\n  log        {}", log.display())
    }
}

/// What the gateway writes when it accepts requests.
#[derive(Deserialize)]
struct Ready {
    pid: u32,
    listen: Option<SocketAddr>,
    admin: SocketAddr,
}

/// Starts a gateway and waits until it accepts requests. Blocks, as long as that takes.
///
/// # Errors
/// Why it does not, in words, with the end of its log.
pub(super) fn start(what: &Detached) -> Result<Started, String> {
    let source = Source::new(&what.files, what.settings.clone(), what.state_dir.clone());
    // What is wrong with the configuration is told here, and not in a log.
    let config = source.load().map_err(|found| found.to_string())?;
    let folder = app::state_dir(&config);
    let written = |why: std::io::Error, path: &Path| {
        format!("cannot write to {}: {why}. Correct its permissions, or set another `state_dir`.", path.display())
    };
    supervisor::make_state_dir(&folder).map_err(|why| written(why, &folder))?;
    let log = folder.join("gateway.log");
    let (output, from) = open(&log, &source.title()).map_err(|why| written(why, &log))?;
    let ready = what.ready_file.clone().unwrap_or_else(|| folder.join("detached.json"));
    // That of an earlier gateway, which may have had the same pid in another container.
    if ready.is_file() {
        let _ = std::fs::remove_file(&ready);
    }
    let mut child = spawn(what, &config, (&log, output), &ready)?;
    loop {
        if let Some(said) = read(&ready).filter(|said| said.pid == child.id()) {
            return Ok(Started { pid: said.pid, callers: said.listen, operators: said.admin, log });
        }
        match child.try_wait() {
            Ok(None) => std::thread::sleep(LOOK),
            Ok(Some(status)) => return Err(ended(&log, from, &status.to_string())),
            Err(why) => return Err(format!("cannot wait for the gateway: {why}. Its log is {}.", log.display())),
        }
    }
}

/// Opens the log to append, with a line that says what begins there, and tells where that ends.
fn open(log: &Path, title: &str) -> std::io::Result<(File, u64)> {
    let mut file = private_file::open(OpenOptions::new().append(true), log)?;
    let now = humantime::format_rfc3339_seconds(SystemTime::now());
    writeln!(file, "=== {now} enginehouse serves {title}")?;
    let from = file.metadata()?.len();
    Ok((file, from))
}

fn spawn(what: &Detached, config: &Config, (log, output): (&Path, File), ready: &Path) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|why| format!("cannot find the own program: {why}"))?;
    let second = output.try_clone().map_err(|why| format!("cannot prepare the gateway's process: {why}"))?;
    let mut command = Command::new(&program);
    command.arg("serve").arg("--detached").arg(log).arg("--ready-file").arg(ready);
    command.arg("--state-dir").arg(app::state_dir(config)).args(&what.files);
    for setting in &what.settings {
        command.arg("--set").arg(setting.argument());
    }
    command.stdin(Stdio::null()).stdout(output).stderr(second);
    command.spawn().map_err(|why| format!("cannot start {}: {why}", program.display()))
}

fn read(ready: &Path) -> Option<Ready> {
    serde_json::from_slice(&private_file::read(ready).ok()?).ok()
}

/// What is told of a gateway that ended.
fn ended(log: &Path, from: u64, how: &str) -> String {
    let text = tail(log, from).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    format!(
        "The gateway ended before it accepted requests ({how}). The end of its log, {}:\n{}",
        log.display(),
        last.join("\n")
    )
}

/// The end of what is in the log behind `from`.
fn tail(log: &Path, from: u64) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let begin = from.max(file.metadata()?.len().saturating_sub(BYTES));
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_log_is_private_and_only_what_this_start_wrote_is_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("gateway.log");
        std::fs::write(&log, "of an earlier start\n").expect("written");
        std::fs::remove_file(&log).expect("removed");
        let (mut file, from) = open(&log, "a.yaml").expect("opened");
        assert_eq!(std::fs::metadata(&log).expect("there").permissions().mode() & 0o777, 0o600);
        (0..LINES + 5).for_each(|line| writeln!(file, "line {line}").expect("written"));
        let told = ended(&log, from, "exit status: 1");
        assert!(told.contains("exit status: 1") && told.ends_with(&format!("line {}", LINES + 4)), "{told}");
        assert!(!told.contains("enginehouse serves") && !told.contains("line 4\n"), "{told}");
    }
}

//! Child processes: what they say, where they listen, how they end.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// This program.
pub const BINARY: &str = env!("CARGO_BIN_EXE_enginehouse");

/// Longest wait for anything that should happen at once, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is asked again.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// Returns what `probe` finds, asking again until it finds something. Panics with `what` after [`PATIENCE`].
pub async fn eventually<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, probe).await
}

/// The same, for what takes its time.
pub async fn eventually_within<T>(patience: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(since.elapsed() < patience, "waited {patience:?} for: {what}");
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// The same where nothing is asynchronous; `None`: nothing was found.
pub fn found_within<T>(patience: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let since = Instant::now();
    loop {
        let found = probe();
        if found.is_some() || since.elapsed() >= patience {
            return found;
        }
        std::thread::sleep(ASK_EVERY);
    }
}

/// Lets time pass where time itself is what is tested: how slow a client or an engine is, the moment of a kill. Nothing is waited
/// for with it.
pub async fn time_passes(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Lines of a child's output: kept for failures, and sent on for whoever waits for one.
pub(super) fn follow(output: impl Read + Send + 'static, kept: Arc<Mutex<String>>) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut kept = kept.lock().expect("not poisoned");
            kept.push_str(&line);
            kept.push('\n');
            let _ = send.send(line);
        }
    });
    receive
}

/// The first line that is `wanted`.
pub(super) fn wait_for(lines: &Receiver<String>, kept: &Mutex<String>, mut wanted: impl FnMut(&str) -> bool) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) if wanted(&line) => return line,
            Ok(_) => {}
            Err(_) => panic!("the process did not say what was waited for; it said:\n{}", kept.lock().expect("kept")),
        }
    }
}

/// The address that follows `mark` in `line`.
pub(super) fn address_after(line: &str, mark: &str) -> SocketAddr {
    let rest = &line[line.find(mark).unwrap_or_else(|| panic!("no {mark} in {line}")) + mark.len()..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|error| panic!("{error} in {line}"))
}

/// Ends a process: asked first, so that it ends its own children, then forced.
pub(super) fn end(child: &mut Child) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let ended = || matches!(child.try_wait(), Ok(Some(_)) | Err(_)).then_some(());
    if found_within(Duration::from_secs(20), ended).is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Processes of a group that still run; zombies do not.
pub fn group_members(group: u32) -> Vec<u32> {
    let mut members = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // pid (comm) state ppid pgrp …
        let Some((head, tail)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = tail.split_whitespace().collect();
        if fields[0] != "Z" && fields[2] == group.to_string() {
            members.extend(head.split(' ').next().and_then(|pid| pid.parse::<u32>().ok()));
        }
    }
    members
}

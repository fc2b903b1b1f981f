//! Who runs, as `/proc` has it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

/// What a line of `/proc/{pid}/stat` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: u32,
    pub name: String,
    pub state: char,
    pub parent: u32,
    /// From -20 to 19: the larger, the later it gets a processor.
    pub nice: i32,
    /// In clock ticks since the machine started: with the number, it is one process for good.
    pub started: u64,
}

/// The process with this number, zombies included.
pub fn stat(pid: u32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    Some(Stat {
        pid,
        name: head.split_once('(')?.1.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        nice: fields.get(16)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// All threads of a process.
pub fn threads(pid: u32) -> Vec<Stat> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
    entries.filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Whether it runs and is no zombie.
pub fn lives(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.state != 'Z')
}

/// All processes.
pub fn everybody() -> Vec<Stat> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Whether `entry` is in its environment.
pub fn has_env(pid: u32, entry: &str) -> bool {
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environ.split(|byte| *byte == 0).any(|pair| pair == entry.as_bytes())
}

/// Its arguments, with spaces between them.
pub fn command_line(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned()
}

/// Kills it. Only for processes that the test had started.
pub fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// Sends it a signal. Only for processes that the test had started.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// TCP ports of 127.0.0.1 that these processes listen on, sorted.
pub fn listened(pids: &[u32]) -> Vec<u16> {
    let sockets = |pid: &u32| {
        let files = fs::read_dir(PathBuf::from(format!("/proc/{pid}/fd"))).into_iter().flatten().flatten();
        files.filter_map(|file| {
            let target = fs::read_link(file.path()).ok()?;
            Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
    };
    let ours: Vec<String> = pids.iter().flat_map(sockets).collect();
    let table = fs::read_to_string("/proc/net/tcp").expect("the table of sockets");
    let mut ports: Vec<u16> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // sl local_address rem_address st … inode; 0A is LISTEN.
            let listens = *fields.get(3)? == "0A" && ours.iter().any(|inode| Some(&inode.as_str()) == fields.get(9));
            let port = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
            listens.then_some(port)
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Whether anybody can have this port now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

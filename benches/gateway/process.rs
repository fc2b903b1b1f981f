//! Children of the benchmark: each on one core, with what it says and the CPU time it uses.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// How long anything may take to start or end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lines of a child that wait for somebody who wants to know them. Those that come then are forgotten, but read: a child whose
/// output nobody reads stands still.
const LINES: usize = 256;

/// A child process that is ended on drop.
pub(crate) struct Process(Child, Mutex<Receiver<String>>);

impl Drop for Process {
    fn drop(&mut self) {
        // The gateway and nginx end their own children when asked.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(5) {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Starts `program` on these cores: a number, or several with commas.
    pub(crate) fn start(core: &str, program: impl AsRef<OsStr>, args: &[&str]) -> Self {
        let program = program.as_ref();
        let child = Command::new("taskset")
            .args(["-c", core])
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("taskset {}: {error}", program.display()));
        let (mut child, (send, lines)) = (child, sync_channel(LINES));
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("stdout")), Box::new(child.stderr.take().expect("stderr"))];
        for output in outputs {
            let send = send.clone();
            std::thread::spawn(move || {
                BufReader::new(output).lines().map_while(Result::ok).for_each(|line| drop(send.try_send(line)));
            });
        }
        Self(child, Mutex::new(lines))
    }

    /// Waits until it says an address after `mark`.
    pub(crate) fn address(&mut self, mark: &str) -> SocketAddr {
        loop {
            let line = self.1.get_mut().expect("its only user").recv_timeout(PATIENCE).expect("a line with an address");
            let Some(at) = line.find(mark) else { continue };
            let rest = &line[at + mark.len()..];
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
            return rest[..end].parse().expect("an address");
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// CPU time that the process and its children have used.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(self.id())
    }
}

/// CPU time that a process and its children have used.
///
/// The scheduler's own sum in nanoseconds; the ticks that `ps` shows are too coarse for a difference of a percent.
pub(crate) fn cpu_of(own: u32) -> Duration {
    let children = std::fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()?;
        (parent == own).then(|| entry.file_name().to_str()?.parse::<u32>().ok()).flatten()
    });
    let nanoseconds = std::iter::once(own).chain(children).map(|pid| {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let used = threads.filter_map(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            stat.split_whitespace().next()?.parse::<u64>().ok()
        });
        used.sum::<u64>()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// Waits until something listens there.
pub(crate) fn reachable(address: SocketAddr) {
    let since = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(since.elapsed() < PATIENCE, "{address} does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until `ready` says so.
pub(crate) fn wait(what: &str, ready: impl Fn() -> bool) {
    let since = Instant::now();
    while !ready() {
        assert!(since.elapsed() < PATIENCE, "{what} is not ready");
        std::thread::sleep(Duration::from_millis(20));
    }
}

//! A deployment under test: a state directory, its configuration, the gateways that run on it one after the other, and all
//! their processes.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::processes::{self, Stat};
use super::{BINARY, Gateway};

/// What the processes of a deployment have in their environment, besides what the gateway gives them.
const MARK: &str = "ENGINEHOUSE_TEST_DEPLOYMENT";

/// Ports of engines for each deployment.
const PORTS: u16 = 40;

/// A state directory with a configuration, and all processes that were started from it. They are killed when it is dropped.
pub struct Deployment {
    folder: TempDir,
    mark: String,
    ports: (u16, u16),
}

/// One model, for [`Deployment::write`].
pub fn model(name: &str, more: &str) -> String {
    format!("  {name}: {{ source: {name}, command: [enginehouse, sim], {more} }}\n")
}

impl Deployment {
    /// A deployment without a configuration.
    pub fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(23_000);
        let first = NEXT.fetch_add(PORTS, Ordering::Relaxed);
        let folder = tempfile::tempdir().expect("temporary folder");
        let mark = format!("{MARK}={}", folder.path().display());
        Self { folder, mark, ports: (first, first + PORTS - 1) }
    }

    /// A deployment with the configuration `yaml` (without addresses), and its first gateway.
    pub fn open(yaml: &str) -> (Self, Gateway) {
        let deployment = Self::new();
        deployment.write(yaml, None);
        let gateway = deployment.gateway();
        (deployment, gateway)
    }

    /// Writes the configuration `yaml`. `listen`: where an earlier gateway served.
    pub fn write(&self, yaml: &str, listen: Option<SocketAddr>) {
        let (listen, (first, last)) = (listen.unwrap_or(([127, 0, 0, 1], 0).into()), self.ports);
        let head = format!("listen: {listen}\nadmin: {{ listen: 127.0.0.1:0 }}\nports: {first}-{last}\n");
        std::fs::write(self.path().join("gateway.yaml"), format!("{head}{yaml}")).expect("configuration written");
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Its state directory.
    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// The command of a gateway of this deployment, in this deployment's environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("serve").arg(self.path().join("gateway.yaml")).arg("--state-dir").arg(self.state());
        self.prepare(&mut command);
        command
    }

    /// Gives `command` the environment of this deployment.
    pub fn prepare(&self, command: &mut Command) {
        let (name, value) = self.mark.split_once('=').expect("a pair");
        command.env(name, value).env_remove("RUST_LOG").env_remove("VLLM_API_KEY");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    }

    /// Starts a gateway and waits until it listens.
    pub fn gateway(&self) -> Gateway {
        Gateway::of(self.command())
    }

    /// Runs a gateway that is expected to refuse: how it ended, what it said, and how long that took.
    pub fn refused(&self) -> (ExitStatus, String, Duration) {
        refused(self.command())
    }

    /// Processes of this deployment that run: gateways, engines, and what came from them with their environment.
    pub fn processes(&self) -> Vec<Stat> {
        let ours = |stat: &Stat| stat.state != 'Z' && processes::has_env(stat.pid, &self.mark);
        processes::everybody().into_iter().filter(ours).collect()
    }

    /// Processes of engines: those of this deployment without the gateways.
    pub fn engine_processes(&self) -> Vec<Stat> {
        let is_gateway = |stat: &Stat| processes::command_line(stat.pid).contains(" serve ");
        self.processes().into_iter().filter(|stat| !is_gateway(stat)).collect()
    }

    /// Daemons that left their engines, of all starts, as the engines' logs name them, that still run.
    pub fn strays(&self) -> Vec<u32> {
        let mut strays = Vec::new();
        for entry in std::fs::read_dir(self.state().join("logs")).into_iter().flatten().flatten() {
            let text = std::fs::read(entry.path()).unwrap_or_default();
            for line in String::from_utf8_lossy(&text).lines().filter(|line| line.contains("escaped, pid ")) {
                strays.extend(line.rsplit(' ').next().and_then(|pid| pid.parse::<u32>().ok()));
            }
        }
        strays.retain(|pid| processes::lives(*pid) && processes::command_line(*pid) == "sleep 600");
        strays
    }

    /// Fails when a process of this deployment still runs.
    pub fn assert_empty(&self) {
        let left: Vec<_> = self.processes().into_iter().map(|stat| (processes::command_line(stat.pid), stat)).collect();
        assert!(left.is_empty(), "these are left: {left:#?}");
        assert_eq!(self.strays(), Vec::<u32>::new(), "daemons are left");
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        for stat in self.processes() {
            processes::kill(stat.pid);
        }
        for pid in self.strays() {
            processes::kill(pid);
        }
        if std::thread::panicking() {
            for entry in std::fs::read_dir(self.state().join("logs")).into_iter().flatten().flatten() {
                let text = std::fs::read(entry.path()).unwrap_or_default();
                let text = String::from_utf8_lossy(&text).into_owned();
                let last: Vec<_> = text.lines().rev().take(25).collect();
                eprintln!("--- {}, last lines first ---\n{}", entry.path().display(), last.join("\n"));
            }
        }
    }
}

/// Runs `command`, a gateway that is expected to refuse.
pub fn refused(mut command: Command) -> (ExitStatus, String, Duration) {
    let since = Instant::now();
    let mut child = command.spawn().expect("started");
    let mut text = String::new();
    let lines = BufReader::new(child.stderr.take().expect("stderr")).lines().map_while(Result::ok);
    for line in lines {
        let _ = writeln!(text, "{line}");
        if line.contains("serving http://") {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it serves:\n{text}");
        }
    }
    (child.wait().expect("ended"), text, since.elapsed())
}

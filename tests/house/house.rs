//! A state directory with a configuration, the gateways that run on it one after the other, and all their processes.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::processes::{self, Stat};
use crate::support::{chat, http};

/// This program.
pub const BINARY: &str = env!("CARGO_BIN_EXE_enginehouse");

/// Longest wait for anything that should happen soon, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What the processes of a house have in their environment, besides what the gateway gives them.
const MARK: &str = "ENGINEHOUSE_TEST_HOUSE";

/// Ports of engines for each house.
const PORTS: u16 = 40;

/// Returns what `probe` finds, asking again until it finds something. Panics with `what` after [`PATIENCE`].
pub async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "waited {PATIENCE:?} for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A state directory, and all that comes of it. Everything ends with it.
pub struct House {
    folder: TempDir,
    mark: String,
    ports: (u16, u16),
}

/// One model, for [`House::write`].
pub fn model(name: &str, more: &str) -> String {
    format!("  {name}: {{ source: {name}, command: [enginehouse, sim], {more} }}\n")
}

impl House {
    /// A house without anything.
    pub fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(23_000);
        let first = NEXT.fetch_add(PORTS, Ordering::Relaxed);
        let folder = tempfile::tempdir().expect("temporary folder");
        let mark = format!("{MARK}={}", folder.path().display());
        Self { folder, mark, ports: (first, first + PORTS - 1) }
    }

    /// A house with the configuration `yaml` (without addresses), and its first gateway.
    pub fn open(yaml: &str) -> (Self, Gateway) {
        let house = Self::new();
        house.write(yaml, None);
        let gateway = house.gateway();
        (house, gateway)
    }

    /// Writes the configuration `yaml`. `listen`: where an earlier gateway served.
    pub fn write(&self, yaml: &str, listen: Option<SocketAddr>) {
        let (listen, (first, last)) = (listen.unwrap_or(([127, 0, 0, 1], 0).into()), self.ports);
        let head = format!("listen: {listen}\nadmin: {{ listen: 127.0.0.1:0 }}\nports: {first}-{last}\n");
        std::fs::write(self.path().join("house.yaml"), format!("{head}{yaml}")).expect("configuration written");
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Its state directory.
    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// The command of a gateway of this house, in this house's environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("serve").arg(self.path().join("house.yaml")).arg("--state-dir").arg(self.state());
        self.prepare(&mut command);
        command
    }

    /// Makes `command` one of this house.
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

    /// Processes of this house that run: gateways, engines, and what came from them with their environment.
    pub fn processes(&self) -> Vec<Stat> {
        let ours = |stat: &Stat| stat.state != 'Z' && processes::has_env(stat.pid, &self.mark);
        processes::everybody().into_iter().filter(ours).collect()
    }

    /// Processes of engines: those of this house without the gateways.
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

    /// Fails when a process of this house still runs.
    pub fn assert_empty(&self) {
        let left: Vec<_> = self.processes().into_iter().map(|stat| (processes::command_line(stat.pid), stat)).collect();
        assert!(left.is_empty(), "these are left: {left:#?}");
        assert_eq!(self.strays(), Vec::<u32>::new(), "daemons are left");
    }
}

impl Drop for House {
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
                let last: Vec<_> = text.lines().rev().take(5).collect();
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

/// A gateway that serves.
pub struct Gateway {
    child: Child,
    /// Where callers connect.
    pub address: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// When its process was started.
    pub started: Instant,
    log: Arc<Mutex<String>>,
}

impl Gateway {
    /// Starts `command` and waits until it listens.
    pub fn of(mut command: Command) -> Self {
        let started = Instant::now();
        let mut child = command.spawn().expect("gateway started");
        let log = Arc::<Mutex<String>>::default();
        let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines().map_while(Result::ok);
        let mut serving = None;
        for line in lines.by_ref() {
            let mut log = log.lock().expect("kept");
            log.push_str(&line);
            log.push('\n');
            if line.contains("serving http://") {
                serving = Some((address_after(&line, "serving http://"), address_after(&line, "admin on http://")));
                break;
            }
        }
        let Some((address, admin)) = serving else {
            let _ = child.wait();
            panic!("the gateway does not serve:\n{}", log.lock().expect("kept"));
        };
        std::thread::spawn({
            let log = log.clone();
            move || {
                for line in lines {
                    let mut log = log.lock().expect("kept");
                    log.push_str(&line);
                    log.push('\n');
                }
            }
        });
        Self { child, address, admin, started, log }
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A URL on the data port.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("kept").clone()
    }

    /// What `GET /api/v1/engines` says.
    pub async fn engines(&self) -> Vec<Value> {
        let url = format!("http://{}/api/v1/engines", self.admin);
        let reply: Value = http().get(url).send().await.expect("admin").json().await.expect("JSON");
        reply["engines"].as_array().expect("list").clone()
    }

    /// What it says about one engine.
    pub async fn engine(&self, id: &str) -> Value {
        self.engines().await.into_iter().find(|engine| engine["engine"] == id).expect("the engine")
    }

    /// The process of an engine.
    pub async fn engine_pid(&self, id: &str) -> u32 {
        pid_of(&self.engine(id).await).expect("a process")
    }

    /// Waits until every engine is ready; their processes in order.
    pub async fn all_ready(&self) -> Vec<u32> {
        until("every engine to be ready", async || {
            let engines = self.engines().await;
            engines.iter().map(|engine| pid_of(engine).filter(|_| engine["state"] == "ready")).collect()
        })
        .await
    }

    /// Waits until the engine has a process other than `before`, and is ready.
    pub async fn ready_again(&self, id: &str, before: u32) -> u32 {
        until("the engine to be ready again", async || {
            let engine = self.engine(id).await;
            pid_of(&engine).filter(|pid| *pid != before && engine["state"] == "ready")
        })
        .await
    }

    /// One chat request: status, and body.
    pub async fn ask(&self, model: &str) -> (u16, Value) {
        let reply = http().post(self.url("/v1/chat/completions")).json(&chat(model)).send().await.expect("answered");
        (reply.status().as_u16(), reply.json().await.expect("JSON"))
    }

    /// Ends it as the kernel would.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        processes::signal(self.pid(), Signal::TERM);
    }

    /// Waits for its end; the exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the gateway did not end");
    }

    /// Sends SIGTERM, and waits until it has ended well; how long that took.
    pub async fn stop(&mut self) -> Duration {
        let since = Instant::now();
        self.terminate();
        assert_eq!(self.ended().await, Some(0));
        since.elapsed()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // What is left of its engines ends with the house.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            // Without what it repeats of engines' logs.
            let lines: Vec<_> = log.lines().filter(|line| !line.contains("announce: | ")).collect();
            eprintln!("--- gateway log ---\n{}", lines.join("\n"));
        }
    }
}

/// The process of an engine, as the operators' side tells it.
pub fn pid_of(engine: &Value) -> Option<u32> {
    engine["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
}

/// The port of an engine, as the operators' side tells it.
pub fn port_of(engine: &Value) -> u16 {
    engine["url"].as_str().and_then(|url| url.rsplit_once(':')?.1.parse().ok()).expect("a port")
}

fn address_after(line: &str, mark: &str) -> SocketAddr {
    let rest = &line[line.find(mark).unwrap_or_else(|| panic!("no {mark} in {line}")) + mark.len()..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|error| panic!("{error} in {line}"))
}

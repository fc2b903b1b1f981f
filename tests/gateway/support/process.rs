//! Child processes that tell where they listen and end when dropped.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_enginehouse");

/// Longest wait for anything that should happen at once, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns what `probe` finds, asking again until it finds something. Panics with `what` after [`PATIENCE`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "waited {PATIENCE:?} for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Lines of a child's output: kept for failures, and sent on for whoever waits for one.
fn follow(output: impl Read + Send + 'static, kept: Arc<Mutex<String>>) -> Receiver<String> {
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

fn wait_for(lines: &Receiver<String>, kept: &Mutex<String>, mut wanted: impl FnMut(&str) -> bool) -> String {
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

fn address_after(line: &str, mark: &str) -> SocketAddr {
    let rest = &line[line.find(mark).unwrap_or_else(|| panic!("no {mark} in {line}")) + mark.len()..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|error| panic!("{error} in {line}"))
}

/// Ends a process: asked first, so that it ends its own children, then forced.
fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(20) {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// A gateway that serves.
pub struct Gateway {
    child: Child,
    /// Where callers connect.
    pub address: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    log: Arc<Mutex<String>>,
    access: Arc<Mutex<String>>,
    _folder: TempDir,
}

impl Gateway {
    /// Starts a gateway with the configuration `yaml` (without addresses) and waits until it listens.
    pub fn start(yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("house.yaml");
        let head = "listen: 127.0.0.1:0\nadmin: { listen: 127.0.0.1:0 }\n";
        std::fs::write(&file, format!("{head}{yaml}")).expect("configuration written");
        Self::serve(&file, folder)
    }

    /// Starts a gateway with a configuration file.
    pub fn serve(file: &Path, folder: TempDir) -> Self {
        let mut child = Command::new(BINARY)
            .arg("serve")
            .arg(file)
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("gateway started");
        let (log, access) = (Arc::<Mutex<String>>::default(), Arc::<Mutex<String>>::default());
        drop(follow(child.stdout.take().expect("stdout"), access.clone()));
        let lines = follow(child.stderr.take().expect("stderr"), log.clone());
        let line = wait_for(&lines, &log, |line| line.contains("serving http://"));
        let (address, admin) = (address_after(&line, "serving http://"), address_after(&line, "admin on http://"));
        Self { child, address, admin, log, access, _folder: folder }
    }

    /// The same, waiting until every model is ready.
    pub async fn ready(yaml: &str) -> Self {
        let gateway = Self::start(yaml);
        gateway.wait_ready().await;
        gateway
    }

    /// Waits until every model is ready.
    pub async fn wait_ready(&self) {
        let url = self.url("/readyz");
        eventually("every model to be ready", || async {
            super::http().get(&url).send().await.ok().filter(|reply| reply.status() == 200).map(|_| ())
        })
        .await;
    }

    /// A URL on the data port.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What `GET /api/v1/engines` says.
    pub async fn engines(&self) -> Vec<Value> {
        let url = format!("http://{}/api/v1/engines", self.admin);
        let reply: Value = super::http().get(url).send().await.expect("admin").json().await.expect("JSON");
        reply["engines"].as_array().expect("list").clone()
    }

    /// What `GET /metrics` says.
    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.admin);
        super::http().get(url).send().await.expect("admin").text().await.expect("text")
    }

    /// The value of the metric whose line starts with `name`; 0 when there is none.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.metrics().await;
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()).map_or(0.0, |value| value.parse().expect("number"))
    }

    /// The access log so far.
    pub fn access_log(&self) -> String {
        self.access.lock().expect("kept").clone()
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("kept").clone()
    }

    /// The address that `alias` has to itself.
    pub fn door(&self, alias: &str) -> SocketAddr {
        let log = self.log();
        let mark = format!("alias {alias} has http://");
        let line = log.lines().find(|line| line.contains(&mark)).unwrap_or_else(|| panic!("no {mark} in\n{log}"));
        address_after(line, &mark)
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signal");
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
        panic!("the gateway did not end; its log:\n{}", self.log());
    }

    /// Bytes of memory it has resident.
    pub fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most bytes of memory it ever had resident.
    pub fn peak_resident(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// A size of `/proc/{pid}/status`, in bytes.
    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("status");
        let line = status.lines().find(|line| line.starts_with(name)).expect("a size");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("KiB") * 1024
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        end(&mut self.child);
        if std::thread::panicking() {
            eprintln!("--- gateway log ---\n{}", self.log());
            let access = self.access_log();
            let last: Vec<_> = access.lines().rev().take(20).collect();
            eprintln!("--- access log, last lines first ---\n{}", last.join("\n"));
        }
    }
}

/// A simulated engine that somebody else than the gateway runs.
pub struct Sim {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Sim {
    /// Starts an engine of the model `tiny` with further arguments, and waits until it listens.
    pub fn start(args: &[&str]) -> Self {
        Self::start_model("tiny", args)
    }

    /// Starts an engine of `model`.
    pub fn start_model(model: &str, args: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(["sim", model, "--port", "0"])
            .args(args)
            .env_remove("VLLM_API_KEY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("engine started");
        let log = Arc::<Mutex<String>>::default();
        drop(follow(child.stderr.take().expect("stderr"), log.clone()));
        let lines = follow(child.stdout.take().expect("stdout"), log.clone());
        let mut address = None;
        wait_for(&lines, &log, |line| {
            if line.contains("server on http://") {
                address = Some(address_after(line, "server on http://"));
            }
            line.contains("Application startup complete")
        });
        Self { child, address: address.expect("an address before readiness"), log }
    }

    /// Its base URL, for `urls:`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a JSON route says.
    pub async fn get(&self, path: &str) -> Value {
        super::http().get(self.url() + path).send().await.expect("engine").json().await.expect("JSON")
    }

    /// The last inference request it got.
    pub async fn last_request(&self) -> Value {
        self.get("/sim/last_request").await
    }

    /// A number of `GET /sim/stats`.
    pub async fn stat(&self, name: &str) -> u64 {
        let stats = self.get("/sim/stats").await;
        stats[name].as_u64().unwrap_or_else(|| panic!("no number {name} in {stats}"))
    }

    /// Kills it as the kernel would.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log.lock().expect("kept");
            let last: Vec<_> = log.lines().rev().take(10).collect();
            eprintln!("--- engine {}, last lines first ---\n{}", self.address, last.join("\n"));
        }
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

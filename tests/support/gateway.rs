//! A gateway as a process of its own, asked as callers and operators ask it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::machine::Machine;
use super::process::{BINARY, end, eventually, follow};
use super::ready::Ready;
use super::{chat, http};

/// A gateway that serves.
pub struct Gateway {
    child: Child,
    /// Where callers connect.
    pub address: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// When its process was started.
    pub started: Instant,
    ready: Ready,
    log: Arc<Mutex<String>>,
    access: Arc<Mutex<String>>,
    /// What it keeps, where that goes with it.
    folder: Option<TempDir>,
}

impl Gateway {
    /// Starts a gateway with the configuration `yaml` (without addresses) and waits until it listens.
    pub fn start(yaml: &str) -> Self {
        Self::start_whole(&format!("listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\n{yaml}"))
    }

    /// The same with a configuration that has its addresses.
    pub fn start_whole(yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, yaml).expect("configuration written");
        Self::serve(&file, folder)
    }

    /// The same, waiting until every model is ready.
    pub async fn ready(yaml: &str) -> Self {
        let gateway = Self::start(yaml);
        gateway.wait_ready().await;
        gateway
    }

    /// Starts a gateway with a configuration file; what it keeps goes with it.
    pub fn serve(file: &Path, folder: TempDir) -> Self {
        let mut gateway = Self::of(Self::command(file, folder.path()));
        gateway.folder = Some(folder);
        gateway
    }

    /// The same on `machine`, with the configuration `yaml` (without addresses).
    pub fn start_on(machine: &Machine, yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("gateway.yaml");
        let whole = format!("listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\n{yaml}");
        std::fs::write(&file, whole).expect("configuration written");
        let mut command = Self::command(&file, folder.path());
        machine.prepare(&mut command);
        let mut gateway = Self::of(command);
        gateway.folder = Some(folder);
        gateway
    }

    /// The command of a gateway with a configuration file, which keeps what it keeps in `folder`.
    pub fn command(file: &Path, folder: &Path) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("serve").arg(file).arg("--state-dir").arg(folder.join("state")).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts `command`, a `serve` whose errors are piped, and waits until it listens. Somebody else minds what it keeps.
    pub fn of(mut command: Command) -> Self {
        let started = Instant::now();
        let ready = Ready::new();
        let mut child = command.arg("--ready-file").arg(ready.path()).spawn().expect("gateway started");
        let (log, access) = (Arc::<Mutex<String>>::default(), Arc::<Mutex<String>>::default());
        if let Some(output) = child.stdout.take() {
            drop(follow(output, access.clone()));
        }
        let lines = follow(child.stderr.take().expect("stderr"), log.clone());
        let said = ready.wait(&mut child, &lines, &log);
        let (address, admin) = (said.listen, said.admin);
        Self { child, address, admin, started, ready, log, access, folder: None }
    }

    /// Waits until every model is ready.
    pub async fn wait_ready(&self) {
        let url = self.url("/readyz");
        eventually("every model to be ready", || async { super::ready::all_served(&url).await.then_some(()) }).await;
    }

    /// A URL on the data port.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
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

    /// Waits until every engine that runs here is ready; their processes in order.
    pub async fn all_ready(&self) -> Vec<u32> {
        eventually("every engine to be ready", async || {
            let engines = self.engines().await;
            let ours = engines.iter().filter(|engine| !engine["replica"].is_null());
            ours.map(|engine| pid_of(engine).filter(|_| engine["state"] == "ready")).collect()
        })
        .await
    }

    /// Waits until the engine has a process other than `before`, and is ready.
    pub async fn ready_again(&self, id: &str, before: u32) -> u32 {
        eventually("the engine to be ready again", async || {
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

    /// What `GET /metrics` says.
    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.admin);
        http().get(url).send().await.expect("admin").text().await.expect("text")
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
    pub fn alias_address(&self, alias: &str) -> SocketAddr {
        *self.ready.read().and_then(|said| said.aliases.get(alias).copied()).as_ref().expect("an address of its own")
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
        let child = &mut self.child;
        eventually("the gateway to end", async || child.try_wait().expect("wait")).await.code()
    }

    /// Ends it as the kernel would.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    /// Sends SIGTERM, and waits until it has ended well; how long that took.
    pub async fn stop(&mut self) -> Duration {
        let since = Instant::now();
        self.terminate();
        assert_eq!(self.ended().await, Some(0));
        since.elapsed()
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
        if self.folder.is_some() {
            end(&mut self.child);
        } else if matches!(self.child.try_wait(), Ok(None)) {
            // What is left of its engines is minded by whoever minds what it keeps.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            eprintln!("--- gateway log ---\n{log}");
            let access = self.access_log();
            let last: Vec<_> = access.lines().rev().take(20).collect();
            eprintln!("--- access log, last lines first ---\n{}", last.join("\n"));
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

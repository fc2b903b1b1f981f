//! A simulated engine as a process of its own.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::http;
use super::process::{BINARY, address_after, follow, wait_for};

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
        Self::start_with(model, args, &[])
    }

    /// Starts an engine of `model` with `env` in its environment.
    pub fn start_with(model: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(BINARY)
            .args(["sim", model, "--port", "0"])
            .args(args)
            .env_remove("VLLM_API_KEY")
            .envs(env.iter().copied())
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
        http().get(self.url() + path).send().await.expect("engine").json().await.expect("JSON")
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

    /// Whether its process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        super::processes::signal(self.child.id(), signal);
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

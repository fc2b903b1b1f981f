//! What `serve --ready-file` writes: the addresses of a gateway as soon as it listens.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Mutex;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

use super::process::{PATIENCE, found_within};

/// The file, in a folder that goes with it.
pub struct Ready(TempDir);

/// What it says.
#[derive(Debug, Deserialize)]
pub struct Said {
    pub pid: u32,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub aliases: BTreeMap<String, SocketAddr>,
}

impl Ready {
    /// No file yet.
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folder"))
    }

    /// Where it is to be written.
    pub fn path(&self) -> PathBuf {
        self.0.path().join("ready.json")
    }

    /// What it says now, if it is there.
    pub fn read(&self) -> Option<Said> {
        let text = std::fs::read(self.path()).ok()?;
        Some(serde_json::from_slice(&text).expect("written whole"))
    }

    /// What `child` writes there; fails with its log, of which `lines` come, when it ends instead.
    pub fn wait(&self, child: &mut Child, lines: &Receiver<String>, log: &Mutex<String>) -> Said {
        let found = found_within(PATIENCE, || match (self.read(), child.try_wait().expect("wait")) {
            (Some(said), _) => Some(Ok(said)),
            (None, Some(ended)) => Some(Err(ended)),
            (None, None) => None,
        });
        match found {
            Some(Ok(said)) => said,
            Some(Err(ended)) => {
                // To its last line. An engine that it left may have the pipe, too.
                while lines.recv_timeout(Duration::from_secs(1)).is_ok() {}
                panic!("the gateway ended ({ended}); it said:\n{}", log.lock().expect("kept"));
            }
            None => panic!("the gateway does not serve; it said:\n{}", log.lock().expect("kept")),
        }
    }
}

/// Whether a gateway serves, and every model of it.
pub async fn is_ready(ready: &Ready) -> bool {
    let Some(said) = ready.read() else { return false };
    let url = format!("http://{}/readyz", said.listen);
    all_served(&url).await
}

/// Whether `GET /readyz`, at `url`, says that no model is waited for.
pub async fn all_served(url: &str) -> bool {
    let Ok(reply) = super::http().get(url).send().await else { return false };
    let told: serde_json::Value = reply.json().await.unwrap_or_default();
    told["not_ready"].as_array().is_some_and(Vec::is_empty)
}

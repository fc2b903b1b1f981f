//! A gateway under measurement: its configuration, its process, and what the kernel says about it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::exchange;
use crate::process::{Process, wait};

/// What differs between the gateways of this benchmark.
pub(crate) struct Setup {
    /// Cores that it may use.
    pub(crate) cores: &'static str,
    pub(crate) threads: usize,
    /// Engines, all of one model `m`.
    pub(crate) engines: Vec<SocketAddr>,
    /// Whether the model must be served before anything is measured.
    pub(crate) awaited: bool,
    /// Aliases `a0`, `a1`, ... each with two overrides.
    pub(crate) aliases: usize,
    /// [`key`]s, a hundred for each caller; 0: no callers.
    pub(crate) keys: usize,
}

/// Keys of one caller.
const KEYS_OF_CALLER: usize = 100;

/// A key. All are of one length, as are the names of callers: what longer texts cost is another question.
pub(crate) fn key(number: usize) -> String {
    format!("k{number:06}")
}

impl Setup {
    /// One thread on core 0, one engine, one alias, no callers.
    pub(crate) fn plain(engine: SocketAddr) -> Self {
        Self { cores: "0", threads: 1, engines: vec![engine], awaited: true, aliases: 1, keys: 0 }
    }

    fn yaml(&self) -> String {
        let mut yaml = format!("listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nthreads: {}\n", self.threads);
        yaml.push_str("limits: { connections: 100000 }\n");
        let urls: Vec<String> = self.engines.iter().map(|engine| format!("\"http://{engine}\"")).collect();
        let _ = writeln!(yaml, "models:\n  m: {{ urls: [{}], served_name: m }}\naliases:", urls.join(", "));
        for alias in 0..self.aliases {
            let _ = writeln!(
                yaml,
                "  a{alias}: {{ model: m, overrides: {{ temperature: 0.5, chat_template_kwargs: {{ enable_thinking: \
                 false }} }} }}"
            );
        }
        if self.keys > 0 {
            yaml.push_str("callers:\n");
        }
        for first in (0..self.keys).step_by(KEYS_OF_CALLER) {
            let keys: Vec<String> = (first..self.keys.min(first + KEYS_OF_CALLER)).map(key).collect();
            let _ = writeln!(yaml, "  c{first:06}: {{ keys: [{}] }}", keys.join(", "));
        }
        yaml
    }
}

/// A gateway, ended on drop.
pub(crate) struct Gateway {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// From its start to its first answer.
    pub(crate) started_in: Duration,
    /// Its files; goes after it.
    _folder: TempDir,
}

impl Gateway {
    /// Starts `binary` and waits until it serves.
    pub(crate) fn start(binary: &OsStr, setup: &Setup) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (file, state) = (folder.path().join("gateway.yaml"), folder.path().join("state"));
        std::fs::write(&file, setup.yaml()).expect("written");
        let args = ["serve", file.to_str().expect("UTF-8"), "--state-dir", state.to_str().expect("UTF-8")];
        let since = Instant::now();
        let mut process = Process::start(setup.cores, binary, &args);
        let address = process.address("serving http://");
        let is = |path| get(address, path) == 200;
        assert!(is("/livez"), "it lives");
        let started_in = since.elapsed();
        if setup.awaited {
            wait("the gateway", || is("/readyz"));
        }
        Self { process, address, started_in, _folder: folder }
    }

    /// KiB of memory that it has resident.
    pub(crate) fn resident(&self) -> f64 {
        // Exact, unlike the sum in `status`.
        self.size("smaps_rollup", "Rss:")
    }

    /// The most KiB of memory that it ever had resident.
    pub(crate) fn peak(&self) -> f64 {
        self.size("status", "VmHWM:")
    }

    fn size(&self, file: &str, name: &str) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id())).expect("a running gateway");
        let line = text.lines().find(|line| line.starts_with(name)).expect("a size");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("KiB")
    }

    /// Its open files.
    pub(crate) fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("a running gateway").count()
    }

    /// Gives the allocator the time after which it gives memory back, which nothing announces. It looks at the time only when
    /// it is asked for something, so a probe comes by as in production.
    pub(crate) fn settle(&self) {
        for _ in 0..30 {
            get(self.address, "/livez");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn get(address: SocketAddr, path: &str) -> u16 {
    let mut stream = TcpStream::connect(address).expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nhost: b\r\n\r\n");
    exchange(&mut stream, request.as_bytes(), &mut Vec::new())
}

//! What is known of this machine, as plain data.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::config::Diagnostic;
use crate::inventory::Inventory;

/// Everything that is checked.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) configuration: Configuration,
    pub(super) wanted: Wanted,
    pub(super) gpus: Inventory,
    pub(super) programs: Vec<Program>,
    pub(super) ports: Vec<Port>,
    pub(super) engine_ports: Option<EnginePorts>,
    pub(super) open_files: OpenFiles,
    pub(super) state_dir: Folder,
    pub(super) deployments: Vec<Deployment>,
    pub(super) hub: Option<Folder>,
    pub(super) token: Token,
    pub(super) shared_memory: Option<Disk>,
    pub(super) memory: Memory,
    pub(super) processors: usize,
    pub(super) locked_memory: LockedMemory,
    pub(super) threads: Threads,
}

/// What was said to run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Configuration {
    /// Nothing: what any configuration needs is checked.
    NotGiven,
    /// It has errors, of which this is the first; nothing is known of what it wants.
    Broken {
        title: String,
        errors: usize,
        first: String,
    },
    Valid {
        title: String,
        models: usize,
        aliases: usize,
    },
}

/// What the configuration wants of this machine; all of it is nothing where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Engines of vLLM that are to run here.
    pub(super) engines: usize,
    /// All engines that are to run here.
    pub(super) processes: usize,
    /// GPUs of all engines together.
    pub(super) gpus: usize,
    /// GPUs of the engine that has the most.
    pub(super) widest: usize,
    pub(super) gpu_need: GpuNeed,
    /// Models of which no files are on this disk.
    pub(super) downloads: Vec<String>,
    /// `limits.connections`, where somebody chose it.
    pub(super) connections: Option<u64>,
}

/// Whether GPUs are needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum GpuNeed {
    /// Nobody said.
    #[default]
    Unknown,
    /// No engine here takes any.
    None,
    /// vLLM runs here, without a word about GPUs.
    Likely,
    /// Engines are given GPUs.
    Sure,
}

/// A program that starts vLLM.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) file: Option<PathBuf>,
    pub(super) is_elsewhere: bool,
    pub(super) version: Option<String>,
    /// Why it does not tell its flags, and what to do.
    pub(super) silent: Option<(String, String)>,
    /// What it would refuse.
    pub(super) found: Vec<Diagnostic>,
}

/// An address that the gateway is to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    /// Its key in the configuration.
    pub(super) key: String,
    pub(super) address: SocketAddr,
    pub(super) state: PortState,
}

/// Whether it can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortState {
    Free,
    /// By the gateway on this state directory; without a configuration, by any of this user.
    Ours(i32),
    /// By another process, where `/proc` tells which one.
    Taken(Option<Holder>),
    /// Only root may listen on it.
    Privileged,
    /// No interface of this machine has it.
    NoSuchAddress,
    /// What the system says.
    Refused(String),
}

/// Who has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: i32,
    pub(super) name: Option<String>,
}

/// Ports that engines are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EnginePorts {
    pub(super) range: RangeInclusive<u16>,
    /// Of these, those that somebody listens on.
    pub(super) taken: usize,
}

/// The limit of open files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OpenFiles {
    /// The hard limit; `None`: there is none.
    pub(super) hard: Option<u64>,
}

/// A folder that is written to, or is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) is_there: bool,
    /// Why this user cannot write to it, or make it.
    pub(super) refused: Option<String>,
    /// The user that it belongs to, where that is another one.
    pub(super) owner: Option<u32>,
    /// Whether all users may write to it.
    pub(super) is_open: bool,
    pub(super) disk: Option<Disk>,
}

/// Room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) total: u64,
    pub(super) free: u64,
}

/// What runs on a state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deployment {
    pub(super) state_dir: PathBuf,
    /// The gateway; `Some(None)`: one that did not tell its pid.
    pub(super) gateway: Option<Option<i32>>,
    /// Processes of its engines.
    pub(super) processes: usize,
}

/// The token for the Hugging Face hub, never its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) place: Option<TokenPlace>,
    /// Whether `HF_HUB_OFFLINE` forbids downloads.
    pub(super) is_offline: bool,
}

/// Where a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenPlace {
    /// In this variable.
    Variable(String),
    /// In `env:` of models.
    Models,
    File {
        path: PathBuf,
        /// Whether other users may read it.
        is_open: bool,
    },
}

/// Memory of this machine, in bytes; `None`: unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) total: Option<u64>,
    pub(super) available: Option<u64>,
    /// Of the control group that this process is in.
    pub(super) limit: Option<u64>,
}

/// Memory that may be kept from being swapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LockedMemory {
    /// The hard limit; `None`: there is none.
    pub(super) hard: Option<u64>,
    /// Whether there are `InfiniBand` or `RoCE` adapters, which need it.
    pub(super) has_rdma: bool,
}

/// How many threads there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Threads {
    /// Of this user (`ulimit -Hu`); `None`: no limit.
    pub(super) of_user: Option<u64>,
    /// Of the control group (`TasksMax`, `--pids-limit`); `None`: no limit.
    pub(super) of_group: Option<u64>,
}

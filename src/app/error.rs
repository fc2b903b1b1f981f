//! Why a gateway could not be started.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::Diagnostics;
use crate::supervisor;
use crate::telemetry::{self, WrongVariable};

/// Why a gateway could not be started.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// An address is not to be had.
    #[error("cannot listen on {address} (`{key}`): {why}{}", remedy(.why))]
    Listen {
        /// What was to be bound.
        address: SocketAddr,
        /// Where it is configured.
        key: String,
        /// What the OS says. It is told already, so it is no source.
        why: std::io::Error,
    },
    /// An address is this gateway's own for something else.
    #[error(
        "cannot listen on {address} (`{key}`): the operators' API of this gateway listens there, which a reload does not \
         move (`admin.listen`). Choose another address, or restart the gateway."
    )]
    Operators {
        /// What was to be bound.
        address: SocketAddr,
        /// Where it is configured.
        key: String,
    },
    /// Engines could not be started at all.
    #[error(transparent)]
    Supervisor(#[from] supervisor::StartError),
    /// What is in the file is no configuration.
    #[error(transparent)]
    Configuration(#[from] Diagnostics),
    /// What earlier gateways were told to change cannot be read.
    #[error(
        "`{}` cannot be read: {why}. It holds the models, aliases and callers that were changed while earlier gateways ran. \
         Correct its permissions or its disk, or set `state_dir` to another folder; to do without those changes, move the file \
         away.",
        path.display()
    )]
    Overlay {
        /// The file.
        path: PathBuf,
        /// What the system says. It is told already, so it is no source.
        why: std::io::Error,
    },
    /// `--ready-file` cannot be written.
    #[error("cannot write --ready-file: {0}. Give the path of a file in a folder that this user may write to.")]
    ReadyFile(std::io::Error),
    /// The operators' server has no thread.
    #[error("cannot start the thread of the operators' server: {0}. The machine is out of threads or memory.")]
    Thread(std::io::Error),
    /// A variable of OpenTelemetry has a wrong value.
    #[error(transparent)]
    Variable(#[from] WrongVariable),
    /// Requests cannot be traced.
    #[error(transparent)]
    Traces(#[from] telemetry::StartError),
    /// Metrics contradict each other.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            ". Another process has it: stop that one (`ss -ltnp` names it) or choose another port."
        }
        std::io::ErrorKind::PermissionDenied => {
            ". Ports below 1024 need CAP_NET_BIND_SERVICE: choose another port or grant it."
        }
        std::io::ErrorKind::AddrNotAvailable => ". This machine has no such address.",
        _ => ".",
    }
}

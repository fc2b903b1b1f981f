//! The open-file limit of this process.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Each proxied request needs two sockets; the rest is for logs, engines and listeners.
const SPARE: u64 = 256;

/// Raises the soft limit as far as the hard one allows, and warns when `connections` do not fit.
pub(super) fn raise_open_files(connections: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the open-file limit stays as it is");
        limit = getrlimit(Resource::Nofile);
    }
    let needed = connections as u64 * 2 + SPARE;
    if let Some(have) = limit.current.filter(|have| *have < needed) {
        tracing::warn!(
            have,
            needed,
            "the open-file limit is too low for limits.connections: raise it (`ulimit -Hn`, systemd LimitNOFILE=) or lower that"
        );
    }
}

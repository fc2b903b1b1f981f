//! The open-file limit of this process.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::config::Config;

/// Each proxied request needs two sockets; the rest is for logs, engines and listeners.
const SPARE: u64 = 256;

/// Raises the soft limit as far as the hard one allows, and says when `limits.connections` do not fit: a warning where that
/// number was chosen, and is not just the default.
pub(super) fn raise_open_files(config: &Config) {
    let is_chosen = config.source_map.line_of("limits.connections").is_some();
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the open-file limit stays as it is");
        limit = getrlimit(Resource::Nofile);
    }
    let needed = config.limits.connections as u64 * 2 + SPARE;
    let Some(have) = limit.current.filter(|have| *have < needed) else { return };
    if is_chosen {
        tracing::warn!(
            have,
            needed,
            "the open-file limit is too low for limits.connections: raise it (`ulimit -Hn`, systemd LimitNOFILE=) or lower that"
        );
    } else {
        tracing::info!(
            have,
            "about {} requests at a time fit into the open-file limit; for more raise it (`ulimit -Hn`, systemd LimitNOFILE=)",
            have.saturating_sub(SPARE) / 2
        );
    }
}

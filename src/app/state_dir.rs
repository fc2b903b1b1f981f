//! Where gateways keep their records and the logs of their engines.

use std::path::PathBuf;

use crate::config::Config;

/// Where the gateway of `config` keeps its records and engine logs.
#[must_use]
pub fn state_dir(config: &Config) -> PathBuf {
    let folder = config.state_dir.clone().unwrap_or_else(|| state_dirs().join(&config.name));
    // What is written down there is read by those who work elsewhere.
    std::path::absolute(&folder).unwrap_or(folder)
}

/// Where gateways have their state directories unless they say otherwise: `$XDG_STATE_HOME/enginehouse`, or
/// `~/.local/state/enginehouse` (XDG Base Directory Specification). Without a home, as in a systemd unit without `User=`, it is
/// `/var/lib/enginehouse`: nothing below a folder where everybody can write is fit for it.
#[must_use]
pub fn state_dirs() -> PathBuf {
    let var = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    var("XDG_STATE_HOME")
        .or_else(|| var("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(|| "/var/lib".into())
        .join("enginehouse")
}

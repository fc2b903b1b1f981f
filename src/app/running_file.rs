//! `gateway.json` in the state directory: how commands on this machine find a running gateway.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{state_dir, state_dirs};
use crate::config::Config;
use crate::secret::Secret;
use crate::{private_file, supervisor};

/// Its name.
const FILE: &str = "gateway.json";

/// What the file says.
#[derive(Serialize, Deserialize)]
struct Document {
    pid: u32,
    name: String,
    version: String,
    configuration_file: PathBuf,
    admin: SocketAddr,
    /// When the process started, as the kernel counts (proc_pid_stat(5), `starttime`): another process may get its number.
    #[serde(default)]
    start_ticks: Option<u64>,
    /// Good as long as the process lives; the file is for its user alone.
    token: Option<String>,
}

/// A gateway of this machine, as its file tells. The process may be gone: who asks it finds out.
#[derive(Clone, Debug)]
pub struct RunningGateway {
    /// Its state directory.
    pub state_dir: PathBuf,
    /// Its process.
    pub pid: u32,
    start_ticks: Option<u64>,
    /// `name` of its configuration.
    pub name: String,
    /// The file that it was started with.
    pub configuration_file: PathBuf,
    /// Where its operators' API listens.
    pub admin: SocketAddr,
    /// The token that it accepts from commands on this machine.
    pub token: Option<Secret>,
}

impl RunningGateway {
    /// The gateway that told that it runs on `state_dir`; `None`: none did, or it has ended in order. Blocks.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn on(state_dir: &Path) -> io::Result<Option<Self>> {
        let bytes = match private_file::read(&state_dir.join(FILE)) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            bytes => bytes?,
        };
        let Document { pid, name, configuration_file, admin, start_ticks, token, .. } = serde_json::from_slice(&bytes)?;
        let token = token.map(Secret::new);
        Ok(Some(Self { state_dir: state_dir.to_owned(), pid, start_ticks, name, configuration_file, admin, token }))
    }

    /// Gateways of this user whose state directory is in the usual place and whose process is there, by name. Files that
    /// cannot be read are left out. Blocks.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let folders = fs::read_dir(state_dirs()).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
        let mut folders: Vec<PathBuf> = folders.unwrap_or_default();
        folders.sort();
        folders.iter().filter_map(|folder| Self::on(folder).ok()?).filter(Self::is_there).collect()
    }

    /// Whether its process runs; one that has ended and was not waited for does not.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let found = process(self.pid);
        found.is_some_and(|(ends, ticks)| !ends && self.start_ticks.is_none_or(|told| ticks == Some(told)))
    }
}

/// Whether the process of this number has ended and waits for its parent, and when it started; `None`: there is none.
fn process(pid: u32) -> Option<(bool, Option<u64>)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may hold anything (proc_pid_stat(5)): the state is the third field, the start the 22nd.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let ends = fields.next().is_some_and(|state| matches!(state, "Z" | "X"));
    Some((ends, fields.nth(18).and_then(|ticks| ticks.parse().ok())))
}

/// The file of this process.
#[derive(Debug)]
pub(super) struct RunningFile(PathBuf);

impl RunningFile {
    /// Tells commands where this gateway is found. A gateway that cannot tell runs all the same. Blocks.
    pub(super) fn write(config: &Config, file: &Path, admin: SocketAddr, token: Option<&Secret>) -> Self {
        let folder = state_dir(config);
        let path = folder.join(FILE);
        let document = Document {
            pid: std::process::id(),
            start_ticks: process(std::process::id()).and_then(|(_, ticks)| ticks),
            name: config.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            configuration_file: file.to_owned(),
            admin,
            token: token.map(|token| token.expose().to_owned()),
        };
        let written = supervisor::make_state_dir(&folder).and_then(|()| private_file::replace(&path, &document));
        if let Err(error) = written {
            tracing::warn!(
                path = %path.display(), %error,
                "commands such as `enginehouse status` will not find this gateway by themselves: give them --admin {admin}"
            );
        }
        Self(path)
    }

    /// There is nothing to find any more. What another gateway wrote stays. Blocks.
    pub(super) fn remove(&self) {
        let ours = self.0.parent().and_then(|folder| RunningGateway::on(folder).ok()?);
        if ours.is_some_and(|found| found.pid == std::process::id()) {
            let _ = fs::remove_file(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config;

    #[test]
    fn a_gateway_is_found_until_it_ends_and_its_file_is_private() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(RunningGateway::on(folder.path()).expect("readable").is_none());
        let mut config = config::parse("models: {m: {source: s}}\nname: one", &|_| None).expect("valid");
        config.state_dir = Some(folder.path().to_owned());
        let address = "127.0.0.1:7".parse().expect("an address");
        let file = RunningFile::write(&config, Path::new("/etc/one.yaml"), address, Some(&Secret::new("t")));
        let found = RunningGateway::on(folder.path()).expect("readable").expect("it runs");
        assert_eq!((found.name.as_str(), found.admin, found.token.as_ref()), ("one", address, Some(&Secret::new("t"))));
        assert!(found.is_there() && found.start_ticks.is_some());
        let other = RunningGateway { start_ticks: Some(1), ..found.clone() };
        assert!(!other.is_there(), "another process with its number");
        let mode = fs::metadata(folder.path().join(FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        file.remove();
        assert!(RunningGateway::on(folder.path()).expect("readable").is_none());
        fs::write(folder.path().join(FILE), "{").expect("written");
        assert!(RunningGateway::on(folder.path()).is_err());
    }
}

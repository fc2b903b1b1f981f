//! `--url` and the key: which data port is asked, and as whom.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::address::Address;
use crate::cli::output::{Exit, Failure};
use crate::cli::running::Running;
use crate::secret::Secret;

/// The variable with the key of a caller.
const KEY: &str = "ENGINEHOUSE_API_KEY";

/// The options that say which gateway is asked, and as which caller.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Target {
    /// Address of the data port, for example http://127.0.0.1:8000, instead of that of the running gateway (http only; any
    /// server of OpenAI's API will do)
    #[arg(long, env = "ENGINEHOUSE_URL", value_name = "URL")]
    url: Option<Address>,
    /// File with the key of a caller; without it, the variable ENGINEHOUSE_API_KEY is used, if it is set
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    running: Running,
}

/// A data port, and who asks.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Destination {
    /// Where it is.
    pub(in crate::cli) address: Address,
    /// `None`: an anonymous caller.
    pub(in crate::cli) key: Option<Secret>,
    /// The version of the gateway, where it was asked for its address.
    pub(in crate::cli) version: Option<String>,
}

impl Target {
    /// What the options come to.
    ///
    /// # Errors
    /// When no address is given and no gateway is found, or the key cannot be read.
    pub(in crate::cli) fn find(&self) -> Result<Destination, Failure> {
        let (address, version) = match &self.url {
            Some(url) => (url.clone(), None),
            None => self.ask()?,
        };
        let key = match &self.key_file {
            Some(file) => Some(read(file).map_err(|why| Failure::new(Exit::Failed, why))?),
            None => std::env::var(KEY).ok().and_then(|text| key_in(&text)),
        };
        Ok(Destination { address, key, version })
    }

    /// Asks the running gateway where callers connect; its version, too.
    fn ask(&self) -> Result<(Address, Option<String>), Failure> {
        let status = self.running.find()?.status;
        let listen = status.listen.ok_or_else(|| {
            Failure::new(Exit::NoGateway, "The gateway is about to end: it takes no requests any more.")
        })?;
        let unclear =
            |why| Failure::new(Exit::Failed, format!("The gateway listens at {listen}: {why}. Use --url URL."));
        let address = beside(&listen, self.running.admin().as_deref()).map_err(unclear)?;
        Ok((address, Some(status.version)))
    }
}

/// The address `listen` of a gateway whose operators' API is at `admin`: one that listens everywhere is reached by the same
/// host.
fn beside(listen: &str, admin: Option<&str>) -> Result<Address, String> {
    let address: Address = listen.parse()?;
    let is_everywhere = listen.parse().is_ok_and(|address: SocketAddr| address.ip().is_unspecified());
    let admin = admin.filter(|_| is_everywhere).and_then(|admin| admin.parse::<Address>().ok());
    Ok(match admin {
        Some(admin) => Address { host: admin.host, ..address },
        None => address,
    })
}

fn read(file: &Path) -> Result<Secret, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    key_in(&text).ok_or_else(|| format!("{}: the file has no key in it: one line is expected.", file.display()))
}

/// The key in `text`, which may end with a line feed.
fn key_in(text: &str) -> Option<Secret> {
    let key = text.trim();
    (!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Secret::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_listens_everywhere_is_reached_by_the_host_that_was_given() {
        for (listen, admin, address) in [
            ("127.0.0.1:8000", None, "http://127.0.0.1:8000"),
            ("0.0.0.0:8000", None, "http://127.0.0.1:8000"),
            ("0.0.0.0:8000", Some("http://box:8001"), "http://box:8000"),
            ("[::]:8000", Some("box:8001"), "http://box:8000"),
            ("10.0.0.1:8000", Some("box:8001"), "http://10.0.0.1:8000"),
        ] {
            assert_eq!(beside(listen, admin).map(|address| address.to_string()), Ok(address.to_owned()), "{listen}");
        }
    }

    #[test]
    fn a_key_is_one_word() {
        assert_eq!(key_in(" sk-1\n").map(|key| key.expose().to_owned()), Some("sk-1".into()));
        for bad in ["", "\n", "a b", "a\nb", "schlüssel"] {
            assert!(key_in(bad).is_none(), "{bad:?}");
        }
    }
}

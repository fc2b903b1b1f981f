//! Which running gateway a command asks, and how it is found.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::builder::NonEmptyStringValueParser;

use super::output::{Exit, Failure};
use crate::api::{Client, ClientError, StatusView, reachable};
use crate::app::{self, RunningGateway};
use crate::secret::Secret;

/// Where operators' APIs listen unless configurations say otherwise.
const DEFAULT: &str = "127.0.0.1:8001";

/// How often it is looked whether a process is gone.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Holds the address of a gateway.
const ADMIN: &str = "ENGINEHOUSE_ADMIN";

/// Holds the token of a gateway that is given by its address.
const TOKEN: &str = "ENGINEHOUSE_ADMIN_TOKEN";

/// The gateway to ask; by default the only one that runs on this machine. Its token is found with it; for `--admin` it is in
/// `ENGINEHOUSE_ADMIN_TOKEN`.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Which gateway (by default the one that runs on this machine)")]
pub(super) struct Running {
    /// The address of its operators' API, such as 127.0.0.1:8001 or http://host:8001 (or ENGINEHOUSE_ADMIN, where nothing
    /// else is given); ENGINEHOUSE_ADMIN_TOKEN holds its token
    #[arg(long, value_name = "URL")]
    pub(super) admin: Option<String>,
    /// The name of its configuration (`name:`), where several run
    #[arg(long = "name", value_name = "NAME", conflicts_with = "admin", value_parser = NonEmptyStringValueParser::new())]
    pub(super) gateway: Option<String>,
    /// Its state directory, if it is not in the usual place
    #[arg(long, value_name = "DIR", conflicts_with_all = ["admin", "gateway"])]
    pub(super) state_dir: Option<PathBuf>,
}

/// A gateway that answers.
#[derive(Debug)]
pub(super) struct Found {
    /// Asks it.
    pub(super) client: Client,
    /// What it says about itself.
    pub(super) status: StatusView,
}

impl Running {
    /// Whether the command line says which gateway is meant.
    pub(super) fn is_given(&self) -> bool {
        self.admin.is_some() || self.gateway.is_some() || self.state_dir.is_some()
    }

    /// The address that is given; that of the environment where the command line says nothing.
    pub(super) fn admin(&self) -> Option<String> {
        if self.is_given() { self.admin.clone() } else { variable(ADMIN) }
    }

    /// Finds the gateway and makes sure that it answers.
    ///
    /// # Errors
    /// When none answers, several are meant, or the words are not understood.
    pub(super) fn find(&self) -> Result<Found, Failure> {
        self.find_with(None)
    }

    /// The same; `token`: that of a gateway which is given by its address, where nothing else tells it.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub(super) fn find_with(&self, token: Option<Secret>) -> Result<Found, Failure> {
        if let Some(admin) = self.admin() {
            let authority = authority(&admin).map_err(|text| Failure::new(Exit::Usage, text))?;
            return Ok(ask(Client::at(&authority, token_for(&authority).or(token).as_ref()))?);
        }
        if let Some(folder) = &self.state_dir {
            let told = RunningGateway::on(folder).map_err(|error| {
                Failure::new(Exit::Failed, format!("{}: cannot read gateway.json: {error}", folder.display()))
            })?;
            let none = || format!("No gateway runs on {}. Start it with `enginehouse serve`.", folder.display());
            let found = told.as_ref().map(answering).transpose()?.flatten();
            return found.ok_or_else(|| Failure::new(Exit::NoGateway, none()));
        }
        let wanted = |gateway: &RunningGateway| self.gateway.as_ref().is_none_or(|name| gateway.name == *name);
        let (mut found, mut silent) = (Vec::new(), Vec::new());
        for gateway in RunningGateway::all().into_iter().filter(wanted) {
            match asked(&gateway) {
                Asked::Answers(one) => found.push(*one),
                Asked::Silent(failure) => silent.push((gateway, failure)),
                Asked::Gone => {}
            }
        }
        match (found.pop(), found.is_empty()) {
            (Some(one), true) if silent.is_empty() => Ok(one),
            (None, _) => silent.pop().map_or_else(|| self.elsewhere(), |(_, failure)| Err(failure)),
            // One that does not answer now may be the one that is meant.
            (Some(last), _) => {
                found.push(last);
                let silent: Vec<RunningGateway> = silent.into_iter().map(|(gateway, _)| gateway).collect();
                Err(Failure::new(Exit::Usage, several(&found, &silent)))
            }
        }
    }

    /// A gateway that is not found by its state directory may be at the usual address: it may run in a container.
    fn elsewhere(&self) -> Result<Found, Failure> {
        // A token is shown only to who asks for one, and where no name says that another gateway is meant.
        let token = environment_token().filter(|_| self.gateway.is_none());
        let found = match ask(Client::at(DEFAULT, None)) {
            Err(ClientError::Unauthorized) if token.is_some() => ask(Client::at(DEFAULT, token.as_ref())),
            found => found,
        };
        let found = match found {
            Err(error @ ClientError::Unauthorized) if self.gateway.is_none() => return Err(error.into()),
            found => found.ok(),
        };
        let found = found.filter(|found| self.gateway.as_ref().is_none_or(|name| found.status.name == *name));
        found.ok_or_else(|| {
            let which = self.gateway.as_ref().map_or_else(String::new, |name| format!(" with the name `{name}`"));
            let text = format!(
                "No gateway{which} runs here: none is known in {}, and none answers at {DEFAULT}. Start one with \
                 `enginehouse serve FILE`. One with a `state_dir` of its own is found with --state-dir DIR, one on \
                 another machine with --admin URL.",
                app::state_dirs().display()
            );
            Failure::new(Exit::NoGateway, text)
        })
    }
}

/// Has the gateway end that told that it runs on `state_dir`, and waits until its process is gone; `None`: there is none. Where
/// nothing else shows that one runs (`is_used`), a file that cannot be read tells of none: a crash may have left it. Blocks.
///
/// # Errors
/// Why it did not end.
pub(super) fn end(state_dir: &Path, patience: Duration, is_used: bool) -> Option<Result<u32, String>> {
    let told = match RunningGateway::on(state_dir) {
        Ok(told) => told?,
        Err(_) if !is_used => return None,
        Err(error) => return Some(Err(format!("cannot read gateway.json: {error}"))),
    };
    let found = match asked(&told) {
        Asked::Answers(found) => found,
        Asked::Silent(failure) => return Some(Err(failure.text)),
        Asked::Gone => return None,
    };
    if let Err(error) = found.client.shut_down() {
        return Some(Err(error.to_string()));
    }
    let since = Instant::now();
    while told.is_there() {
        if since.elapsed() > patience {
            return Some(Err(format!(
                "the gateway (pid {}) was told to end and still runs after {patience:?}",
                told.pid
            )));
        }
        sleep(LOOK_EVERY);
    }
    Some(Ok(told.pid))
}

/// What became of asking a gateway that told where it is.
enum Asked {
    /// It is there.
    Answers(Box<Found>),
    /// Its process is there, and does not answer as it should.
    Silent(Failure),
    /// It has ended.
    Gone,
}

/// A gateway that told where it is, if it has not ended; that it answers is made sure of.
///
/// # Errors
/// When its process is there and does not answer as it should.
pub(super) fn answering(gateway: &RunningGateway) -> Result<Option<Found>, Failure> {
    match asked(gateway) {
        Asked::Answers(found) => Ok(Some(*found)),
        Asked::Silent(failure) => Err(failure),
        Asked::Gone => Ok(None),
    }
}

fn asked(gateway: &RunningGateway) -> Asked {
    match ask(Client::new(gateway.admin, gateway.token.as_ref())) {
        Ok(found) if found.status.pid == gateway.pid => Asked::Answers(Box::new(found)),
        Ok(_) => Asked::Gone,
        Err(_) if !gateway.is_there() => Asked::Gone,
        Err(error) => {
            let (name, pid) = (&gateway.name, gateway.pid);
            let text = format!(
                "The gateway `{name}` (pid {pid}) is there and does not answer: {error}\nIt may be stopped by a signal \
                 (kill -CONT {pid} lets it go on), busy, or of another version."
            );
            Asked::Silent(Failure::new(Exit::NoGateway, text))
        }
    }
}

fn ask(client: Client) -> Result<Found, ClientError> {
    let status = client.status()?;
    Ok(Found { client, status })
}

/// The token for an address: that of a gateway of this machine which listens there, or what the environment says.
fn token_for(authority: &str) -> Option<Secret> {
    let authority = authority.replace("localhost", "127.0.0.1");
    let listens = |gateway: &RunningGateway| reachable(gateway.admin).to_string() == authority;
    let local = RunningGateway::all().into_iter().find(listens).and_then(|gateway| gateway.token);
    local.or_else(environment_token)
}

fn environment_token() -> Option<Secret> {
    variable(TOKEN).map(Secret::new)
}

/// A variable of the environment that says something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn several(found: &[Found], silent: &[RunningGateway]) -> String {
    let answers = found
        .iter()
        .map(|Found { status, .. }| format!("  {} (pid {}, {})", status.name, status.pid, status.configuration_file));
    let silent = silent.iter().map(|RunningGateway { name, pid, configuration_file, .. }| {
        format!("  {name} (pid {pid}, {}), which does not answer", configuration_file.display())
    });
    let mut lines: Vec<String> = answers.chain(silent).collect();
    lines.sort();
    format!("Several gateways run here. Say which one with --name NAME:\n{}", lines.join("\n"))
}

/// `HOST:PORT` of an address or URL.
fn authority(text: &str) -> Result<String, String> {
    let bare = match text.split_once("://") {
        Some(("http", rest)) => rest,
        Some(("https", _)) => {
            return Err(format!(
                "--admin {text}: the operators' API speaks plain HTTP. Through a tunnel (ssh -L) it is reached as \
                 http://127.0.0.1:PORT."
            ));
        }
        Some((scheme, _)) => {
            return Err(format!("--admin {text}: `{scheme}` is not understood; give http://HOST:PORT."));
        }
        None => text,
    };
    let bare = bare.trim_end_matches('/').trim_end_matches("/api/v1");
    let bare = match bare.strip_prefix(':') {
        Some(port) => format!("127.0.0.1:{port}"),
        None if !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit()) => format!("127.0.0.1:{bare}"),
        None => bare.to_owned(),
    };
    let parsed: Result<http::uri::Authority, _> = bare.parse();
    match parsed {
        Ok(authority) if authority.port_u16().is_some() && !bare.contains('@') => Ok(bare),
        _ => Err(format!("--admin {text} is not understood; give an address such as 127.0.0.1:8001.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood_as_people_write_them() {
        for (given, understood) in [
            ("127.0.0.1:8001", "127.0.0.1:8001"),
            ("http://127.0.0.1:8001/", "127.0.0.1:8001"),
            ("http://box:8001/api/v1", "box:8001"),
            ("[::1]:8001", "[::1]:8001"),
            (":8001", "127.0.0.1:8001"),
            ("8001", "127.0.0.1:8001"),
        ] {
            assert_eq!(authority(given).as_deref(), Ok(understood), "{given}");
        }
        for bad in
            ["", "box", "https://box:1", "ftp://box:1", "a b:1", "http://u:p@box:1", "http://box:1/x", "box:99999"]
        {
            assert!(authority(bad).is_err(), "{bad}");
        }
    }
}

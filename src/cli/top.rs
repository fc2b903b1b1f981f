//! `enginehouse top`: a running gateway in the terminal, as it changes.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use serde::Serialize;

use super::output::{Exit, Failure, ended, print, print_json};
use super::running::Running;
use crate::api::{Client, Event, EventKind, LogLine, LogQuery, SnapshotView};
use crate::tui::frame::{self, Theme};
use crate::tui::monitor::{self, Link, Monitor};

/// Columns of a picture, where no terminal says how many there are.
const COLUMNS: u16 = 120;

/// Lines of the gateway's log in what is told as JSON.
const LOG: usize = 5;

/// `enginehouse top`.
#[derive(Debug, clap::Args)]
pub(super) struct Top {
    /// Print one picture as plain text and end; without a terminal that is done in any case
    #[arg(long)]
    once: bool,
    /// Print JSON and end: how everything is (as the event `snapshot` of the operators' API), and the newest lines of the `log`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

/// What is told as JSON: the same as is shown.
#[derive(Serialize)]
struct Picture {
    #[serde(flatten)]
    snapshot: SnapshotView,
    /// The newest lines of the gateway's own log.
    log: Vec<LogLine>,
}

/// Shows a gateway until its user leaves.
pub(super) fn run(top: &Top) -> ExitCode {
    ended(show(top))
}

fn show(top: &Top) -> Result<(), Failure> {
    let found = top.running.find()?;
    if top.json {
        print_json(&picture(&found.client)?);
        return Ok(());
    }
    let theme = Theme::from_env(&|name| std::env::var(name).ok());
    let has_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if top.once || !has_terminal || std::env::var_os("TERM").is_none_or(|term| term == "dumb") {
        let columns = ratatui::crossterm::terminal::size().map_or(COLUMNS, |(columns, _)| columns.max(COLUMNS));
        let columns = if io::stdout().is_terminal() { columns } else { COLUMNS };
        print(&monitor::once(&found.client, columns, &theme)?);
        return Ok(());
    }
    // One that is restarted is the one of this name: its address and its token may be others.
    let mut running = top.running.clone();
    if !running.is_given() && running.admin().is_none() {
        running.gateway = Some(found.status.name.clone());
    }
    let label = format!("The gateway `{}`", found.status.name);
    let link = Link::new(found.client, move || running.find().ok().map(|found| found.client));
    let said = frame::run(Box::new(Monitor::new(link, &label, false)), theme)
        .map_err(|error| Failure::new(Exit::Failed, format!("enginehouse: the terminal cannot be used: {error}")))?;
    if let Some(text) = said {
        print(&format!("{text}\n"));
    }
    Ok(())
}

fn picture(client: &Client) -> Result<Picture, Failure> {
    for message in client.events(None, &[EventKind::Snapshot])?.impatient() {
        if let Event::Snapshot(snapshot) = message?.value {
            let wanted = LogQuery { from: Some("gateway".to_owned()), lines: Some(LOG), ..LogQuery::default() };
            return Ok(Picture { snapshot: *snapshot, log: client.logs(&wanted)?.lines });
        }
    }
    Err(Failure::new(Exit::NoGateway, "The gateway has ended."))
}

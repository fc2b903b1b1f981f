//! `enginehouse status`, `engines`, `aliases`, `callers`, `requests`, `operations` and `audit`: what a running gateway tells.
//!
//! `table`: the text of each, pure.

mod table;

use std::process::ExitCode;

use serde::Serialize;

use clap::builder::NonEmptyStringValueParser;

use super::output::{Exit, Failure, complain, ended, print, print_json, print_json_line};
use super::running::{Found, Running};
use super::target::unknown;
use crate::api::{
    ClientError, EngineView, Event, EventKind, RequestFilter, RequestQuery, RequestView, StatusView, Told,
};

/// What every command that only looks takes.
#[derive(Debug, clap::Args)]
pub(super) struct Look {
    /// Print JSON, as the operators' API has it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

/// A command that shows one thing or all.
#[derive(Debug, clap::Args)]
pub(super) struct LookAt {
    /// Only this one, with all that is known of it
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    name: Option<String>,
    #[command(flatten)]
    look: Look,
}

/// `enginehouse requests`.
#[derive(Debug, clap::Args)]
pub(super) struct Requests {
    /// One request, by its id
    #[arg(
        conflicts_with_all = ["model", "alias", "engine", "caller", "status", "failed", "limit", "follow"],
        value_parser = NonEmptyStringValueParser::new()
    )]
    id: Option<String>,
    /// Only of this model
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    model: Option<String>,
    /// Only by this alias
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    alias: Option<String>,
    /// Only on this engine
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    engine: Option<String>,
    /// Only by this caller
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    caller: Option<String>,
    /// Only with this status
    #[arg(long)]
    status: Option<u16>,
    /// Only those that went wrong
    #[arg(long)]
    failed: bool,
    /// Show at most this many, the newest
    #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=2000))]
    limit: u16,
    /// Print those that come, too, until Ctrl-C, or until the gateway ends or says nothing for 20 s (exit code 3)
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    look: Look,
}

/// `enginehouse operations` and `enginehouse audit`.
#[derive(Debug, clap::Args)]
pub(super) struct Newest {
    /// Show at most this many, the newest
    #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
    #[command(flatten)]
    look: Look,
}

/// `enginehouse cancel`.
#[derive(Debug, clap::Args)]
pub(super) struct Cancel {
    /// The id of the operation, as `enginehouse operations` lists it
    id: String,
    #[command(flatten)]
    look: Look,
}

/// What is said where the gateway could not tell all.
const MISSED: &str = "Some requests are missing here: they came faster than they were read. `enginehouse requests` lists the \
                      newest ones.";

/// What `status` tells, as JSON.
#[derive(Serialize)]
struct Whole {
    status: StatusView,
    models: Vec<crate::api::ModelView>,
    engines: Vec<crate::api::EngineView>,
}

/// The gateway with its models and engines.
pub(super) fn status(look: &Look) -> ExitCode {
    ended(look.running.find().and_then(|Found { client, status }| {
        let (models, engines) = (client.models()?.models, client.engines()?.engines);
        look.tell(&Whole { status, models, engines }, |whole| {
            table::status(&whole.status, &whole.models, &whole.engines)
        });
        Ok(())
    }))
}

/// Engines, or one of them.
pub(super) fn engines(LookAt { name, look }: &LookAt) -> ExitCode {
    ended(look.running.find().and_then(|Found { client, .. }| {
        let mut all = client.engines()?;
        let Some(name) = name else {
            look.tell(&all, |all| table::engines(&all.engines));
            return Ok(());
        };
        let is_it = |engine: &EngineView| engine.engine == *name || engine.model == *name;
        if !all.engines.iter().any(is_it) {
            let known = all.engines.iter().map(|engine| engine.engine.as_str());
            return Err(unknown("model and no engine", name, known));
        }
        all.engines.retain(is_it);
        look.tell(&all, |all| match all.engines.as_slice() {
            [one] => table::engine(one),
            some => table::engines(some),
        });
        Ok(())
    }))
}

/// Aliases, or one of them.
pub(super) fn aliases(LookAt { name, look }: &LookAt) -> ExitCode {
    ended(look.running.find().and_then(|Found { client, .. }| {
        let all = client.aliases()?;
        let Some(name) = name else {
            look.tell(&all, |all| table::aliases(&all.aliases));
            return Ok(());
        };
        match all.aliases.iter().find(|alias| alias.alias == *name) {
            Some(one) => look.tell(one, table::alias),
            None => {
                return Err(unknown("alias", name, all.aliases.iter().map(|alias| alias.alias.as_str())));
            }
        }
        Ok(())
    }))
}

/// Callers and what they used.
pub(super) fn callers(look: &Look) -> ExitCode {
    ended(look.running.find().and_then(|Found { client, .. }| {
        look.tell(&client.callers()?, |all| table::callers(&all.callers));
        Ok(())
    }))
}

/// What operators had done with engines.
pub(super) fn operations(Newest { limit, look }: &Newest) -> ExitCode {
    ended(look.running.find().and_then(|Found { client, .. }| {
        let mut all = client.operations()?;
        all.operations.truncate(usize::from(*limit));
        look.tell(&all, |all| table::operations(&all.operations));
        Ok(())
    }))
}

/// Who did what.
pub(super) fn audit(Newest { limit, look }: &Newest) -> ExitCode {
    ended(look.running.find().and_then(|Found { client, .. }| {
        look.tell(&client.audit(usize::from(*limit))?, |all| table::audit(&all.entries));
        Ok(())
    }))
}

/// Cancels an operation.
pub(super) fn cancel(Cancel { id, look }: &Cancel) -> ExitCode {
    ended(look.running.find().and_then(|Found { client, .. }| {
        let cancelled = client.cancel(id).map_err(|error| match error {
            ClientError::Refused { status: 404, .. } => {
                let text = format!("The gateway has no operation `{id}`. `enginehouse operations` lists all.");
                Failure::new(Exit::Unknown, text)
            }
            error => error.into(),
        });
        look.tell(&cancelled?, |operation| table::operations(std::slice::from_ref(operation)));
        Ok(())
    }))
}

/// Requests that have ended.
pub(super) fn requests(ask: &Requests) -> ExitCode {
    ended(ask.look.running.find().and_then(|Found { client, .. }| {
        if let Some(id) = &ask.id {
            ask.look.tell(&client.request(id)?, table::request);
            return Ok(());
        }
        let filter = RequestFilter {
            model: ask.model.clone(),
            alias: ask.alias.clone(),
            engine: ask.engine.clone(),
            caller: ask.caller.clone(),
            status: ask.status,
            failed: ask.failed.then_some(true),
        };
        let query = RequestQuery { filter, limit: Some(usize::from(ask.limit)) };
        // Before what there is: nothing in between is missed.
        let coming = ask.follow.then(|| client.events(None, &[EventKind::Requests])).transpose()?;
        let mut all = client.requests(&query)?;
        // The newest last: so they come.
        all.requests.reverse();
        match (ask.look.json, ask.follow) {
            (true, false) => print_json(&all),
            // Who stopped reading needs no more; it is found out with the next line.
            (true, true) => all.requests.iter().for_each(|request| _ = print_json_line(request)),
            (false, _) => _ = print(&table::requests(&all.requests, query.filter != RequestFilter::default())),
        }
        let Some(coming) = coming else { return Ok(()) };
        let known: Vec<String> = all.requests.into_iter().map(|request| request.id).collect();
        let is_wanted = |request: &RequestView| !known.contains(&request.id) && query.filter.fits(&request.facts());
        follow(coming, &is_wanted, ask.look.json)
    }))
}

/// Prints the requests that come, until nobody reads them or the gateway ends.
fn follow(coming: Told<Event>, is_wanted: &dyn Fn(&RequestView) -> bool, json: bool) -> Result<(), Failure> {
    for message in coming.impatient() {
        match message?.value {
            Event::Requests { requests } => {
                for request in requests.iter().filter(|request| is_wanted(request)) {
                    let heard = if json { print_json_line(request) } else { print(&table::request_line(request)) };
                    if !heard {
                        return Ok(());
                    }
                }
            }
            Event::Resync => complain(MISSED),
            _ => {}
        }
    }
    Err(Failure::new(Exit::NoGateway, "The gateway has ended."))
}

impl Look {
    fn tell<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) {
        if self.json {
            print_json(value);
        } else {
            print(&text(value));
        }
    }
}

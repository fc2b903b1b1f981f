//! `enginehouse logs`: lines of the logs of a running gateway and its engines.

use std::io;
use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;

use super::outlet::{Outlet, harmless_but_coloured};
use super::output::{Exit, Failure, ended, print, print_json_line};
use super::running::Running;
use super::target::target;
use crate::api::{ClientError, LogLine, LogQuery};

/// Colours of a terminal that are told apart on a light and a dark ground (ECMA-48, SGR).
const COLOURS: [&str; 6] = ["36", "33", "35", "32", "34", "31"];

/// `enginehouse logs`.
#[derive(Debug, clap::Args)]
pub(super) struct Logs {
    /// A model, an engine such as qwen/0, or `gateway`; without it all logs, merged
    #[arg(value_name = "MODEL|ENGINE|gateway", value_parser = NonEmptyStringValueParser::new())]
    from: Option<String>,
    /// Print the lines that come, too, until Ctrl-C, or until the gateway ends or says nothing for 20 s (exit code 3)
    #[arg(short, long)]
    follow: bool,
    /// Only lines since a time (2026-11-30T12:00:00Z), or since so long ago (10m)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<String>,
    /// Only lines that contain this, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// Print at most this many lines of each log, the newest
    #[arg(short = 'n', long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(..=10_000))]
    lines: u16,
    /// Print each line as a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

/// Prints lines of logs.
pub(super) fn run(ask: &Logs) -> ExitCode {
    ended(ask.running.find().and_then(|found| {
        let query = LogQuery {
            from: ask.from.clone(),
            lines: Some(usize::from(ask.lines)),
            since: ask.since.clone(),
            grep: ask.grep.clone(),
        };
        let has_colours = Outlet::of(&io::stdout()).colour;
        let tell = |line: &LogLine| {
            if ask.json { print_json_line(line) } else { print(&text(line, ask.from.as_deref(), has_colours)) }
        };
        // Commands name what is like it; the gateway names a path of its API.
        let told = |error: ClientError| match (&error, &ask.from) {
            (ClientError::Refused { status: 404, .. }, Some(name)) => {
                target(&found.client, name).err().unwrap_or_else(|| error.into())
            }
            _ => error.into(),
        };
        if !ask.follow {
            let lines = found.client.logs(&query).map_err(told)?.lines;
            // Who stopped reading needs no more.
            let _ = lines.iter().all(tell);
            return Ok(());
        }
        for message in found.client.follow_logs(&query).map_err(told)?.impatient() {
            if !tell(&message?.value) {
                return Ok(());
            }
        }
        Err(Failure::new(Exit::NoGateway, "The gateway has ended."))
    }))
}

/// A time as the gateway understands it.
fn since(text: &str) -> Result<String, String> {
    if text.parse::<jiff::Timestamp>().is_ok() || humantime::parse_duration(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err("give a time such as 2026-11-30T12:00:00Z, or how long ago it was, such as 10m or 2h".to_owned())
}

/// A line for people: whose it is, unless only one log is asked for, and its text.
fn text(line: &LogLine, asked: Option<&str>, has_colours: bool) -> String {
    let said = harmless_but_coloured(&line.text, has_colours);
    if asked == Some(line.from.as_str()) {
        return format!("{said}\n");
    }
    if !has_colours {
        return format!("{}: {said}\n", line.from);
    }
    let hash = line.from.bytes().fold(7usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
    format!("\x1b[{}m{}:\x1b[0m {said}\x1b[0m\n", COLOURS[hash % COLOURS.len()], line.from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_whose_it_is_where_that_is_not_known() {
        let line = LogLine { from: "m/0".into(), time: None, level: None, text: "loaded".into() };
        assert_eq!(text(&line, None, false), "m/0: loaded\n");
        assert_eq!(text(&line, Some("m/0"), false), "loaded\n");
        assert!(text(&line, Some("m"), true).contains("m/0:\x1b[0m loaded"));
    }
}

//! `GET /api/v1/logs`: lines of the gateway's log and of those of its engines, of one or merged.

mod file;
mod line;

use std::path::PathBuf;
use std::time::Duration;

use axum::Json;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use self::file::LogFile;
use self::line::{here, line};
use super::error::ApiError;
use super::query::words;
use super::{Admin, sse};
use crate::api::{LogLine, LogsView};
use crate::telemetry::{GATEWAY, LogHistory};

/// Lines that are told of each log, unless more or fewer are asked for.
const LINES: usize = 500;

/// The most that can be asked for.
const MOST_LINES: usize = 10_000;

/// How often logs are looked at for who follows them.
const PAUSE: Duration = Duration::from_millis(250);

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ask {
    /// Whose log: an engine's, those of a model's engines, or `gateway`; `None`: all.
    from: Option<String>,
    lines: usize,
    /// Lines from then on, as far as lines tell their time.
    since: Option<Timestamp>,
    /// Lines that contain this, in upper or lower case.
    grep: Option<String>,
    /// And those that come.
    pub(super) follow: bool,
}

/// The query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    from: Option<String>,
    lines: Option<usize>,
    since: Option<String>,
    grep: Option<String>,
    follow: Option<bool>,
}

impl Ask {
    /// Understands a query.
    pub(super) fn parse(uri: &Uri) -> Result<Self, ApiError> {
        let words: Words = words(uri)?;
        let lines = words.lines.unwrap_or(LINES);
        if lines > MOST_LINES {
            return Err(ApiError::malformed(format!("`lines` is at most {MOST_LINES}.")));
        }
        let since = words.since.as_deref().map(since).transpose()?;
        let grep = words.grep.filter(|text| !text.is_empty()).map(|text| text.to_lowercase());
        Ok(Self { from: words.from, lines, since, grep, follow: words.follow.unwrap_or(false) })
    }

    fn wants(&self, line: &LogLine) -> bool {
        self.grep.as_ref().is_none_or(|text| line.text.to_lowercase().contains(text))
    }

    /// Leaves out what is not wanted of one log. A line without a time belongs to the one before it.
    fn select(&self, lines: &mut Vec<LogLine>) {
        let mut is_old = self.since.is_some();
        lines.retain(|line| {
            let time = line.time.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
            if let (Some(time), Some(since)) = (time, self.since) {
                is_old = time < since;
            }
            !is_old && self.wants(line)
        });
        lines.drain(..lines.len().saturating_sub(self.lines));
    }
}

/// A time (RFC 3339), or how long ago it was (`10m`).
fn since(text: &str) -> Result<Timestamp, ApiError> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = humantime::parse_duration(text).ok().and_then(|ago| Timestamp::now().checked_sub(ago).ok());
    ago.ok_or_else(|| {
        ApiError::malformed("`since` is a time such as 2026-11-30T12:00:00Z, or how long ago it was, such as 10m.")
    })
}

/// The logs that are asked for.
struct Sources {
    gateway: Option<LogHistory>,
    engines: Vec<(String, LogFile)>,
}

impl Sources {
    fn of(admin: &Admin, from: Option<&str>) -> Result<Self, ApiError> {
        let log = |engine: &crate::engines::Engine| -> Option<(String, PathBuf)> {
            Some((engine.id.to_string(), engine.process.local()?.log.clone()))
        };
        let engines = match from {
            Some(GATEWAY) => Vec::new(),
            None => admin.registry.engines().iter().filter_map(|(_, engine)| log(engine)).collect(),
            Some(name) => {
                let unknown = || {
                    ApiError::unknown(format!(
                        "There is no engine and no model `{name}`; GET /api/v1/engines lists all engines."
                    ))
                };
                let engines = match (admin.registry.engine(name), admin.registry.pool(name)) {
                    (Some((_, engine)), _) => vec![engine],
                    (None, Some(pool)) => pool.engines().to_vec(),
                    (None, None) => return Err(unknown()),
                };
                let found: Vec<_> = engines.iter().filter_map(|engine| log(engine)).collect();
                if found.is_empty() {
                    let elsewhere = "This gateway does not run the engine (`urls:`): its log is where it runs.";
                    return Err(ApiError::refused(elsewhere));
                }
                found
            }
        };
        let gateway = from.is_none_or(|from| from == GATEWAY).then(|| admin.logs.clone());
        Ok(Self { gateway, engines: engines.into_iter().map(|(id, path)| (id, LogFile::new(path))).collect() })
    }

    /// The last lines of all of them; the number of the gateway's.
    fn last(&mut self, ask: &Ask) -> (Vec<LogLine>, u64) {
        let (mut lines, told) = self.gateway.as_ref().map_or((Vec::new(), 0), |gateway| gateway.since(0));
        ask.select(&mut lines);
        let now = here();
        for (engine, file) in &mut self.engines {
            // Ten lines of a file for each that is wanted: not all will be.
            let read = file.last(if ask.grep.is_some() || ask.since.is_some() { usize::MAX } else { ask.lines });
            let mut of_engine: Vec<LogLine> = match read {
                Ok(read) => read.into_iter().map(|text| line(engine, text, &now)).collect(),
                Err(error) => vec![unreadable(engine, &error)],
            };
            ask.select(&mut of_engine);
            lines.append(&mut of_engine);
        }
        (merged(lines), told)
    }

    /// What was written since.
    fn more(&mut self, told: &mut u64, ask: &Ask) -> Vec<LogLine> {
        let mut lines = Vec::new();
        if let Some(gateway) = &self.gateway {
            let (news, all) = gateway.since(*told);
            *told = all;
            lines.extend(news);
        }
        let now = here();
        for (engine, file) in &mut self.engines {
            let more = file.more().unwrap_or_default();
            lines.extend(more.into_iter().map(|text| line(engine, text, &now)));
        }
        lines.retain(|line| ask.wants(line));
        merged(lines)
    }
}

fn unreadable(engine: &str, error: &std::io::Error) -> LogLine {
    let (time, level) = (None, Some("error".to_owned()));
    LogLine { from: engine.to_owned(), time, level, text: format!("(the log of this engine cannot be read: {error})") }
}

/// Lines of several logs in the order of their times; each log's own stay in their order, and one without a time behind the
/// one before it.
fn merged(lines: Vec<LogLine>) -> Vec<LogLine> {
    let (mut from, mut last) = (String::new(), None::<Timestamp>);
    let mut keyed: Vec<(Option<Timestamp>, LogLine)> = Vec::with_capacity(lines.len());
    for line in lines {
        if line.from != from {
            (from, last) = (line.from.clone(), None);
        }
        let time = line.time.as_deref().and_then(|time| time.parse().ok());
        last = time.max(last);
        keyed.push((last, line));
    }
    keyed.sort_by_key(|(time, _)| *time);
    keyed.into_iter().map(|(_, line)| line).collect()
}

/// Answers `ask`.
pub(super) async fn answer(admin: &Admin, ask: Ask) -> Result<Response, ApiError> {
    let mut sources = Sources::of(admin, ask.from.as_deref())?;
    // A file system may hang: it must not keep the server.
    let broken =
        |error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the logs could not be read: {error}"));
    let (sources, ask, lines, told) = spawn_blocking(move || {
        let (lines, told) = sources.last(&ask);
        (sources, ask, lines, told)
    })
    .await
    .map_err(broken)?;
    if !ask.follow {
        return Ok(Json(LogsView { lines }).into_response());
    }
    let follower = Follower { admin: admin.clone(), sources: Some(sources), ask, told, first: Some(lines) };
    let pieces = stream::unfold(follower, |mut follower| async move { Some((follower.piece().await?, follower)) });
    Ok(sse::answer(pieces))
}

/// A client that follows logs.
struct Follower {
    admin: Admin,
    /// `None`: a thread that reads them was lost.
    sources: Option<Sources>,
    ask: Ask,
    told: u64,
    first: Option<Vec<LogLine>>,
}

impl Follower {
    /// What is sent next; `None`: it is over.
    async fn piece(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(messages(&first, sse::CONNECTED));
        }
        loop {
            sleep(PAUSE).await;
            if self.admin.events.is_closed() {
                return None;
            }
            let (mut sources, mut told, ask) = (self.sources.take()?, self.told, self.ask.clone());
            let read = spawn_blocking(move || {
                let lines = sources.more(&mut told, &ask);
                (sources, told, lines)
            });
            let (sources, told, lines) = read.await.ok()?;
            (self.sources, self.told) = (Some(sources), told);
            if !lines.is_empty() {
                return Some(messages(&lines, ""));
            }
        }
    }
}

fn messages(lines: &[LogLine], before: &str) -> Bytes {
    let mut text = before.to_owned();
    for line in lines {
        sse::message(&mut text, &serde_json::to_string(line).unwrap_or_default());
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(from: &str, time: Option<&str>, text: &str) -> LogLine {
        LogLine {
            from: from.into(),
            time: time.map(|time| format!("2026-11-30T10:00:{time}Z")),
            level: None,
            text: text.into(),
        }
    }

    fn ask(query: &str) -> Result<Ask, ApiError> {
        Ask::parse(&format!("/api/v1/logs?{query}").parse().expect("a path"))
    }

    #[test]
    fn logs_are_merged_by_time_and_lines_without_one_stay_where_they_are() {
        let lines = vec![
            said("gateway", Some("02"), "2"),
            said("gateway", Some("05"), "5"),
            said("a/0", None, "0"),
            said("a/0", Some("03"), "3"),
            said("a/0", None, "3b"),
            said("b/0", Some("01"), "1"),
            said("b/0", Some("04"), "4"),
        ];
        let order: Vec<String> = merged(lines).into_iter().map(|line| line.text).collect();
        assert_eq!(order, ["0", "1", "2", "3", "3b", "4", "5"]);
    }

    #[test]
    fn a_question_leaves_what_it_asks_for() {
        let select = |query: &str| {
            let mut lines = vec![
                said("a/0", Some("01"), "Loading"),
                said("a/0", Some("03"), "Traceback"),
                said("a/0", None, "  in loading.py"),
                said("a/0", Some("04"), "done"),
            ];
            ask(query).expect("a question").select(&mut lines);
            lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("|")
        };
        assert_eq!(select("since=2026-11-30T10:00:02Z"), "Traceback|  in loading.py|done");
        assert_eq!(select("grep=LOAD"), "Loading|  in loading.py");
        assert_eq!(select("lines=1&grep="), "done");
        assert_eq!(select("lines=0"), "");
        let wanted = ask("from=m%2F0&follow=true").expect("a question");
        assert_eq!((wanted.from.as_deref(), wanted.follow, wanted.lines), (Some("m/0"), true, LINES));
        for bad in ["lines=x", "lines=10001", "since=yesterday", "cats=1", "follow=maybe"] {
            assert!(ask(bad).is_err(), "{bad}");
        }
        assert!(ask("since=10m").expect("a question").since < Some(Timestamp::now()));
    }
}

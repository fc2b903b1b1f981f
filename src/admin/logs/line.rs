//! What a line of an engine's log tells of itself: its time and its level, as vLLM writes them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use crate::api::LogLine;

/// vLLM's levels, and ours for them.
const LEVELS: [(&str, &str); 5] =
    [("INFO", "info"), ("WARNING", "warn"), ("ERROR", "error"), ("CRITICAL", "error"), ("DEBUG", "debug")];

/// The line `text` of the log of `engine`. vLLM begins its lines with level, month, day and time
/// (`INFO 11-30 07:49:09 [api_server.py:12] …`, `vllm/logging_utils/formatter.py`), and those of other processes than the
/// server with their name before it. `now` tells the year and the time zone.
pub(super) fn line(engine: &str, text: String, now: &ZonedDateTime) -> LogLine {
    let (level, time) = head(&text, now).map_or((None, None), |(level, time)| (Some(level), time));
    LogLine {
        from: engine.to_owned(),
        time: time.map(|time| format!("{time:.0}")),
        level: level.map(str::to_owned),
        text,
    }
}

fn head(text: &str, now: &ZonedDateTime) -> Option<(&'static str, Option<Timestamp>)> {
    let text = uncoloured(text);
    let text = text.trim_start();
    // `(EngineCore_DP0 pid=123) INFO …`
    let text = if text.starts_with('(') { text.split_once(") ")?.1 } else { text };
    let (word, rest) = text.split_once([' ', ':'])?;
    let (_, level) = LEVELS.iter().find(|(known, _)| *known == word)?;
    Some((level, time(rest.trim_start_matches([' ', ':']), now)))
}

/// The time that `MM-DD hh:mm:ss` means.
fn time(text: &str, now: &ZonedDateTime) -> Option<Timestamp> {
    let stamp = text.get(..14).filter(|stamp| stamp.is_ascii())?;
    let in_year = |year: i16| -> Option<Timestamp> {
        let time: DateTime = format!("{year:04}-{}T{}", stamp.get(..5)?, stamp.get(6..)?).parse().ok()?;
        Some(time.to_zoned_datetime(now.time_zone().clone()).ok()?.timestamp())
    };
    // Of the last days of a year that has ended, when it is just January.
    let day_ahead = now.timestamp().as_second() + 24 * 60 * 60;
    in_year(now.year()).filter(|time| time.as_second() <= day_ahead).or_else(|| in_year(now.year() - 1))
}

/// Without the colours of a terminal at its beginning (`ESC [ … m`).
fn uncoloured(text: &str) -> &str {
    let mut rest = text;
    while let Some((_, after)) = rest.strip_prefix("\u{1b}[").and_then(|code| code.split_once('m')) {
        rest = after;
    }
    rest
}

/// The time here and now.
pub(super) fn here() -> ZonedDateTime {
    Timestamp::now().to_zoned_datetime(TimeZone::system())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<String>, Option<String>) {
        let now: ZonedDateTime = "2026-01-02T10:00:00+01:00[+01:00]".parse().expect("a time");
        let line = line("m/0", text.to_owned(), &now);
        assert_eq!((line.from.as_str(), line.text.as_str()), ("m/0", text));
        (line.level, line.time)
    }

    #[test]
    fn lines_of_vllm_tell_their_level_and_time() {
        let own = |text: &str| Some(text.to_owned());
        for (text, level, time) in [
            ("INFO 01-02 09:59:58 [api_server.py:1] up", own("info"), own("2026-01-02T08:59:58Z")),
            ("(EngineCore_DP0 pid=9) WARNING 01-01 00:30:00 [core.py:2] x", own("warn"), own("2025-12-31T23:30:00Z")),
            ("ERROR 12-31 23:59:59 [x.py:1] y", own("error"), own("2025-12-31T22:59:59Z")),
            ("\u{1b}[36mINFO 01-02 09:00:00 [x.py:1] y", own("info"), own("2026-01-02T08:00:00Z")),
            ("INFO:     127.0.0.1:1 - \"GET /health HTTP/1.1\" 200 OK", own("info"), None),
            ("INFO 02-30 00:00:00 x", own("info"), None),
            ("Traceback (most recent call last):", None, None),
            ("  File \"x.py\", line 1", None, None),
            ("", None, None),
            ("(", None, None),
            ("INFO é1-02 09:59:5é", own("info"), None),
        ] {
            assert_eq!(read(text), (level, time), "{text}");
        }
    }
}

//! The last lines of what one start of an engine wrote to its log.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use crate::secret::Secret;
use crate::supervisor::process::spawn::Log;

/// Bytes looked at. A Python traceback is some ten kilobytes, each of up to eight workers writes one, and the first
/// of them tells most.
const MOST_BYTES: u64 = 512 * 1024;

/// Characters kept of a line.
const MOST_CHARACTERS: usize = 500;

/// The lines of the end of the log, oldest first, without control sequences and without `secret`. Empty when there is
/// nothing or it cannot be read: this is about a failure already, and must not become another one.
pub(crate) fn tail(log: &Log, secret: Option<&Secret>) -> Vec<String> {
    let (bytes, whole) = read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    if !whole {
        // The first one is torn.
        lines.next();
    }
    lines.map(|line| clean(line, secret)).filter(|line| !line.is_empty()).collect()
}

/// The bytes, and whether they are all of this start's.
fn read(log: &Log) -> std::io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(&log.path)?;
    let length = file.metadata()?.len();
    let from = log.from.max(length.saturating_sub(MOST_BYTES));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    // Bounded: something may still be writing.
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok((bytes, from == log.from))
}

/// A line as a terminal would show it: what follows the last carriage return, without colours.
fn clean(line: &str, secret: Option<&Secret>) -> String {
    let line = line.trim_end();
    let shown = line.rsplit('\r').next().unwrap_or(line);
    let mut text = String::with_capacity(shown.len());
    let mut characters = shown.chars();
    while let Some(c) = characters.next() {
        match c {
            '\u{1b}' => {
                // `ESC [ parameters letter`; other sequences are not written by programs that write logs.
                if characters.next() == Some('[') {
                    characters.by_ref().find(|c| ('@'..='~').contains(c));
                }
            }
            '\t' => text.push(' '),
            c if c.is_control() => {}
            c => text.push(c),
        }
    }
    if let Some(secret) = secret.map(Secret::expose).filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
    }
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn written(path: &Path, bytes: &[u8], from: u64) -> Vec<String> {
        std::fs::write(path, bytes).expect("a log");
        tail(&Log { path: path.into(), from }, Some(&Secret::new("sk-1")))
    }

    #[test]
    fn lines_are_of_this_start_only_and_shown_as_a_terminal_would() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m_0.log");
        let lines = written(&path, b"old\nnew \x1b[1;31mred\x1b[0m\tkey sk-1\n\n 10%\r 90%\r100%\nbad \xff byte", 4);
        assert_eq!(lines, ["new red key ***", "100%", "bad \u{fffd} byte"]);
    }

    #[test]
    fn a_long_log_is_read_from_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m_0.log");
        let long = format!("{}\n", "x".repeat(999)).repeat(1000);
        let lines = written(&path, format!("{long}last\n").as_bytes(), 0);
        assert!(lines.len() < 540, "{}", lines.len());
        assert_eq!(lines.last().map(String::as_str), Some("last"));
        assert!(lines.iter().all(|line| line.chars().count() <= MOST_CHARACTERS + 1));
        assert_eq!(lines[0].chars().count(), MOST_CHARACTERS + 1, "the torn first line is left out");
    }

    #[test]
    fn no_log_is_no_lines() {
        assert!(tail(&Log { path: "/nonexistent/x.log".into(), from: 0 }, None).is_empty());
    }
}

//! Log lines that look like vLLM's, on standard output.

use std::io::Write;
use std::time::SystemTime;

/// Writes `text` and a line end; a closed pipe is ignored.
pub(super) fn raw(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes `text` as it is: a part of a line, as progress bars are.
pub(super) fn part(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = write!(out, "{text}").and_then(|()| out.flush());
}

/// A line of the API server: `place` is vLLM's `file.py:line`.
pub(super) fn info(place: &str, text: &str) {
    raw(&line("APIServer", "INFO", place, text));
}

/// A line of another of vLLM's processes.
pub(super) fn from(process: &str, level: &str, place: &str, text: &str) {
    raw(&line(process, level, place, text));
}

fn line(process: &str, level: &str, place: &str, text: &str) -> String {
    // 2026-11-21T21:12:03Z -> 11-21 21:12:03
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let stamp = now.get(5..19).unwrap_or(&now).replace('T', " ");
    format!("({process} pid={}) {level} {stamp} [{place}] {text}", std::process::id())
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_have_vllms_prefix() {
        let line = super::line("APIServer", "INFO", "entry.py:140", "Starting");
        assert!(line.starts_with("(APIServer pid=") && line.ends_with(" [entry.py:140] Starting"), "{line}");
    }
}

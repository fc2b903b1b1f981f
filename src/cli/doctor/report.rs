//! The checks with their outcomes, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// All is well, or this is not needed.
    Ok,
    /// Something may fail, or go badly.
    Warning,
    /// Something will fail.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// The same in every version.
    pub(super) name: &'static str,
    pub(super) status: Status,
    /// A sentence.
    pub(super) found: String,
    /// What to do, where there is something to do.
    pub(super) remedy: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), remedy: None }
    }

    pub(super) fn warning(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, status: Status::Warning, found: found.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn problem(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Problem, ..Self::warning(name, found, remedy) }
    }

    /// A problem where `is_sure`, else a warning.
    pub(super) fn bad(is_sure: bool, name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        let status = if is_sure { Status::Problem } else { Status::Warning };
        Self { status, ..Self::warning(name, found, remedy) }
    }
}

/// JSON: a list.
pub(super) fn json(checks: &[Check]) -> String {
    serde_json::to_string_pretty(checks).unwrap_or_default() + "\n"
}

/// Columns for people, what to do below each, and a sum at the end.
pub(super) fn text(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let status = match check.status {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Problem => "PROBLEM",
        };
        let _ = writeln!(out, "{status:<7}  {:<width$}  {}", check.name, clean(&check.found));
        if let Some(remedy) = &check.remedy {
            let _ = writeln!(out, "{:7}  {:width$}  -> {}", "", "", clean(remedy));
        }
    }
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let some = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let (problems, warnings) = (count(Status::Problem), count(Status::Warning));
    let _ = match (problems, warnings) {
        (0, 0) => writeln!(out, "\nNothing is wrong."),
        _ => writeln!(out, "\n{}, {}.", some(problems, "problem"), some(warnings, "warning")),
    };
    out
}

/// Bytes as people read them.
#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
pub(super) fn size(bytes: u64) -> String {
    match bytes as f64 / f64::from(1 << 30) {
        gib if gib < 1.0 => format!("{:.0} MiB", gib * 1024.0),
        gib => format!("{gib:.1} GiB"),
    }
}

/// `text` in one line, without what a terminal would obey: names of processes and files are anybody's.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_stands_below_what_was_found() {
        let checks = [
            Check::ok("gpus", "2 GPUs."),
            Check::warning("memory", "Little is left.", "End something."),
            Check::problem("ports", "127.0.0.1:8000 is taken\n by \u{1b}x.", "Stop it."),
        ];
        let expected = "\
ok       gpus    2 GPUs.
warning  memory  Little is left.
                 -> End something.
PROBLEM  ports   127.0.0.1:8000 is taken  by  x.
                 -> Stop it.

1 problem, 1 warning.
";
        assert_eq!(text(&checks), expected);
        assert_eq!([64 << 20, 3 << 29].map(size), ["64 MiB", "1.5 GiB"]);
        assert!(text(&checks[..1]).ends_with("\nNothing is wrong.\n"));
        let parsed: serde_json::Value = serde_json::from_str(&json(&checks)).unwrap_or_default();
        assert_eq!(
            parsed[1],
            serde_json::json!({"name": "memory", "status": "warning", "found": "Little is left.", "remedy": "End something."})
        );
    }
}

//! Durations, sizes and log levels.

use std::time::Duration;

use super::super::finding::Finding;
use super::super::path::Path;
use super::super::raw::{Raw, RawHealth, RawPatience, RawRestart};
use super::super::suggest;
use super::super::units::{LONGEST, Time};
use super::models;

pub(super) fn durations_are_sane(raw: &Raw, out: &mut Vec<Finding>) {
    let t = &raw.timeouts;
    let mut all: Vec<(Path, Time)> = [
        ("connect", t.connect),
        ("read", t.read),
        ("write", t.write),
        ("body", t.body),
        ("client_write", t.client_write),
        ("keepalive", t.keepalive),
        ("drain", t.drain),
    ]
    .map(|(key, time)| (Path::of(["timeouts", key]), time))
    .into();
    all.push((Path::of(["engine_logs", "age"]), raw.engine_logs.age));
    for (path, _, model) in models(raw) {
        if let Some(RawPatience::For(time)) = &model.stall_timeout {
            all.push((path.key("stall_timeout"), *time));
        }
        if let Some(RawRestart::Policy(policy)) = &model.restart {
            let path = path.key("restart");
            let times = [
                ("initial_backoff", policy.initial_backoff),
                ("max_backoff", policy.max_backoff),
                ("within", policy.within),
            ];
            all.extend(times.map(|(key, time)| (path.key(key), time)));
        }
        all.extend(model.start_timeout.map(|time| (path.key("start_timeout"), time)));
        all.extend(model.stop_timeout.map(|time| (path.key("stop_timeout"), time)));
        if let Some(RawHealth::Checks(checks)) = &model.health {
            all.push((path.key("health").key("interval"), checks.interval));
            all.push((path.key("health").key("timeout"), checks.timeout));
        }
    }
    for (path, Time(time)) in all {
        if time < Duration::from_millis(1) {
            let reason = "It would be over before it began.";
            out.push(Finding::new(path, reason, "Write at least 1ms; there is no way to switch it off."));
        } else if time > LONGEST {
            out.push(Finding::new(path, "It is longer than a year.", "Write 365d at most."));
        }
    }
}

pub(super) fn sizes_are_sane(raw: &Raw, out: &mut Vec<Finding>) {
    let limits = &raw.limits;
    if raw.engine_logs.size.0 < 64 << 10 {
        let reason = "A log of that size would be put aside before anybody can read it.";
        out.push(Finding::new(Path::of(["engine_logs", "size"]), reason, "Write 64KiB or more."));
    }
    let bounds = [
        ("body", limits.body.0, 1 << 10, "1KiB", 1 << 40, "1TiB"),
        ("body_memory", limits.body_memory.0, 1 << 10, "1KiB", 1 << 50, "1024TiB"),
        // Less does not hold a browser's or a library's usual headers; more is no head.
        ("head", limits.head.0, 1 << 10, "1KiB", 1 << 20, "1MiB"),
    ];
    for (key, size, least, least_text, most, most_text) in bounds {
        if !(least..=most).contains(&size) {
            let reason = format!("It must be between {least_text} and {most_text}.");
            out.push(Finding::new(
                Path::of(["limits", key]),
                reason,
                format!("Write {least_text} or more, {most_text} or less."),
            ));
        }
    }
    if limits.body.0 > limits.body_memory.0 {
        let reason = "One request of the size that `limits.body` allows would not fit.";
        let finding =
            Finding::new(Path::of(["limits", "body_memory"]), reason, "Raise `body_memory`, or lower `body`.");
        out.push(finding.given([Path::of(["limits", "body"])]));
    }
}

pub(super) fn log_levels_exist(raw: &Raw, out: &mut Vec<Finding>) {
    let levels = ["error", "warn", "info", "debug", "trace", "off"];
    let path = Path::of(["log", "level"]);
    for part in raw.log.level.split(',').map(str::trim) {
        // A bare word would be taken for the name of a module, and everything else be silent.
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        let bare = !part.contains(['=', ':', '[']);
        if (bare || !part.contains('[')) && !levels.contains(&level.to_ascii_lowercase().as_str()) {
            let (remedy, _) = suggest::remedy(level, &levels, "Levels");
            out.push(Finding::new(path, format!("There is no log level {level:?}."), remedy));
            return;
        }
    }
    if tracing_subscriber::EnvFilter::try_new(&raw.log.level).is_err() {
        let remedy = "Write a level such as info, or a filter such as `info,enginehouse::proxy=debug`.";
        out.push(Finding::new(path, "This is not a log filter.", remedy));
    }
}

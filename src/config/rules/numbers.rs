//! Sizes and log levels.

use crate::config::diagnostic::Draft;
use crate::config::log_level::log_level_error;
use crate::config::path::Path;
use crate::config::raw::Raw;

pub(super) fn sizes_are_sane(raw: &Raw, out: &mut Vec<Draft>) {
    let limits = &raw.limits;
    if raw.engine_logs.size < 64 << 10 {
        let reason = "A log file of this size holds too little to be read.";
        out.push(Draft::new(Path::of(&["engine_logs", "size"]), reason, "Write 64KiB or more."));
    }
    let bounds = [
        ("body", limits.body, 1 << 10, "1KiB", 1 << 40, "1TiB"),
        ("body_memory", limits.body_memory, 1 << 10, "1KiB", 1 << 50, "1024TiB"),
        // Less does not hold a browser's or a library's usual headers; more is not a head.
        ("head", limits.head, 1 << 10, "1KiB", 1 << 20, "1MiB"),
    ];
    for (key, size, least, least_text, most, most_text) in bounds {
        if !(least..=most).contains(&size) {
            let reason = format!("It must be between {least_text} and {most_text}.");
            let remedy = format!("Write {least_text} or more, {most_text} or less.");
            out.push(Draft::new(Path::of(&["limits", key]), reason, remedy));
        }
    }
    if limits.body > limits.body_memory {
        let reason = "One request as large as `limits.body` allows would not fit.";
        let path = Path::of(&["limits", "body_memory"]);
        let draft = Draft::new(path, reason, "Raise `body_memory`, or lower `body`.");
        out.push(draft.given([Path::of(&["limits", "body"])]));
    }
}

pub(super) fn log_levels_exist(raw: &Raw, out: &mut Vec<Draft>) {
    if let Some((reason, remedy)) = log_level_error(&raw.log.level) {
        out.push(Draft::new(Path::of(&["log", "level"]), reason, remedy));
    }
}

//! What `log.level` may say: a level, or a filter in the syntax of `RUST_LOG`.

use super::suggest;

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Why `level` is no log level and no log filter, and what to do; `None`: it is one.
#[must_use]
pub fn log_level_error(level: &str) -> Option<(String, String)> {
    for part in level.split(',').map(str::trim) {
        // A bare word would be taken for the name of a module, and everything else be silent.
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        let bare = !part.contains(['=', ':', '[']);
        if (bare || !part.contains('[')) && !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            let (remedy, _) = suggest::remedy(level, &LEVELS, "Levels");
            let reason = match (level, part) {
                ("", "") => "A log level is missing.".to_owned(),
                ("", part) => format!("A log level is missing after {part:?}."),
                (level, _) => format!("There is no log level {level:?}."),
            };
            return Some((reason, remedy));
        }
    }
    let remedy = "Write a level such as info, or a filter such as `info,enginehouse::proxy=debug`.";
    let is_filter = tracing_subscriber::EnvFilter::try_new(level).is_ok();
    (!is_filter).then(|| ("This is not a log filter.".to_owned(), remedy.to_owned()))
}

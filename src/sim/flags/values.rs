//! Values of flags as vLLM writes them: durations, lengths, adapters.

use std::collections::BTreeMap;
use std::time::Duration;

/// `50ms`, `2s`, `0`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|why| format!("{why}; write e.g. 50ms or 2s"))
}

/// `4096`, or vLLM's `4k` (thousands) and `4K` (1024s).
pub(super) fn parse_length(text: &str) -> Result<usize, String> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1000),
        Some(b'K') => (&text[..text.len() - 1], 1024),
        _ => (text, 1),
    };
    match digits.parse::<usize>().ok().and_then(|number| number.checked_mul(factor)) {
        Some(length) if length > 0 => Ok(length),
        _ => Err("not a number of tokens; write e.g. 4096 or 32K".into()),
    }
}

/// `NAME=PATH` or `{"name": …, "path": …}`.
pub(super) fn parse_adapter(text: &str) -> Result<(String, String), String> {
    let from_json = || {
        let members: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).ok()?;
        Some((members.get("name")?.as_str()?.to_owned(), members.get("path")?.as_str()?.to_owned()))
    };
    let pair = if text.trim_start().starts_with('{') {
        from_json()
    } else {
        text.split_once('=').map(|(name, path)| (name.to_owned(), path.to_owned()))
    };
    pair.filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
        format!("--lora-modules: {text:?} names no adapter. Write NAME=PATH or {{\"name\": \"…\", \"path\": \"…\"}}.")
    })
}

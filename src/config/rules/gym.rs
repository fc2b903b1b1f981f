//! `gym:` blocks of aliases: headers and folders.

use super::entries::aliases;
use crate::config::diagnostic::Draft;
use crate::config::path::Path;
use crate::config::raw::Raw;
use crate::config::types::Gym;

fn blocks(raw: &Raw) -> impl Iterator<Item = (Path, &Gym)> {
    aliases(raw).filter_map(|(path, _, alias)| Some((path.key("gym"), alias.gym.as_ref()?)))
}

/// Unlike an alias's own `headers`, these may hold `authorization`: Gym takes it, too, and its own key replaces it.
pub(super) fn headers_can_be_sent(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, gym) in blocks(raw) {
        for (name, value) in &gym.default_headers {
            let path = path.key("default_headers").key(name);
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
                let reason = format!("`{name}` cannot be the name of a header.");
                out.push(Draft::new(path, reason, "Use letters, digits and dashes, such as X-Session-ID.").hidden());
            } else if !value.expose().bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
                let reason = "The value has characters that cannot be sent in a header.";
                out.push(Draft::new(path, reason, "Use visible ASCII characters only.").hidden());
            }
        }
    }
}

pub(super) fn folders_are_absolute(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, gym) in blocks(raw) {
        if gym.audio_root.as_ref().is_some_and(|root| !root.is_absolute()) {
            let reason = "Where a relative folder is depends on where Enginehouse was started.";
            out.push(Draft::new(path.key("audio_root"), reason, "Write an absolute path."));
        }
    }
}

//! Wildcard aliases: `claude-*` stands for all names that begin so, `*` for all others.

use super::aliases::targets;
use super::entries::aliases;
use crate::config::diagnostic::Draft;
use crate::config::expanded_alias::STAR;
use crate::config::path::Path;
use crate::config::raw::{Raw, RawAlias};
use crate::config::types::WILDCARD;

/// Every wildcard alias, as written.
fn wildcards(raw: &Raw) -> impl Iterator<Item = (Path, &str, &RawAlias)> {
    aliases(raw)
        .filter(|(_, name, alias)| name.ends_with(WILDCARD) && !name.ends_with(STAR) && alias.variants.is_none())
}

pub(super) fn stars_are_last(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, name, _) in aliases(raw) {
        if name.strip_suffix(STAR).or(name.strip_suffix(WILDCARD)).unwrap_or(name).contains(WILDCARD) {
            let reason = "A star in the name of an alias stands for the end of names, and so must be last.";
            out.push(
                Draft::new(path, reason, "Write a beginning and one star, such as \"claude-*\", or \"*\".").hidden(),
            );
        }
    }
}

pub(super) fn wildcards_are_no_targets(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, _, alias) in aliases(raw) {
        let model = alias.model.as_deref().map(|model| (path.key("model"), "", model));
        for (path, _, target) in model.into_iter().chain(targets(&path, alias)) {
            if wildcards(raw).any(|(_, name, other)| name == target && !std::ptr::eq(other, alias)) {
                let reason = format!("`{target}` stands for many names, so that nothing can point at it.");
                out.push(Draft::new(path, reason, "Write what it points at, or an alias with one name."));
            }
        }
    }
}

pub(super) fn wildcards_have_no_address(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, name, alias) in wildcards(raw) {
        for (key, written) in [("listen", alias.listen.is_some()), ("gym", alias.gym.is_some())] {
            if written {
                let reason = format!("This is for an alias with one name; `{name}` stands for many.");
                out.push(Draft::new(path.key(key), reason, "Remove it; write another alias for it."));
            }
        }
    }
}

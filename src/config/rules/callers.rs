//! Callers: they have names and keys, and no two share a key.

use std::collections::HashMap;

use super::names;
use crate::config::diagnostic::Draft;
use crate::config::path::Path;
use crate::config::raw::{Raw, RawAnonymous, RawCaller};
use crate::config::secrets::caller_key;
use crate::config::types::ANONYMOUS;

/// Every caller, as written, with its path.
fn callers(raw: &Raw) -> impl Iterator<Item = (Path, &str, &RawCaller)> {
    raw.callers.iter().map(|(name, caller)| (Path::of(&["callers", name]), name, caller))
}

/// Every key with its path.
fn keys(raw: &Raw) -> impl Iterator<Item = (Path, &String)> {
    callers(raw).flat_map(|(path, _, caller)| {
        let path = path.key("keys");
        caller.keys.iter().enumerate().map(move |(at, key)| (path.index(at), key))
    })
}

pub(super) fn callers_have_names(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, name, _) in callers(raw) {
        if name == ANONYMOUS {
            let reason = "This name means callers without a key.";
            out.push(Draft::new(path, reason, "Choose another name; `anonymous: true` admits those callers.").hidden());
        } else {
            names::check(path, name, "caller", "chatbot", out);
        }
    }
}

pub(super) fn callers_have_keys(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, ..) in callers(raw).filter(|(_, _, caller)| caller.keys.is_empty()) {
        let reason = "This caller has no key, so no request can be from it.";
        let draft = Draft::new(path.clone(), reason, "Add `keys: [\"${CHATBOT_KEY}\"]`.");
        out.push(draft.hidden().given([path.key("keys")]));
    }
    out.extend(keys(raw).filter_map(|(path, text)| Some(caller_key(text).err()?.at(path).hidden())));
}

pub(super) fn a_key_is_one_callers(raw: &Raw, out: &mut Vec<Draft>) {
    let mut taken = HashMap::new();
    for (path, text) in keys(raw) {
        let Ok(hash) = caller_key(text) else { continue };
        if let Some(other) = taken.get(&hash) {
            let reason = format!("The same key is at {other}.");
            out.push(Draft::new(path, reason, "A key tells who the caller is: give each caller its own.").hidden());
        } else {
            taken.insert(hash, path);
        }
    }
}

pub(super) fn anonymous_needs_callers(raw: &Raw, out: &mut Vec<Draft>) {
    if raw.callers.0.is_empty() && raw.anonymous.is_some() {
        let reason = "Without `callers` every request is anonymous and accepted; this changes nothing.";
        out.push(Draft::new(Path::of(&["anonymous"]), reason, "Add `callers`, or remove this."));
    }
}

pub(super) fn placeholders_can_be_sent(raw: &Raw, out: &mut Vec<Draft>) {
    let Some(RawAnonymous::With(anonymous)) = &raw.anonymous else { return };
    for (at, placeholder) in anonymous.keys.iter().enumerate() {
        let path = Path::of(&["anonymous", "keys"]).index(at);
        let same = keys(raw).find(|(_, key)| *key == placeholder);
        if placeholder.is_empty() || !placeholder.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason = "This cannot be sent as a key.";
            out.push(Draft::new(path, reason, "Use visible ASCII characters only, without spaces."));
        } else if let Some((other, _)) = same {
            let reason = format!("This is the key of a caller, at {other}, and counts as that.");
            out.push(Draft::new(path, reason, "Remove it here, or give the caller another key.").hidden());
        }
    }
}

//! Callers: they have names and keys, and a key is one caller's.

use std::collections::HashMap;

use super::super::callers::{ANONYMOUS, key};
use super::super::finding::Finding;
use super::super::path::Path;
use super::super::raw::{Raw, RawCaller};
use super::names;

/// Every caller, as written, with its path.
fn callers(raw: &Raw) -> impl Iterator<Item = (Path, &str, &RawCaller)> {
    raw.callers.iter().map(|(name, caller)| (Path::of(["callers", name]), name, caller))
}

pub(super) fn callers_have_names(raw: &Raw, out: &mut Vec<Finding>) {
    for (path, name, _) in callers(raw) {
        if name == ANONYMOUS {
            let reason = "This is the name of callers without a key.";
            out.push(Finding::new(path, reason, "Choose another; `anonymous: true` lets those in.").hidden());
        } else {
            names::check(path, name, "caller", "chatbot", out);
        }
    }
}

pub(super) fn callers_have_keys(raw: &Raw, out: &mut Vec<Finding>) {
    for (path, _, caller) in callers(raw) {
        if caller.keys.is_empty() {
            let reason = "This caller has no key: it could never be known.";
            let finding = Finding::new(path.clone(), reason, "Add `keys: [\"${CHATBOT_KEY}\"]`.");
            out.push(finding.hidden().given([path.key("keys")]));
        }
        for (at, text) in caller.keys.iter().enumerate() {
            if let Err(why) = key(text) {
                out.push(why.at(path.key("keys").index(at)).hidden());
            }
        }
    }
}

pub(super) fn a_key_is_one_callers(raw: &Raw, out: &mut Vec<Finding>) {
    let mut taken = HashMap::new();
    for (path, _, caller) in callers(raw) {
        for (at, text) in caller.keys.iter().enumerate() {
            let path = path.key("keys").index(at);
            let Ok(hash) = key(text) else { continue };
            if let Some(other) = taken.get(&hash) {
                let reason = format!("This key is written at {other} already.");
                out.push(Finding::new(path, reason, "A key tells who it is: give each caller its own.").hidden());
            } else {
                taken.insert(hash, path);
            }
        }
    }
}

pub(super) fn strangers_are_told_from_callers(raw: &Raw, out: &mut Vec<Finding>) {
    if raw.callers.0.is_empty() && raw.anonymous.is_some() {
        let reason = "Without `callers` everybody is anonymous, whatever is written here.";
        out.push(Finding::new(Path::of(["anonymous"]), reason, "Add `callers`, or take this out."));
    }
}

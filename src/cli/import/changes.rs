//! Changes to requests: members and headers that every request gets, as far as they can be written here.

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::document::Section;
use super::draft::Draft;
use super::values::scalar;
use crate::config::is_own_header;

/// The member that says which model is asked; nothing changes it.
const MODEL: &str = "model";

/// Writes members under `key` (`defaults` or `overrides`), with secrets as variables of `owner`.
pub(super) fn members(
    draft: &mut Draft,
    path: &str,
    owner: &str,
    key: &str,
    all: &Map<String, Value>,
    out: &mut Section,
) {
    let mut section = Section::default();
    for (member, value) in all.iter().filter(|(member, _)| *member != MODEL) {
        let has_inner =
            all.keys().any(|other| other.strip_prefix(member.as_str()).is_some_and(|rest| rest.starts_with('.')));
        let fits = is_member(member)
            && !member.starts_with("model.")
            && !has_inner
            && (member != "stream" || value.is_boolean());
        if fits {
            draft.put(&mut section, path, owner, member, value.clone());
        } else {
            draft.notes.say(
                &mut section,
                path,
                "a member was left out, because its name or its value cannot be set here.",
            );
        }
    }
    out.nest_any(key, section);
}

/// Whether it can be the name of a member that is changed or removed.
pub(super) fn is_member(name: &str) -> bool {
    name != MODEL && !name.split('.').any(str::is_empty)
}

/// Writes headers.
pub(super) fn headers(draft: &mut Draft, path: &str, owner: &str, all: &Map<String, Value>, out: &mut Section) {
    let mut section = Section::default();
    for (name, value) in all {
        let value = scalar(value).filter(|value| HeaderValue::from_str(value).is_ok());
        let fits = HeaderName::try_from(name).is_ok() && !is_own_header(name);
        match value.filter(|_| fits) {
            Some(value) => draft.put(&mut section, path, owner, name, value.into()),
            None => draft.notes.say(
                &mut section,
                path,
                "a header was left out, because Enginehouse sets it itself or it cannot be sent.",
            ),
        }
    }
    out.nest_any("headers", section);
}

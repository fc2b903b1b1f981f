//! Writes down what operators did, and tells those who listen.

use std::time::SystemTime;

use axum::http::{Method, StatusCode, Uri};

use super::Admin;
use crate::api::{AuditEntry, Event, OperatorView};

/// The longest text that an entry has in one of its fields, in bytes. A name or a path may be much longer, and all who listen
/// get it.
const LONGEST: usize = 4096;

/// Notes that `operator` asked for something, and what became of it: the status, and why it was refused.
pub(super) async fn note(
    admin: &Admin,
    operator: OperatorView,
    (method, uri): (&Method, &Uri),
    detail: String,
    (status, error): (StatusCode, Option<String>),
) {
    let entry = AuditEntry {
        at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        operator,
        request: cut(format!("{method} {uri}")),
        detail: cut(detail),
        status: status.as_u16(),
        error: error.map(cut),
    };
    admin.audit.write(entry.clone()).await;
    admin.events.publish(&Event::Audit(entry));
}

/// The beginning of a text that is too long, and how long it was.
fn cut(mut text: String) -> String {
    let length = text.len();
    if length > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push_str(&format!("… (cut; it has {length} bytes)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters_and_say_so() {
        let fits = "x".repeat(LONGEST);
        assert_eq!(cut(fits.clone()), fits);
        let long = "é".repeat(LONGEST);
        let told = cut(format!("x{long}"));
        let kept = told.strip_suffix(&format!("… (cut; it has {} bytes)", 1 + 2 * LONGEST)).expect("it says so");
        assert_eq!(kept, &format!("x{long}")[..LONGEST - 1]);
    }
}

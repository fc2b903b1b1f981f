//! How what is explained is printed.

use crate::openai::Change;

/// A part of what is printed, under a heading.
pub(super) fn section(out: &mut Vec<u8>, heading: &str, text: &[u8]) {
    out.extend_from_slice(format!("\n--- {heading}\n").as_bytes());
    out.extend_from_slice(text.trim_ascii_end());
    out.push(b'\n');
}

/// What was changed, which headers are sent, and the body that the engine gets.
pub(super) fn ending(out: &mut Vec<u8>, changes: &str, headers: &[&str], body: &[u8]) {
    section(out, "changes", changes.as_bytes());
    if !headers.is_empty() {
        section(out, "headers", format!("{} (values are not shown)", headers.join(", ")).as_bytes());
    }
    section(out, "after", body);
}

/// One line for each change: the member, old and new, and what made it.
pub(super) fn changes(noted: &[Change], renamed_later: bool) -> String {
    const LONGEST: usize = 100;
    let short = |text: &Option<String>| match text {
        None => "(nothing)".to_owned(),
        Some(text) => match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
            None => text.clone(),
        },
    };
    let line = |change: &Change| {
        let Change { origin, part, field, old, new } = change;
        format!("{field}: {} -> {}\n    {part} of {origin}\n", short(old), short(new))
    };
    let mut text: String = noted.iter().map(line).collect();
    if renamed_later {
        text += "model: becomes the name that the engine uses\n    the gateway reads that name from the engine's /v1/models\n";
    }
    if text.is_empty() { "none".into() } else { text }
}

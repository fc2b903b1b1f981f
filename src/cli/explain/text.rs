//! How what is explained is printed.

use super::view::{Asked, By, Done, Explained, Way, When};
use crate::openai::Change;

/// All of it.
pub(super) fn text(explained: &Explained) -> Vec<u8> {
    let Explained { name, wildcard, answered_by, path, own_address, before, places, has_several } = explained;
    let by = wildcard.as_ref().map_or_else(String::new, |alias| format!(" (by the alias {alias})"));
    let mut out = format!("{name}{by} -> {}, POST {path}\n", answered_by.join(" or "));
    if let Some(address) = own_address {
        out += &format!("(also at http://{address}/v1, where requests need not name a model)\n");
    }
    let mut out = out.into_bytes();
    section(&mut out, "before", &before.0);
    for way in places {
        if *has_several {
            out.extend_from_slice(format!("\n=== {}\n", title(way)).as_bytes());
        }
        match &way.done {
            Done::Asked(asked) => becomes(&mut out, asked),
            Done::Answered { status, answer } => {
                let note = format!("\n(by NeMo Gym's rules no engine is asked: status {status})\n");
                out.extend_from_slice(note.as_bytes());
                section(&mut out, "answer", &answer.0);
            }
        }
    }
    out
}

fn title(Way { name, when, model, .. }: &Way) -> String {
    match when {
        When::Always => format!("usually -> {model}"),
        When::Share { percent } => format!("part {name}, {percent} % of the requests -> {model}"),
        When::Fallback { number } => format!("fallback {number}, {name} -> {model}"),
        When::Mirror { percent } => format!("copy of {percent} % of the requests, {name} -> {model}"),
    }
}

/// A part of what is printed, under a heading.
fn section(out: &mut Vec<u8>, heading: &str, text: &[u8]) {
    out.extend_from_slice(format!("\n--- {heading}\n").as_bytes());
    out.extend_from_slice(text.trim_ascii_end());
    out.push(b'\n');
}

/// What was changed, which headers are sent, and the body that the engine gets.
fn becomes(out: &mut Vec<u8>, asked: &Asked) {
    let Asked { by, asked_path, changes: noted, renamed_later, headers, after } = asked;
    let note = match by {
        By::Settings => String::new(),
        By::Translation => format!("\n(translated for POST {asked_path} before all other changes)\n"),
        By::Gym => format!("\n(by NeMo Gym's rules, which first ask an engine for POST {asked_path})\n"),
    };
    out.extend_from_slice(note.as_bytes());
    section(out, "changes", changes(noted, *renamed_later).as_bytes());
    if !headers.is_empty() {
        section(out, "headers", format!("{} (values are not shown)", headers.join(", ")).as_bytes());
    }
    section(out, "after", &after.0);
}

/// One line for each change: the member, old and new, and what made it.
fn changes(noted: &[Change], renamed_later: bool) -> String {
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

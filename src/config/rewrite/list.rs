//! The lines of a list with other items in it: those that stay keep their comments.

use serde_json::Value;

use super::lines::{INDENT, indentation, indented};
use crate::config::document::{self, Node};

/// The lines of the member `key` with the items `wanted` in its list: those that were there stay as they are written, with the
/// comments above and behind them. `first`: the number of the first of these lines. `None`: it is no list with one item a line.
pub(super) fn with_items(
    lines: &[&str],
    (first, key): (usize, &str),
    items: &[Node],
    wanted: &[Value],
) -> Option<String> {
    let mut starts = Vec::with_capacity(items.len());
    for item in items {
        // The item begins with its dash.
        let start = usize::try_from(item.line).ok()?.checked_sub(1)?.checked_sub(first)?;
        let is_next = start > 0 && starts.last().is_none_or(|last| *last < start);
        let is_item = lines.get(start)?.trim_start().starts_with("- ");
        if !is_next || !is_item {
            return None;
        }
        starts.push(start);
    }
    let indent = indentation(lines.get(*starts.first()?)?);
    // Comments above an item belong to it, where they are not those of something in the item before.
    let above = |at: usize, least: usize| {
        let leads =
            |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#') && indentation(line) <= indent;
        (least..at).rev().take_while(|before| leads(lines[*before])).last().unwrap_or(at)
    };
    let mut ends = Vec::with_capacity(starts.len());
    for (at, start) in starts.iter().enumerate() {
        ends.push(starts.get(at + 1).map_or(lines.len(), |next| above(*next, start + 1)));
    }
    let mut out = lines[..above(*starts.first()?, 1)].concat();
    let mut left: Vec<usize> = (0..items.len()).collect();
    for value in wanted {
        match left.iter().position(|item| items[*item].as_written() == *value) {
            Some(at) => {
                let item = left.remove(at);
                let begin = if item == 0 { above(starts[0], 1) } else { ends[item - 1] };
                lines[begin..ends[item]].iter().for_each(|line| out.push_str(line));
                if !out.ends_with('\n') {
                    out.push('\n');
                }
            }
            None => out += &emitted_item(value, indent)?,
        }
    }
    let read = document::read(&out, &mut Vec::new())?.as_written();
    (read.get(key)? == &Value::Array(wanted.to_vec())).then_some(out)
}

/// An item of a list as lines of its own.
fn emitted_item(value: &Value, indent: usize) -> Option<String> {
    let options = serde_saphyr::ser_options! { indent_step: INDENT };
    let text = serde_saphyr::to_string_with_options(&[value], options).ok()?;
    Some(indented(&text, indent))
}

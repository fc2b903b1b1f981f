//! Gives the text of a configuration file another meaning and leaves all else as it is written: comments, order, blank lines.
//!
//! Only mappings in block style (one key a line) are changed inside; anything else that differs is written anew. The result is
//! read again: a text that does not mean what it should is never given out.

use std::ops::Range;

use serde_json::{Map, Value};

use super::emit;
use super::lines::{comment, indentation};
use super::list::with_items;
use crate::config::document::{self, Kind, Node};

/// Why a text cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is written in a way that cannot be changed line by line (mappings in braces, anchors, merge keys): write the sections \
     with one key a line, or make the change by hand"
)]
pub struct RewriteError;

/// The text that means `wanted`, a mapping of values as they are written (variables not expanded).
///
/// # Errors
/// When it cannot be had by changing `text` line by line.
pub fn rewrite(text: &str, wanted: &Map<String, Value>) -> Result<String, RewriteError> {
    let root = document::read(text, &mut Vec::new()).ok_or(RewriteError)?;
    let Kind::Map(members) = &root.kind else { return Err(RewriteError) };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut edits = Vec::new();
    Block { lines: &lines, members, end: lines.len() }.change(wanted, &mut edits)?;
    let new = applied(&lines, edits);
    let mut found = Vec::new();
    let read = document::read(&new, &mut found).ok_or(RewriteError)?;
    // Equal mappings may differ in order.
    if found.is_empty() && read.as_written() == Value::Object(wanted.clone()) { Ok(new) } else { Err(RewriteError) }
}

/// What `text` says, variables not expanded; `None`: it is no mapping.
#[must_use]
pub fn as_written(text: &str) -> Option<Map<String, Value>> {
    match document::read(text, &mut Vec::new())?.as_written() {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// Lines to be replaced, and what by; an empty range inserts.
type Edit = (Range<usize>, String);

/// A mapping in block style.
struct Block<'a> {
    /// All lines of the file, with their ends.
    lines: &'a [&'a str],
    members: &'a [(String, u64, Node)],
    /// The index of the first line after it.
    end: usize,
}

impl Block<'_> {
    /// Adds the edits that make it mean `wanted`.
    fn change(&self, wanted: &Map<String, Value>, edits: &mut Vec<Edit>) -> Result<(), RewriteError> {
        let mut starts = Vec::with_capacity(self.members.len());
        for (key, line, _) in self.members {
            let start = usize::try_from(*line).ok().and_then(|line| line.checked_sub(1)).ok_or(RewriteError)?;
            let is_next = start < self.end && starts.last().is_none_or(|last| *last < start);
            if !is_next || !starts_with_key(self.lines[start].trim_start(), key) {
                return Err(RewriteError);
            }
            starts.push(start);
        }
        let indent = starts.first().map_or(0, |start| indentation(self.lines[*start]));
        let mut last = self.end;
        for (at, (key, _, node)) in self.members.iter().enumerate() {
            let next = starts.get(at + 1).copied().unwrap_or(self.end);
            let range = starts[at]..self.without_what_follows(starts[at], next, indent);
            last = range.end;
            match wanted.get(key) {
                None => edits.push((range, String::new())),
                Some(value) if node.as_written() == *value => {}
                Some(value) => self.replace((key, node, value), (range, indent), edits)?,
            }
        }
        let is_new = |key: &str| self.members.iter().all(|(known, ..)| known != key);
        for (key, value) in wanted.iter().filter(|(key, _)| is_new(key)) {
            edits.push((last..last, emitted(key, value, indent)?));
        }
        Ok(())
    }

    /// Adds the edits that give the member in `range` another value.
    fn replace(
        &self,
        (key, node, value): (&str, &Node, &Value),
        (range, indent): (Range<usize>, usize),
        edits: &mut Vec<Edit>,
    ) -> Result<(), RewriteError> {
        let is_block = !is_flow(self.lines[range.start], key);
        if let (Kind::Map(members), Value::Object(wanted)) = (&node.kind, value)
            && is_block
            && !members.is_empty()
            && !wanted.is_empty()
        {
            return Block { lines: self.lines, members, end: range.end }.change(wanted, edits);
        }
        let in_place = if range.len() == 1 { with_scalar(self.lines[range.start], key, node, value) } else { None };
        let text = match (in_place, &node.kind, value) {
            (Some(line), ..) => line,
            (None, Kind::List(items), Value::Array(wanted)) if is_block => {
                match with_items(&self.lines[range.clone()], (range.start, key), items, wanted) {
                    Some(text) => text,
                    None => {
                        with_comments(&emitted(key, value, indent)?, &self.lines[range.clone()], (is_block, indent))
                    }
                }
            }
            _ => with_comments(&emitted(key, value, indent)?, &self.lines[range.clone()], (is_block, indent)),
        };
        edits.push((range, text));
        Ok(())
    }

    /// The end of what begins at `start`, without the blank lines and comments that lead to the next.
    fn without_what_follows(&self, start: usize, next: usize, indent: usize) -> usize {
        let leads_on = |line: &str| {
            let rest = line.trim();
            rest.is_empty() || rest.starts_with('#') && indentation(line) <= indent
        };
        let after = |at: &usize| !leads_on(self.lines[*at]);
        (start + 1..next).rev().find(after).map_or(start + 1, |last| last + 1)
    }
}

/// Whether a line begins with `key`, plain or in quotes.
fn starts_with_key(line: &str, key: &str) -> bool {
    let bare = line.trim_start_matches(['"', '\'']);
    bare.strip_prefix(key).is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
}

/// Whether the value of `key`, on the same line, begins with a brace or bracket.
fn is_flow(line: &str, key: &str) -> bool {
    let value = line.find(key).map(|at| &line[at + key.len()..]);
    value.is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ', ':']).starts_with(['{', '[']))
}

/// A line with another scalar in it and the same comment behind it.
fn with_scalar(line: &str, key: &str, node: &Node, value: &Value) -> Option<String> {
    if node.spelling.is_empty() || value.is_object() || value.is_array() {
        return None;
    }
    let key_end = line.find(key)? + key.len();
    let at = key_end + line[key_end..].find(&node.spelling)?;
    let new = serde_saphyr::to_string(value).ok()?;
    let new = new.trim_end();
    let is_plain = !new.contains('\n') && !new.starts_with(['|', '>']);
    is_plain.then(|| format!("{}{new}{}", &line[..at], &line[at + node.spelling.len()..]))
}

/// A text with the comments of the lines that it stands for: that of the first line behind its own first line, the others above.
/// Below a key in block style what looks like a comment may be text.
fn with_comments(text: &str, lines: &[&str], (is_block, indent): (bool, usize)) -> String {
    let mut out = String::new();
    let lines = if is_block { &lines[..lines.len().min(1)] } else { lines };
    for comment in lines.iter().skip(1).filter_map(|line| comment(line)) {
        out += &format!("{:indent$}{comment}\n", "");
    }
    match (lines.first().and_then(|line| comment(line)), text.split_once('\n')) {
        (Some(comment), Some((first, rest))) => out + first + " " + comment + "\n" + rest,
        _ => out + text,
    }
}

/// A member as lines of its own.
fn emitted(key: &str, value: &Value, indent: usize) -> Result<String, RewriteError> {
    emit::member(key, value, indent).ok_or(RewriteError)
}

/// The lines with the edits in them, which do not overlap.
fn applied(lines: &[&str], mut edits: Vec<Edit>) -> String {
    // Stable: of two that insert at one place, that of the inner mapping comes first.
    edits.sort_by_key(|(range, _)| range.start);
    let has_returns = lines.first().is_some_and(|line| line.ends_with("\r\n"));
    let (mut out, mut at) = (String::new(), 0);
    for (range, text) in edits {
        for line in &lines[at..range.start.max(at)] {
            out.push_str(line);
        }
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&if has_returns { text.replace('\n', "\r\n").replace("\r\r", "\r") } else { text });
        at = range.end.max(at);
    }
    lines[at..].iter().for_each(|line| out.push_str(line));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(text: &str) -> Map<String, Value> {
        as_written(text).expect("a mapping")
    }

    /// `text` with `value` at `path`; `None`: removed.
    fn set(text: &str, path: [&str; 2], value: Option<Value>) -> Result<String, RewriteError> {
        let mut wanted = meaning(text);
        let section = wanted.entry(path[0]).or_insert_with(|| Value::Object(Map::new()));
        if !section.is_object() {
            *section = Value::Object(Map::new());
        }
        let section = section.as_object_mut().expect("made");
        match value {
            Some(value) => drop(section.insert(path[1].into(), value)),
            None => drop(section.shift_remove(path[1])),
        }
        rewrite(text, &wanted)
    }

    const FILE: &str = "# My gateway\nlisten: 127.0.0.1:8000 # ours\n\nmodels:\n  # The big one\n  big:\n    source: b # weights\n    \
                        args:\n      max-model-len: 4096   # tokens\n\n  # The small one\n  small: { source: s }\n\n# Names\naliases:\n  a:\n    \
                        model: big\n    prompt: |\n      # Title\n\n      text\n";

    #[test]
    fn an_entry_is_added_changed_and_removed_and_every_comment_stays() {
        let added =
            set(FILE, ["aliases", "b"], Some(serde_json::json!({ "model": "small", "hidden": true }))).expect("added");
        assert_eq!(added, format!("{FILE}  b:\n    model: small\n    hidden: true\n"));
        let big = serde_json::json!({ "source": "b", "args": { "max-model-len": 8192, "seed": 1 }, "gpus": ["0"] });
        let changed = set(FILE, ["models", "big"], Some(big)).expect("changed");
        let expected = FILE.replace(
            "      max-model-len: 4096   # tokens\n",
            "      max-model-len: 8192   # tokens\n      seed: 1\n    gpus: [\"0\"]\n",
        );
        assert_eq!(changed, expected);
        let small = set(FILE, ["models", "small"], Some(serde_json::json!({ "source": "t" }))).expect("changed");
        assert_eq!(small, FILE.replace("  small: { source: s }\n", "  small:\n    source: t\n"));
        assert_eq!(
            set(FILE, ["models", "small"], None).expect("removed"),
            FILE.replace("  small: { source: s }\n", "")
        );
        let at = FILE.find("aliases:\n").expect("there");
        assert_eq!(set(FILE, ["aliases", "a"], None).expect("removed"), format!("{}aliases: {{}}\n", &FILE[..at]));
    }

    #[test]
    fn comments_in_what_is_written_anew_stay() {
        let text = "models: {m: {source: s}} # all\naliases: {\n  a: {model: m}, # one\n  # two\n  'b # c': {model: \"m\"}\n}\n";
        let new = set(text, ["aliases", "d"], Some(serde_json::json!({ "model": "m" }))).expect("added");
        let head = "models: {m: {source: s}} # all\n# one\n# two\naliases:\n  a:\n    model: m\n";
        assert!(new.starts_with(head) && new.ends_with("  d:\n    model: m\n"), "{new}");
        let new = set(text, ["models", "m"], Some(serde_json::json!({ "source": "t" }))).expect("changed");
        assert!(new.starts_with("models: # all\n  m:\n    source: t\naliases: {\n"), "{new}");
    }

    #[test]
    fn comments_of_the_items_that_stay_in_a_list_stay() {
        let text = "models:\n  m:\n    urls: # where\n      # The fast one\n      - http://a # first\n\n      # The slow one\n      - http://b\n      \
                    - http://c # third\n    # Of the model\n    replicas: 1\n";
        let with = |urls: Value| {
            let new = serde_json::json!({ "urls": urls, "replicas": 1 });
            set(text, ["models", "m"], Some(new)).expect("changed")
        };
        assert_eq!(
            with(serde_json::json!(["http://a", "http://b", "http://d", "http://c"])),
            text.replace("      - http://c", "      - http://d\n      - http://c")
        );
        assert_eq!(
            with(serde_json::json!(["http://a", "http://c"])),
            text.replace("\n      # The slow one\n      - http://b\n", "")
        );
        let turned = with(serde_json::json!(["http://c", "http://a"]));
        let expected = "    urls: # where\n      - http://c # third\n      # The fast one\n      - http://a # first\n    # Of the model\n";
        assert!(turned.contains(expected), "{turned}");
        assert!(with(serde_json::json!([])).contains("# Of the model"), "no list is no block");
        let items = "models:\n  m:\n    fallback:\n    - a: 1 # one\n      b: # two\n        - x\n    - c: 2\n";
        let wanted = serde_json::json!({ "fallback": [{ "a": 1, "b": ["x"] }, { "c": 3 }] });
        let new = set(items, ["models", "m"], Some(wanted)).expect("changed");
        assert_eq!(new, items.replace("c: 2", "c: 3"));
    }

    #[test]
    fn sections_are_made_where_there_are_none() {
        let caller = serde_json::json!({ "keys": ["${KEY}", "sha256:00"] });
        for text in [
            "models:\n  m: { source: s }",
            "models:\n  m: { source: s }\ncallers:\n",
            "models: {m: {source: s}}\ncallers: {}\n",
        ] {
            let new = set(text, ["callers", "bot"], Some(caller.clone())).expect("added");
            assert_eq!(meaning(&new)["callers"]["bot"], caller, "{new}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_written_the_result_means_what_it_should(text in "([ a-c#:'\"{}\\[\\],&*|>\\-]{0,12}\n){0,8}", name in "[a-c]", value in "[a-c#: ]{0,4}") {
            if let Some(mut wanted) = as_written(&text) {
                wanted.insert(name, Value::String(value));
                if let Ok(new) = rewrite(&text, &wanted) {
                    proptest::prop_assert_eq!(Value::Object(meaning(&new)), Value::Object(wanted));
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_changed_line_by_line_is_refused() {
        for text in [
            "models: {m: {source: s}, n: {source: t}}\n",
            "a: &a\n  source: s\nmodels:\n  m:\n    <<: *a\n    served_name: x\n",
        ] {
            let new = set(text, ["models", "m"], Some(serde_json::json!({ "source": "z" })));
            if let Ok(new) = new {
                assert_eq!(meaning(&new)["models"]["m"]["source"], "z", "{new}");
            }
        }
    }

    #[test]
    fn every_entry_of_the_shipped_files_can_be_removed_and_added_again() {
        for name in ["demo", "vllm", "reference", "aliases", "remote"] {
            let path = format!("{}/conf/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).expect("shipped");
            let all = meaning(&text);
            for section in ["models", "aliases", "callers"] {
                for (entry, value) in all.get(section).and_then(Value::as_object).into_iter().flatten() {
                    let without =
                        set(&text, [section, entry], None).unwrap_or_else(|error| panic!("{name} {entry}: {error}"));
                    let comments = |text: &str| text.matches('#').count();
                    assert!(comments(&without) <= comments(&text));
                    let again = set(&without, [section, entry], Some(value.clone())).expect("added again");
                    assert_eq!(Value::Object(meaning(&again)), Value::Object(all.clone()), "{name} {entry}");
                }
            }
        }
    }
}

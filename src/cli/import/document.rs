//! A configuration with comments in their places, and its YAML text.

use std::fmt::Write;
use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;
use serde_json::{Map, Value};

/// Members in order, with comments between them.
#[derive(Debug, Default)]
pub(super) struct Section(Vec<Item>);

#[derive(Debug)]
enum Item {
    Comment(String),
    /// A comment whose spaces say something.
    Line(String),
    Value(String, Value),
    Section(String, Section),
}

impl Section {
    /// Adds a comment, to what follows.
    pub(super) fn comment(&mut self, text: impl Into<String>) {
        self.0.push(Item::Comment(text.into()));
    }

    /// Adds a member.
    pub(super) fn put(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.0.push(Item::Value(key.into(), value.into()));
    }

    /// Adds members of its own under a key.
    pub(super) fn nest(&mut self, key: impl Into<String>, inner: Section) {
        self.0.push(Item::Section(key.into(), inner));
    }

    /// The same, but without members only their comments.
    pub(super) fn nest_any(&mut self, key: &str, inner: Section) {
        if inner.is_empty() { self.0.extend(inner.0) } else { self.nest(key, inner) }
    }

    /// Adds members of its own under a key, but as comments: a person takes the signs away.
    pub(super) fn nest_off(&mut self, key: impl Into<String>, inner: Section) {
        let mut outer = Section::default();
        outer.nest(key, inner);
        let mut text = String::new();
        outer.write(1, &mut text);
        self.0.extend(text.lines().map(|line| Item::Line(line.strip_prefix(' ').unwrap_or(line).to_owned())));
    }

    /// The members of its own that a key has.
    pub(super) fn inner(&mut self, key: &str) -> Option<&mut Section> {
        self.0.iter_mut().find_map(|item| match item {
            Item::Section(name, inner) if name == key => Some(inner),
            _ => None,
        })
    }

    /// Puts its own comments before everything else.
    pub(super) fn comments_first(&mut self) {
        self.0.sort_by_key(|item| !matches!(item, Item::Comment(_)));
    }

    /// Adds everything of another section.
    pub(super) fn append(&mut self, other: Section) {
        self.0.extend(other.0);
    }

    /// Whether there is no member.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|item| matches!(item, Item::Comment(_) | Item::Line(_)))
    }

    /// The same without comments.
    pub(super) fn value(&self) -> Value {
        let member = |item: &Item| match item {
            Item::Comment(_) | Item::Line(_) => None,
            Item::Value(key, value) => Some((key.clone(), value.clone())),
            Item::Section(key, inner) => Some((key.clone(), inner.value())),
        };
        Value::Object(self.0.iter().filter_map(member).collect())
    }

    /// YAML.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        self.write(0, &mut out);
        out
    }

    fn write(&self, indent: usize, out: &mut String) {
        for item in &self.0 {
            match item {
                Item::Comment(text) => comment(text, indent, out),
                Item::Line(text) => drop(writeln!(out, "{:indent$}# {text}", "")),
                Item::Value(key, value) => member(key, value, indent, out),
                Item::Section(key, inner) if inner.is_empty() => {
                    inner.write(indent, out);
                    member(key, &Value::Object(Map::new()), indent, out);
                }
                Item::Section(key, inner) => {
                    let _ = writeln!(out, "{}{:indent$}{}:", if indent == 0 { "\n" } else { "" }, "", word(key, ""));
                    inner.write(indent + 2, out);
                }
            }
        }
    }
}

fn comment(text: &str, indent: usize, out: &mut String) {
    let words: Vec<&str> = text.split(|c: char| c == ' ' || !is_printable(c)).filter(|word| !word.is_empty()).collect();
    let _ = writeln!(out, "{:indent$}# {}", "", words.join(" "));
}

fn member(key: &str, value: &Value, indent: usize, out: &mut String) {
    let value = value.as_str().map_or_else(|| json(value), |text| word(text, "${}:@+"));
    let _ = writeln!(out, "{:indent$}{}: {value}", "", word(key, ""));
}

/// A text without quotes where every reader takes it for this very text; `more`: signs that mean nothing there.
fn word(text: &str, more: &str) -> String {
    let fit = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c) || more.contains(c);
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || more.contains('$') && "$/".contains(c);
    let special = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let plain = text.starts_with(starts)
        && text.chars().all(fit)
        && !text.ends_with(':')
        && !special.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { json(&text.into()) }
}

/// JSON, which is YAML, on one line.
fn json(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Spaced);
    // Neither a value nor a vector in memory fails.
    let written = value.serialize(&mut serializer).ok().and_then(|()| String::from_utf8(bytes).ok());
    let mut out = String::new();
    for c in written.unwrap_or_else(|| value.to_string()).chars() {
        if is_printable(c) {
            out.push(c);
        } else {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
    }
    out
}

/// As a person writes it: a space after each comma and colon.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: io::Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

/// Whether YAML lets it stand for itself, and no reader takes it for a line break.
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::cli::import::testing::any_value;
    use crate::cli::import::yaml;

    #[test]
    fn it_reads_well() {
        let mut gym = Section::default();
        gym.comment("a comment");
        gym.put("extra_body", json!({"temperature": 0.7, "stop": ["a", "b c"], "none": null, "deep": {"on": "on"}}));
        let mut comment = Section::default();
        comment.comment("nothing");
        let mut alias = Section::default();
        alias.put("model", "m-engine");
        alias.put("listen", "127.0.0.1:9000");
        alias.nest("gym", gym);
        alias.nest("empty", Section::default());
        alias.nest_any("none", comment);
        let mut all = Section::default();
        all.put("key", "${A_KEY:-x y}");
        all.put("urls", json!(["${A}", "http://127.0.0.1:8000"]));
        all.nest("aliases", alias);
        let expected = r#"key: "${A_KEY:-x y}"
urls: ["${A}", "http://127.0.0.1:8000"]

aliases:
  model: m-engine
  listen: "127.0.0.1:9000"
  gym:
    # a comment
    extra_body: {"temperature": 0.7, "stop": ["a", "b c"], "none": null, "deep": {"on": "on"}}
  empty: {}
  # nothing
"#;
        assert_eq!(all.text(), expected);
    }

    #[test]
    fn what_is_off_is_a_comment_that_can_be_taken_away() {
        let mut model = Section::default();
        model.comment("why");
        model.put("source", "org/m");
        let mut args = Section::default();
        args.put("seed", 1);
        model.nest("args", args);
        let mut models = Section::default();
        models.nest_off("m 1", model);
        models.put("other", 1);
        let mut all = Section::default();
        all.nest("models", models);
        let expected = r#"
models:
  # "m 1":
  #   # why
  #   source: org/m
  #   args:
  #     seed: 1
  other: 1
"#;
        assert_eq!(all.text(), expected);
    }

    #[test]
    fn comments_cannot_end_early() {
        let mut all = Section::default();
        all.comment("word\nb: 1\u{2028}c: 2\u{85}d: 3");
        assert_eq!(all.text(), "# word b: 1 c: 2 d: 3\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read_again(
            value in any_value("(yes|null|0x1|1e5|[-+.]inf|[a-z0-9${}:#&*!|>'\"%@`,\\[\\]? \
                =~_.-]|\\PC|\n|\t|\u{1}|\u{85}|\u{2028}|\u{feff}){0,6}")
        ) {
            let mut all = Section::default();
            all.comment("c");
            all.put("value", value);
            let read = yaml::read(&all.text());
            prop_assert_eq!(read.map(Value::Object), Ok(all.value()), "{}", all.text());
        }
    }
}

//! A configuration with comments in its places, and its YAML text.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::yaml::scalar;

/// Comments are broken before this column.
const WIDTH: usize = 110;

/// Members in order, with comments between them.
#[derive(Debug, Default)]
pub(super) struct Section(Vec<Item>);

#[derive(Debug)]
enum Item {
    Comment(String),
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

    /// Adds everything of another.
    pub(super) fn append(&mut self, other: Section) {
        self.0.extend(other.0);
    }

    /// Whether there is no member, be there comments or not.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|item| matches!(item, Item::Comment(_)))
    }

    /// The same without comments.
    #[cfg(test)]
    pub(super) fn value(&self) -> Value {
        let member = |item: &Item| match item {
            Item::Comment(_) => None,
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
                Item::Value(key, value) => member(key, value, indent, out),
                Item::Section(key, inner) if inner.is_empty() => {
                    inner.write(indent, out);
                    member(key, &Value::Object(Map::new()), indent, out);
                }
                Item::Section(key, inner) => {
                    if indent == 0 {
                        out.push('\n');
                    }
                    let _ = writeln!(out, "{:indent$}{}:", "", plain_or_quoted(key, false));
                    inner.write(indent + 2, out);
                }
            }
        }
    }
}

fn comment(text: &str, indent: usize, out: &mut String) {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() && indent + line.len() + word.len() + 3 > WIDTH {
            let _ = writeln!(out, "{:indent$}#{line}", "");
            line.clear();
        }
        line.push(' ');
        line.extend(word.chars().filter(|c| is_printable(*c)));
    }
    let _ = writeln!(out, "{:indent$}#{line}", "");
}

fn member(key: &str, value: &Value, indent: usize, out: &mut String) {
    let key = plain_or_quoted(key, false);
    match value {
        Value::Object(map) if !map.is_empty() => {
            let _ = writeln!(out, "{:indent$}{key}:", "");
            map.iter().for_each(|(key, value)| member(key, value, indent + 2, out));
        }
        Value::Array(items) if items.iter().any(|item| item.as_str().is_some_and(|text| text.len() > 16)) => {
            let _ = writeln!(out, "{:indent$}{key}:", "");
            for item in items {
                let _ = writeln!(out, "{:indent$}  - {}", "", flow(item));
            }
        }
        Value::String(text) => {
            let _ = writeln!(out, "{:indent$}{key}: {}", "", plain_or_quoted(text, true));
        }
        other => {
            let _ = writeln!(out, "{:indent$}{key}: {}", "", flow(other));
        }
    }
}

/// On one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::String(text) => plain_or_quoted(text, false),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) if map.is_empty() => "{}".into(),
        Value::Object(map) => {
            let member = |(key, value): (&String, &Value)| format!("{}: {}", plain_or_quoted(key, false), flow(value));
            format!("{{ {} }}", map.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Without quotes where every reader takes it for this very text. `block`: `$ { } :` mean nothing there.
fn plain_or_quoted(text: &str, block: bool) -> String {
    let fit = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c) || block && "${}:@+".contains(c);
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || block && "$/".contains(c);
    let word = text.to_ascii_lowercase();
    let special = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(&word.as_str());
    let plain = text.starts_with(starts) && text.chars().all(fit) && !text.ends_with(':') && !special;
    if plain && scalar(text).is_string() { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

/// Whether YAML lets it stand for itself, and no reader takes it for a line break.
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::yaml;
    use super::*;

    #[test]
    fn it_reads_well() {
        let mut gym = Section::default();
        gym.comment("a comment");
        gym.put("extra_body", json!({"temperature": 0.7, "stop": ["a", "b c"], "none": null, "deep": {"on": "on"}}));
        let mut alias = Section::default();
        alias.put("model", "m-engine");
        alias.put("listen", "127.0.0.1:9000");
        alias.nest("gym", gym);
        alias.nest("empty", Section::default());
        let mut all = Section::default();
        all.put("key", "${A_KEY:-x y}");
        all.put("urls", json!(["${A}", "http://127.0.0.1:8000"]));
        all.nest("aliases", alias);
        let expected = r#"key: "${A_KEY:-x y}"
urls:
  - "${A}"
  - "http://127.0.0.1:8000"

aliases:
  model: m-engine
  listen: "127.0.0.1:9000"
  gym:
    # a comment
    extra_body:
      temperature: 0.7
      stop: [a, "b c"]
      none: null
      deep:
        "on": "on"
  empty: {}
"#;
        assert_eq!(all.text(), expected);
    }

    #[test]
    fn long_comments_are_broken_and_cannot_end_early() {
        let mut all = Section::default();
        all.comment(format!("{} end\nb: 1\u{2028}c: 2\u{85}d: 3", "word ".repeat(60)));
        let text = all.text();
        assert!(text.lines().all(|line| line.starts_with("# ") && line.len() <= WIDTH), "{text}");
        assert!(yaml::read(&text).expect("comments").is_empty());
    }

    /// Any tree of YAML.
    pub(in super::super) fn any_value(text: &'static str) -> impl Strategy<Value = Value> + Clone {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((text, inner), 0..4).prop_map(|members| Value::Object(Map::from_iter(members))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read_again(
            value in any_value("(yes|null|0x1|1e5|[-+.]inf|[a-z0-9${}:#&*!|>'\"%@`,\\[\\]? =~_.-]|\\PC|\n|\t|\u{1}|\u{85}|\u{2028}|\u{feff}){0,6}")
        ) {
            let mut all = Section::default();
            all.comment("c");
            all.put("value", value);
            let read = yaml::read(&all.text());
            prop_assert_eq!(read.map(Value::Object), Ok(all.value()), "{}", all.text());
        }
    }
}

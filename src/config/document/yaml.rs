//! YAML text to a tree that knows its lines and spellings; syntax errors and duplicate keys as diagnostics.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Spanned};

use crate::config::diagnostic::{Diagnostic, Severity};
use crate::config::path::Path;

/// Nested deeper than this, it is not a configuration (and would cost stack to walk).
const MAX_DEPTH: usize = 48;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(in crate::config) struct Node {
    /// The value.
    pub(in crate::config) kind: Kind,
    /// Its line, from 1; 0: it stands in no file.
    pub(in crate::config) line: u64,
    /// A scalar exactly as it stands in the file (`1.10`, `"0"`); empty for others.
    pub(in crate::config) spelling: String,
}

/// What a YAML value can be.
#[derive(Clone, Debug)]
pub(in crate::config) enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`; `yes`, `on` and the like are text, as in YAML 1.2.
    Bool(bool),
    /// A number JSON can hold.
    Number(Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, with the lines of its keys, in file order; keys may repeat.
    Map(Vec<(String, u64, Node)>),
}

impl Node {
    /// The same value in no file.
    pub(in crate::config) fn of_json(value: &Value) -> Self {
        let (kind, spelling) = match value {
            Value::Null => (Kind::Null, "null".to_owned()),
            Value::Bool(value) => (Kind::Bool(*value), value.to_string()),
            Value::Number(number) => (Kind::Number(number.clone()), number.to_string()),
            // Plain text, so that `${COUNT}` can be a number.
            Value::String(text) => (Kind::Text(text.clone()), String::new()),
            Value::Array(items) => (Kind::List(items.iter().map(Self::of_json).collect()), String::new()),
            Value::Object(members) => {
                let member = |(key, value): (&String, &Value)| (key.clone(), 0, Self::of_json(value));
                (Kind::Map(members.iter().map(member).collect()), String::new())
            }
        };
        Self { kind, line: 0, spelling }
    }

    /// The value as it is written, without its place: variables are not expanded.
    pub(in crate::config) fn as_written(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => items.iter().map(Self::as_written).collect(),
            Kind::Map(members) => members.iter().map(|(key, _, value)| (key.clone(), value.as_written())).collect(),
        }
    }
}

/// Reads one YAML document.
pub(in crate::config) fn read(text: &str, out: &mut Vec<Diagnostic>) -> Option<Node> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        emit_comments: false,
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_documents: 1 },
    };
    match serde_saphyr::from_str_with_options::<Raw>(text, options) {
        Ok(raw) => {
            let node = raw.place(text, &Path::default(), out);
            repeated(&node, &Path::default(), out);
            Some(node)
        }
        Err(error) => {
            out.push(syntax(text, &error));
            None
        }
    }
}

fn syntax(text: &str, error: &serde_saphyr::Error) -> Diagnostic {
    let place = error.location();
    let line = place.map_or(0, |place| place.line());
    let written = usize::try_from(line).ok().and_then(|line| text.lines().nth(line.checked_sub(1)?)).unwrap_or("");
    let mut message = error.without_snippet().to_string();
    if let Some(at) = message.rfind(" at line ").filter(|_| line > 0) {
        message.truncate(at);
    }
    let message = message.trim().trim_end_matches(['.', ':']);
    let place = place.map_or_else(String::new, |place| format!(" (column {})", place.column()));
    let (reason, remedy) = if message.contains("Documents {") {
        ("A second YAML document begins here.".into(), "Keep one document; remove the `---`.")
    } else if message.contains("Depth") || message.contains("recursion") {
        (format!("This is nested more than {MAX_DEPTH} levels deep."), "Write it flatter; no key needs so many levels.")
    } else if message.contains("budget") || message.contains("limit") {
        let reason =
            "This is larger than any configuration once its anchors and aliases (`&name`, `*name`) are resolved.";
        (reason.into(), "Write out what the aliases stand for, or use fewer of them.")
    } else if message.contains("non-finite") {
        ("Infinities and not-a-numbers cannot be sent to an engine.".into(), "Write a number, or quote it as text.")
    } else {
        (format!("Not YAML{place}: {message}."), likely_cure(message, written))
    };
    Diagnostic {
        severity: Severity::Error,
        path: String::new(),
        file: None,
        line,
        value: None,
        reason,
        remedy: remedy.into(),
    }
}

/// What usually helps against a syntax error.
fn likely_cure(message: &str, written: &str) -> &'static str {
    if message.contains("tab") || written.trim_start_matches(' ').starts_with('\t') {
        "YAML is indented with spaces; replace the tabs."
    } else if message.contains("unsupported tag") {
        "Remove the tag (!…), or quote the text. Environment variables are written ${NAME}."
    } else if written.contains("${") && written.contains(['[', '{']) && !written.contains('"') {
        "Inside [ ] and { } a ${NAME} must be quoted: \"${NAME}\"."
    } else {
        "Correct the YAML there; often a space after a colon or a quote is missing, or the indentation just above is wrong."
    }
}

/// Every key that stands twice in one mapping.
fn repeated(node: &Node, path: &Path, out: &mut Vec<Diagnostic>) {
    match &node.kind {
        Kind::List(items) => items.iter().enumerate().for_each(|(at, item)| repeated(item, &path.index(at), out)),
        Kind::Map(members) => {
            let mut first = HashMap::new();
            for (key, line, value) in members {
                let path = path.key(key);
                if let Some(earlier) = first.get(key.as_str()) {
                    let reason = format!("The key `{key}` is written twice; the first one is on line {earlier}.");
                    let remedy = "Keep one of the two.".to_owned();
                    let (severity, path, line) = (Severity::Error, path.to_string(), *line);
                    out.push(Diagnostic { severity, path, file: None, line, value: None, reason, remedy });
                } else {
                    first.insert(key.as_str(), *line);
                }
                repeated(value, &path, out);
            }
        }
        _ => {}
    }
}

/// A value as the YAML reader hands it over.
struct Raw(Spanned<RawKind>);

enum RawKind {
    Scalar(Kind),
    List(Vec<Raw>),
    /// A key is `None` where it is null.
    Map(Vec<(Spanned<Option<String>>, Raw)>),
}

impl Raw {
    /// The node, which stands at `path`; keys that are no names are left out and told.
    fn place(self, text: &str, path: &Path, out: &mut Vec<Diagnostic>) -> Node {
        let line = self.0.referenced.line();
        let (kind, spelling) = match self.0.value {
            RawKind::Scalar(kind) => (kind, spelling(text, self.0.defined)),
            RawKind::List(items) => {
                let place = |(at, item): (usize, Self)| item.place(text, &path.index(at), out);
                (Kind::List(items.into_iter().enumerate().map(place).collect()), String::new())
            }
            RawKind::Map(members) => {
                let mut named = Vec::with_capacity(members.len());
                for (key, value) in members {
                    let line = key.referenced.line();
                    match key.value {
                        Some(name) => {
                            let value = value.place(text, &path.key(&name), out);
                            named.push((name, line, value));
                        }
                        None => out.push(nameless(path, line, &spelling(text, key.defined))),
                    }
                }
                (Kind::Map(named), String::new())
            }
        };
        Node { kind, line, spelling }
    }
}

/// A key of the mapping at `path` that is null, written as `spelling`.
fn nameless(path: &Path, line: u64, spelling: &str) -> Diagnostic {
    let path = path.to_string();
    let whose = if path.is_empty() { "The file" } else { &path };
    let (what, remedy) = match spelling.trim() {
        "" => ("nothing stands before the colon".to_owned(), "Write a name before the colon.".to_owned()),
        word => (word.to_owned(), format!("Quote it, if that is the name: \"{word}\".")),
    };
    let reason = format!("{whose} has a key without a name ({what}).");
    Diagnostic { severity: Severity::Error, path, file: None, line, value: None, reason, remedy }
}

fn spelling(text: &str, place: Location) -> String {
    let span = place.span();
    let range = || {
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let len = usize::try_from(span.byte_len()?).ok()?;
        text.get(start..start.checked_add(len)?)
    };
    range().unwrap_or_default().to_owned()
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for RawKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = RawKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(Kind::Null))
    }

    fn visit_none<E>(self) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(Kind::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawKind, D::Error> {
        RawKind::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(Kind::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(Kind::Number(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(Kind::Number(value.into())))
    }

    fn visit_i128<E>(self, value: i128) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(Number::from_i128(value).map_or_else(|| Kind::Text(value.to_string()), Kind::Number)))
    }

    fn visit_u128<E>(self, value: u128) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(Number::from_u128(value).map_or_else(|| Kind::Text(value.to_string()), Kind::Number)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(Number::from_f64(value).map_or_else(|| Kind::Text(value.to_string()), Kind::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(Kind::Text(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(Kind::Text(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawKind, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(RawKind::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<RawKind, A::Error> {
        let mut map = Vec::new();
        while let Some(member) = members.next_entry()? {
            map.push(member);
        }
        Ok(RawKind::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> Node {
        let mut out = Vec::new();
        let node = read(text, &mut out);
        assert!(out.is_empty(), "{out:?}");
        node.expect("no diagnostics")
    }

    fn members(node: Node) -> Vec<(String, u64, Node)> {
        match node.kind {
            Kind::Map(members) => members,
            other => panic!("{other:?} is no mapping"),
        }
    }

    #[test]
    fn lines_and_spellings_are_kept() {
        let all = members(good("a: 1.10\n# comment\nb: off\nc: \"0\"\n8000: ${X}\nd: 0755\ne: 0x10\nf: ~\n"));
        let seen: Vec<_> = all.iter().map(|(k, line, v)| (k.as_str(), *line, v.spelling.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("a", 1, "1.10"),
                ("b", 3, "off"),
                ("c", 4, "\"0\""),
                ("8000", 5, "${X}"),
                ("d", 6, "0755"),
                ("e", 7, "0x10"),
                ("f", 8, "~")
            ]
        );
        assert!(matches!(&all[1].2.kind, Kind::Text(text) if text == "off"), "no YAML 1.1 booleans");
        assert!(matches!(&all[4].2.kind, Kind::Text(text) if text == "0755"));
    }

    #[test]
    fn every_duplicate_key_is_found_with_both_lines() {
        let mut out = Vec::new();
        read("a: 1\nm:\n  x: 1\n  x: 2\na: 3\n", &mut out);
        let seen: Vec<_> = out.iter().map(|f| (f.path.as_str(), f.line)).collect();
        assert_eq!(seen, [("m.x", 4), ("a", 5)]);
        assert!(out[0].reason.contains("line 3"));
    }

    #[test]
    fn a_key_that_is_null_is_told_in_plain_words() {
        for (key, what) in [("null", "(null)"), ("~", "(~)"), ("Null", "(Null)"), ("", "(nothing stands before")] {
            let mut out = Vec::new();
            let text = format!("listen: x\nmodels:\n  {key}: {{ source: a }}\n  b: {{}}\n");
            assert!(read(&text, &mut out).is_some(), "the rest is read: {out:?}");
            assert_eq!(out.len(), 1, "{key}: {out:?}");
            assert_eq!((out[0].path.as_str(), out[0].line), ("models", 3), "{key}");
            let reason = &out[0].reason;
            assert!(reason.starts_with("models has a key without a name ") && reason.contains(what), "{reason}");
        }
        let mut out = Vec::new();
        read("~: 1\na: [{ : 2 }]\n", &mut out);
        let seen: Vec<_> = out.iter().map(|found| (found.path.as_str(), found.line)).collect();
        assert_eq!(seen, [("", 1), ("a[0]", 2)]);
        assert_eq!(members(good("\"null\": 1\n\"~\": 2\n")).len(), 2, "quoted it is a name");
    }

    #[test]
    fn a_syntax_error_names_line_and_column_and_shows_no_text() {
        let mut out = Vec::new();
        assert!(read("a: 1\nkey: [sk-secret\nb: 2\n", &mut out).is_none());
        assert_eq!(out.len(), 1);
        assert!(out[0].line >= 2 && out[0].reason.contains("column"), "{out:?}");
        assert!(!out[0].to_string().contains("sk-secret"));
    }

    #[test]
    fn anchors_and_merge_keys_work() {
        let all = members(good("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n"));
        let b = members(all.into_iter().nth(1).expect("b").2);
        let keys: Vec<_> = b.iter().map(|(k, ..)| k.as_str()).collect();
        assert_eq!(keys.len(), 2, "{keys:?}");
    }

    #[test]
    fn long_comments_are_no_matter() {
        let comment = "# text ${X} [\n".repeat(500);
        assert_eq!(members(good(&format!("{comment}a:\n{comment}  b: 1\n{comment}c:\n{comment}  - 1\n"))).len(), 2);
    }

    #[test]
    fn aliases_that_grow_without_end_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let refs = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{refs}]\n"));
        }
        let mut out = Vec::new();
        assert!(read(&text, &mut out).is_none());
        assert_eq!(out.len(), 1);
        let told = out[0].to_string();
        assert!(told.contains("anchors and aliases") && !told.contains("udget") && !told.contains('{'), "{told}");
    }

    #[test]
    fn deep_nesting_is_refused() {
        let mut out = Vec::new();
        assert!(read(&"[".repeat(100_000), &mut out).is_none());
        assert!(read(&"- ".repeat(10_000), &mut out).is_none());
        assert_eq!(out.len(), 2);
        for told in out.iter().map(ToString::to_string) {
            assert!(told.contains("48 levels deep") && !told.contains("udget") && !told.contains("Depth"), "{told}");
        }
    }
}

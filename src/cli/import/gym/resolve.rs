//! What the words of Gym's files stand for: `${a.b}`, `${oc.env:VAR,default}`, `${oc.select:a.b,default}`, and parts taken
//! over from elsewhere with `_copy`, `_inherit_from` (which moves them) and `_delete_key`.
//!
//! What comes from the environment stays there: a variable is `${VAR}` or `${VAR:-default}` as our configuration writes it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::yaml::MAX_DEPTH;
use super::tree::{COPY, INHERIT, copied, layer, scalar};
use crate::config::is_variable;

const DELETE: &str = "_delete_key";

/// More values than this come only of words that multiply each other.
const MOST_VALUES: usize = 200_000;

/// A tree in which no word stands for something else.
#[derive(Default)]
pub(super) struct Resolved {
    /// The tree; null where a value could not be found.
    pub(super) tree: Map<String, Value>,
    /// Why, by the path of the value.
    pub(super) missing: BTreeMap<String, String>,
    /// Parts that could not be taken over.
    pub(super) errors: Vec<String>,
}

/// Replaces every word in `tree` by what it stands for.
pub(super) fn resolve(tree: &Map<String, Value>) -> Resolved {
    let tree = Value::Object(tree.clone());
    let mut resolver =
        Resolver { tree: &tree, out: Resolved::default(), moved: Vec::new(), open: Vec::new(), values: 0 };
    let mut root = resolver.value(&[], &tree).as_object().cloned().unwrap_or_default();
    root.retain(|key, _| !resolver.moved.contains(key));
    Resolved { tree: root, ..resolver.out }
}

struct Resolver<'a> {
    /// As it was composed.
    tree: &'a Value,
    out: Resolved,
    /// What was inherited by another; a whole server is where it was no more.
    moved: Vec<String>,
    /// Words that are being looked up, one inside the other.
    open: Vec<String>,
    values: usize,
}

impl<'a> Resolver<'a> {
    /// What `node` stands for at `path`; null, with the reason, where that is nothing.
    fn value(&mut self, path: &[String], node: &Value) -> Value {
        self.values += 1;
        if self.values > MOST_VALUES || path.len() > 2 * MAX_DEPTH {
            self.error("`_copy`, `_inherit_from` and `${…}` make this larger or deeper than any configuration.".into());
            return Value::Null;
        }
        let at = |key: &str| path.iter().cloned().chain([key.to_owned()]).collect::<Vec<_>>();
        match node {
            Value::Object(map) if [INHERIT, COPY, DELETE].iter().any(|word| map.contains_key(*word)) => {
                self.taken_over(path, map)
            }
            Value::Object(map) => {
                Value::Object(map.iter().map(|(key, value)| (key.clone(), self.value(&at(key), value))).collect())
            }
            Value::Array(items) => {
                Value::Array(items.iter().enumerate().map(|(n, item)| self.value(&at(&n.to_string()), item)).collect())
            }
            Value::String(text) if text == "???" || text.contains("${") => {
                self.text(path, &path.join("."), text).unwrap_or_else(|why| {
                    self.out.missing.insert(path.join("."), why);
                    Value::Null
                })
            }
            other => other.clone(),
        }
    }

    /// A mapping over what it takes over, without the keys it deletes.
    fn taken_over(&mut self, path: &[String], map: &Map<String, Value>) -> Value {
        let (own_path, mut own) = (path.join("."), map.clone());
        let mut word = |word: &str| own.shift_remove(word).and_then(|value| value.as_str().map(str::to_owned));
        let (inherit, copy, delete) = (word(INHERIT), word(COPY), word(DELETE));
        let source = inherit.clone().or(copy).unwrap_or_default();
        let mut base = Map::new();
        match self.node(&source, MAX_DEPTH) {
            _ if source.is_empty() => {}
            Some(Value::Object(source)) => base.clone_from(source),
            Some(Value::String(text)) if text == "???" => {}
            Some(_) => self.error(format!("`{own_path}` copies `{source}`, which is not a mapping.")),
            None => self.error(format!("`{own_path}` copies `{source}`, which does not exist.")),
        }
        self.moved.extend(inherit.filter(|source| *source != own_path && !own_path.starts_with(&format!("{source}."))));
        // A key of its own goes first: only then is it looked for in what is taken over.
        for key in delete.iter().flat_map(|keys| keys.split(',')).map(str::trim) {
            if own.shift_remove(key).is_none() {
                base.shift_remove(key);
            }
        }
        let mut base = Value::Object(base);
        layer(&mut base, Value::Object(own));
        self.enter(&format!("{COPY} {own_path} {source}"), |resolver| resolver.value(path, &base)).unwrap_or_else(
            || {
                self.error(format!("`{own_path}` copies from something that copies from it again."));
                Value::Null
            },
        )
    }

    /// What a text stands for; `key` is where it is written.
    fn text(&mut self, path: &[String], key: &str, text: &str) -> Result<Value, String> {
        if text == "???" {
            return Err(format!("`{key}` has no value yet (`???`). Give it: '++{key}=…'."));
        }
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            let end = end_of(after).ok_or_else(|| format!("`{key}` has a `${{` without its `}}`."))?;
            let word = after[..end].trim();
            let circle = || Err(format!("`{key}` refers to itself in a circle."));
            let value = self.enter(word, |resolver| resolver.word(path, key, word)).unwrap_or_else(circle)?;
            rest = &after[end + 1..];
            if before.is_empty() && out.is_empty() && rest.is_empty() {
                return Ok(value);
            }
            out.push_str(before);
            out.push_str(&match value {
                Value::String(text) if out.ends_with('$') && text.starts_with("${") => {
                    return Err(format!("`{key}` has a `$` before an environment variable, which cannot be written."));
                }
                Value::String(text) => text,
                // As Python spells them.
                Value::Null => "None".into(),
                Value::Bool(value) => if value { "True" } else { "False" }.into(),
                Value::Number(number) => number.to_string(),
                _ => return Err(format!("`{key}` puts a list or a mapping (`${{{word}}}`) into a text.")),
            });
        }
        out.push_str(rest);
        Ok(Value::String(out))
    }

    /// What is between `${` and `}`.
    fn word(&mut self, path: &[String], key: &str, word: &str) -> Result<Value, String> {
        let (function, arguments) = word.split_once(':').unwrap_or(("", word));
        let (first, default) = arguments.split_once(',').map_or((arguments, None), |(first, rest)| (first, Some(rest)));
        let (first, default) = (first.trim(), default.map(|text| text.trim().trim_matches(['\'', '"'])));
        match function {
            "oc.env" if !is_variable(first) => {
                Err(format!("`{key}`: `{first}` cannot be the name of an environment variable."))
            }
            "oc.env" => Ok(Value::String(match default {
                None => format!("${{{first}}}"),
                Some("null") => format!("${{{first}:-}}"),
                Some(default) => match self.text(path, key, default)? {
                    Value::String(default) if default.contains(['$', '}']) => {
                        return Err(format!(
                            "`{key}`: the default of {first} has a `$` or `}}`, which cannot be written."
                        ));
                    }
                    Value::String(default) => format!("${{{first}:-{default}}}"),
                    default => format!("${{{first}:-{default}}}"),
                },
            })),
            "oc.select" => match (self.target(path, key, first), default) {
                (Err(_), Some(default)) if default.contains("${") => self.text(path, key, default),
                (Err(_), Some(default)) => Ok(scalar(default)),
                (value, _) => value,
            },
            "inherit_from" => {
                self.moved.push(arguments.to_owned());
                self.target(path, key, arguments)
            }
            "" | "copy" => self.target(path, key, arguments),
            _ => Err(format!("`{key}` uses `{function}:`, which cannot be computed here. Write its value.")),
        }
    }

    /// What is at `source`, for `key`.
    fn target(&mut self, path: &[String], key: &str, source: &str) -> Result<Value, String> {
        match self.node(source, MAX_DEPTH) {
            Some(Value::String(text)) if text == "???" || text.contains("${") => self.text(path, source, text),
            Some(node) => Ok(self.value(path, node)),
            None => Err(format!(
                "`{key}` is `${{{source}}}`, which does not exist. Give the file that has it (env.yaml?), or '++{source}=…'."
            )),
        }
    }

    /// The node at a path with dots, through words that stand for others; as it is written.
    fn node(&self, path: &str, depth: usize) -> Option<&'a Value> {
        keys(path).into_iter().try_fold(self.tree, |node, key| self.member(node, key, depth))
    }

    fn member(&self, node: &'a Value, key: &str, depth: usize) -> Option<&'a Value> {
        let depth = depth.checked_sub(1)?;
        match node {
            Value::Object(map) => map.get(key).or_else(|| {
                let source = map.get(INHERIT).or_else(|| map.get(COPY))?.as_str()?;
                self.member(self.node(source, depth)?, key, depth)
            }),
            Value::String(text) => self.member(self.node(copied(text)?.1, depth)?, key, depth),
            _ => None,
        }
    }

    /// Does what `word` asks for, unless that is being done already or is nested too deeply.
    fn enter<T>(&mut self, word: &str, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.open.len() > MAX_DEPTH || self.open.iter().any(|open| open == word) {
            return None;
        }
        self.values += 1;
        self.open.push(word.to_owned());
        let result = act(self);
        self.open.pop();
        Some(result)
    }

    fn error(&mut self, error: String) {
        if !self.out.errors.contains(&error) {
            self.out.errors.push(error);
        }
    }
}

/// Where the `}` is that closes what begins at the front.
fn end_of(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '{' => open += 1,
            '}' if open == 0 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
        None
    })
}

fn keys(path: &str) -> Vec<&str> {
    path.split('.').map(str::trim).filter(|_| !path.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn resolved(tree: Value) -> Resolved {
        let Value::Object(tree) = tree else { panic!("a mapping") };
        resolve(&tree)
    }

    /// The tree, which has nothing wrong with it.
    fn good(tree: Value) -> Value {
        let resolved = resolved(tree);
        assert!(resolved.missing.is_empty() && resolved.errors.is_empty(), "{:?}", (resolved.missing, resolved.errors));
        Value::Object(resolved.tree)
    }

    fn of(a: &str) -> Value {
        let tree = json!({"s": {"a": a, "b": 1}, "b": {"t": true, "x": 7, "n": null}, "to": "${b}", "chain": "${s.b}"});
        good(tree)["s"]["a"].clone()
    }

    #[test]
    fn paths_texts_and_functions() {
        for (text, value) in [
            ("${b.x}", json!(7)),
            ("${ b.x }", json!(7)),
            ("${to.x}", json!(7)),
            ("${chain}", json!(1)),
            ("${to}", json!({"t": true, "x": 7, "n": null})),
            ("x${b.t}${b.n}-${s.b}", json!("xTrueNone-1")),
            ("${oc.select:b.x}", json!(7)),
            ("${oc.select:no.where,5}", json!(5)),
            ("${oc.select:no.where,${b.x}}", json!(7)),
            ("${oc.select:no.where,null}", json!(null)),
            ("$b {x} $", json!("$b {x} $")),
            ("???x", json!("???x")),
        ] {
            assert_eq!(of(text), value, "{text}");
        }
    }

    #[test]
    fn the_environment_stays_the_environment() {
        for (text, value) in [
            ("${oc.env:KEY}", "${KEY}"),
            ("${oc.env: KEY , a b }", "${KEY:-a b}"),
            ("${oc.env:KEY,null}", "${KEY:-}"),
            ("${oc.env:KEY,'q, x'}", "${KEY:-q, x}"),
            ("${oc.env:KEY,${b.x}}", "${KEY:-7}"),
            ("http://${oc.env:HOST}:${s.b}/v1", "http://${HOST}:1/v1"),
        ] {
            assert_eq!(of(text), json!(value), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_found_says_why() {
        for (a, part) in [
            ("???", "`s.a` has no value yet"),
            (
                "${no.where}",
                "`s.a` is `${no.where}`, which does not exist. Give the file that has it (env.yaml?), or '++no.where=…'",
            ),
            ("${s.a}", "circle"),
            ("${missing}", "`missing` has no value yet"),
            ("${b", "without its `}`"),
            ("x${b}", "puts a list or a mapping"),
            ("${oc.env:A B}", "cannot be the name"),
            ("${oc.env:A,${oc.env:B}}", "cannot be written"),
            ("$${oc.env:A}", "has a `$` before"),
            ("${oc.dict.keys:b}", "oc.dict.keys"),
            ("${round}", "circle"),
        ] {
            let tree = json!({"s": {"a": a}, "b": {"x": 1}, "missing": "???", "round": "${trip}", "trip": "${round}"});
            let missing = resolved(tree).missing;
            assert!(missing["s.a"].contains(part), "{a}: {missing:?}");
        }
    }

    #[test]
    fn inheriting_moves_copying_leaves_and_own_members_win() {
        let tree = json!({
            "base": {"m": {"k": {"a": 1, "b": 2}}},
            "moved": {"_inherit_from": "base", "m": {"k": {"b": 3}}},
            "left": {"k": 1},
            "copied": {"_copy": "left", "l": 2},
            "short": "${copy:left.k}",
            "gone": {"x": 5},
            "taken": "${inherit_from:gone}",
            "chained": {"_copy": "copied"},
            "inside": "${chained.k}",
        });
        let expected = json!({
            "moved": {"m": {"k": {"a": 1, "b": 3}}},
            "left": {"k": 1},
            "copied": {"k": 1, "l": 2},
            "short": 1,
            "taken": {"x": 5},
            "chained": {"k": 1, "l": 2},
            "inside": 1,
        });
        assert_eq!(good(tree), expected);
    }

    #[test]
    fn deleting_removes_own_keys_or_those_taken_over() {
        let tree = json!({
            "here": {"_delete_key": "a, b", "a": 1, "b": 2, "c": 3},
            "base": {"a": 1, "b": 2},
            "over": {"_copy": "base", "_delete_key": "a", "z": 1},
        });
        let expected = json!({"here": {"c": 3}, "base": {"a": 1, "b": 2}, "over": {"b": 2, "z": 1}});
        assert_eq!(good(tree), expected);
    }

    #[test]
    fn what_cannot_be_taken_over_is_an_error() {
        let circle = resolved(json!({"a": {"_copy": "b"}, "b": {"_copy": "a"}})).errors;
        assert!(circle.iter().any(|error| error.contains("copies from it again")), "{circle:?}");
        let stray = resolved(json!({"a": {"_copy": "no.where"}, "b": {"_copy": "n"}, "n": 1})).errors;
        assert_eq!(stray, ["`a` copies `no.where`, which does not exist.", "`b` copies `n`, which is not a mapping."]);
        let mut wide = json!({"l0": {"x": [1, 2, 3]}});
        for level in 1..40 {
            let below = format!("l{}", level - 1);
            wide[format!("l{level}")] =
                json!({"a": {"_copy": below}, "b": format!("${{{below}}}"), "c": {"_copy": below}});
        }
        assert!(resolved(wide).errors[0].contains("larger or deeper"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_panics(a in "(\\$\\{|\\}|[a-c.:,'\\[\\] \\\\$é]|oc\\.env:|s\\.a|\\$\\{b\\}|copy:){0,12}") {
            resolved(json!({"s": {"a": a}, "b": "${c}", "c": ["${s.a}", {"a": 1, "_copy": "s"}]}));
        }
    }
}

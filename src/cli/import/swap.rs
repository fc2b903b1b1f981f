//! Gym's words for taking over parts of the tree: `_inherit_from` (moves), `_copy`, `_delete_key`.

use serde_json::{Map, Value};

use super::compose::layer;
use super::resolve::lookup;
use super::yaml::MAX_DEPTH;

const INHERIT: &str = "_inherit_from";
const COPY: &str = "_copy";
const DELETE: &str = "_delete_key";

/// More values than this come only of words that multiply each other.
const MOST_VALUES: usize = 200_000;

/// The tree with every such word carried out, and every word that points nowhere or around in a circle.
pub(super) fn swap(tree: Map<String, Value>) -> (Map<String, Value>, Vec<String>) {
    let tree = Value::Object(tree);
    let mut work = Work { tree: &tree, moved: Vec::new(), stack: Vec::new(), faults: Vec::new(), values: 0 };
    let mut out = work.expand(&tree, &mut Vec::new());
    let (moved, faults) = (work.moved, work.faults);
    for path in moved {
        remove(&mut out, &path);
    }
    match out {
        Value::Object(out) => (out, faults),
        _ => (Map::new(), faults),
    }
}

struct Work<'a> {
    /// As it was composed.
    tree: &'a Value,
    /// What was inherited by another, and is where it was no more.
    moved: Vec<Vec<String>>,
    /// Sources that are being expanded.
    stack: Vec<String>,
    faults: Vec<String>,
    values: usize,
}

impl Work<'_> {
    fn expand(&mut self, value: &Value, path: &mut Vec<String>) -> Value {
        self.values += 1;
        if self.values > MOST_VALUES || path.len() > 2 * MAX_DEPTH {
            let why = "`_copy` and `_inherit_from` make this larger or deeper than any configuration.";
            if !self.faults.iter().any(|fault| fault == why) {
                self.faults.push(why.to_owned());
            }
            return Value::Null;
        }
        match value {
            Value::Object(map) => self.map(map, path),
            Value::Array(items) => {
                let each = items.iter().enumerate().map(|(at, item)| {
                    path.push(at.to_string());
                    let item = self.expand(item, path);
                    path.pop();
                    item
                });
                Value::Array(each.collect())
            }
            Value::String(text) => match word(text) {
                Some((source, moves)) => self.source(source, moves, path),
                None => value.clone(),
            },
            other => other.clone(),
        }
    }

    fn map(&mut self, map: &Map<String, Value>, path: &mut Vec<String>) -> Value {
        let text = |key: &str| map.get(key).and_then(Value::as_str);
        let mut gone: Vec<&str> = text(DELETE).into_iter().flat_map(|keys| keys.split(',')).map(str::trim).collect();
        let mut own = Map::new();
        for (key, value) in map {
            // What is here goes first: only then is a key looked for in what is taken over.
            if let Some(at) = gone.iter().position(|gone| gone == key) {
                gone.remove(at);
            } else if ![INHERIT, COPY, DELETE].contains(&key.as_str()) {
                path.push(key.clone());
                own.insert(key.clone(), self.expand(value, path));
                path.pop();
            }
        }
        let source = match (text(INHERIT), text(COPY)) {
            (Some(source), _) => self.source(source, true, path),
            (None, Some(source)) => self.source(source, false, path),
            (None, None) => return Value::Object(own),
        };
        let Value::Object(mut taken) = source else {
            if source != "???" && !source.is_null() {
                self.fault(path, "takes over something that is no mapping");
            }
            return if own.is_empty() { source } else { Value::Object(own) };
        };
        gone.iter().for_each(|key| drop(taken.shift_remove(*key)));
        let mut taken = Value::Object(taken);
        layer(&mut taken, Value::Object(own));
        taken
    }

    /// What is at `source`, expanded itself.
    fn source(&mut self, source: &str, moves: bool, path: &[String]) -> Value {
        let names: Vec<String> = source.trim().split('.').map(str::to_owned).collect();
        let Some(found) = lookup(self.tree, &names) else {
            self.fault(path, &format!("takes over `{source}`, which is not there"));
            return Value::Null;
        };
        if self.stack.len() > MAX_DEPTH || self.stack.iter().any(|open| open == source) {
            self.fault(path, &format!("takes over `{source}`, which takes over this again"));
            return Value::Null;
        }
        if moves && !path.starts_with(&names) {
            self.moved.push(names.clone());
        }
        self.stack.push(source.to_owned());
        let mut names = names;
        let found = self.expand(found, &mut names);
        self.stack.pop();
        found
    }

    fn fault(&mut self, path: &[String], why: &str) {
        let fault = format!("`{}` {why}.", path.join("."));
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }
}

/// `${inherit_from:a.b}` or `${copy:a.b}`: the source, and whether it moves.
fn word(text: &str) -> Option<(&str, bool)> {
    let inner = text.strip_prefix("${")?.strip_suffix('}')?;
    let (word, source) = inner.split_once(':')?;
    match word {
        "inherit_from" => Some((source, true)),
        "copy" => Some((source, false)),
        _ => None,
    }
}

fn remove(tree: &mut Value, path: &[String]) {
    let Some((last, above)) = path.split_last() else { return };
    let mut at = tree;
    for key in above {
        match at.get_mut(key) {
            Some(inner) => at = inner,
            None => return,
        }
    }
    if let Value::Object(map) = at {
        map.shift_remove(last);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn swapped(tree: Value) -> Result<Value, Vec<String>> {
        let Value::Object(tree) = tree else { panic!("a mapping") };
        let (tree, faults) = swap(tree);
        if faults.is_empty() { Ok(Value::Object(tree)) } else { Err(faults) }
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
        });
        let expected = json!({
            "moved": {"m": {"k": {"a": 1, "b": 3}}},
            "left": {"k": 1},
            "copied": {"k": 1, "l": 2},
            "short": 1,
            "taken": {"x": 5},
        });
        assert_eq!(swapped(tree), Ok(expected));
    }

    #[test]
    fn deleting_takes_out_own_keys_or_those_taken_over() {
        let tree = json!({
            "here": {"_delete_key": "a, b", "a": 1, "b": 2, "c": 3},
            "base": {"a": 1, "b": 2},
            "over": {"_copy": "base", "_delete_key": "a", "z": 1},
        });
        let expected = json!({"here": {"c": 3}, "base": {"a": 1, "b": 2}, "over": {"b": 2, "z": 1}});
        assert_eq!(swapped(tree), Ok(expected));
    }

    #[test]
    fn chains_work_and_circles_and_strays_are_faults() {
        let tree = json!({"a": {"_copy": "b"}, "b": {"_copy": "c", "y": 1}, "c": {"x": 1}});
        assert_eq!(swapped(tree).expect("a chain")["a"], json!({"x": 1, "y": 1}));
        let faults = swapped(json!({"a": {"_copy": "b"}, "b": {"_copy": "a"}})).expect_err("a circle");
        assert!(faults.iter().any(|fault| fault.contains("takes over this again")), "{faults:?}");
        let faults = swapped(json!({"a": {"_copy": "no.where"}})).expect_err("a stray");
        assert_eq!(faults, ["`a` takes over `no.where`, which is not there."]);
        let mut wide = json!({"l0": {"x": 1}});
        for level in 1..30 {
            let below = format!("l{}", level - 1);
            wide[format!("l{level}")] = json!({"a": {"_copy": below}, "b": {"_copy": below}, "c": {"_copy": below}});
        }
        assert!(swapped(wide).expect_err("too much")[0].contains("larger or deeper"));
    }
}

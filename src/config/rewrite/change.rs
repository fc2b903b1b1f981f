//! Other values for single keys of a configuration file.

use serde_json::{Map, Value};

use super::mapping::{RewriteError, as_written, rewrite};

/// Another value for one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The keys that lead to it, from the top: `["admin", "metrics"]`.
    pub keys: Vec<String>,
    /// The value; `None`: the key is removed.
    pub value: Option<Value>,
}

/// `text` with these changes, one after the other; mappings on the way are made where they are missing.
///
/// # Errors
/// When it cannot be had by changing `text` line by line.
pub fn changed(text: &str, changes: &[Change]) -> Result<String, RewriteError> {
    let mut wanted = as_written(text).ok_or(RewriteError)?;
    for Change { keys, value } in changes {
        put(&mut wanted, keys, value.as_ref());
    }
    rewrite(text, &wanted)
}

/// Sets or removes the value that `keys` lead to.
fn put(members: &mut Map<String, Value>, keys: &[String], value: Option<&Value>) {
    match (keys, value) {
        ([], _) => {}
        ([last], Some(value)) => drop(members.insert(last.clone(), value.clone())),
        ([last], None) => drop(members.shift_remove(last)),
        ([first, ..], None) if !members.get(first).is_some_and(Value::is_object) => {}
        ([first, rest @ ..], _) => {
            let inner = members.entry(first.clone()).or_insert(Value::Null);
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            if let Some(inner) = inner.as_object_mut() {
                put(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# My gateway\nlisten: 127.0.0.1:8000 # ours\n\nmodels:\n  # The big one\n  big:\n    source: b # weights\n    \
                        args:\n      max-model-len: 4096   # tokens\n\n  # The small one\n  small: { source: s }\n\n# Names\naliases:\n  a:\n    \
                        model: big\n    prompt: |\n      # Title\n\n      text\n";

    #[test]
    fn keys_at_the_top_are_changed_and_every_comment_stays() {
        let change = |keys: &[&str], value: Option<Value>| Change {
            keys: keys.iter().map(ToString::to_string).collect(),
            value,
        };
        let new = changed(
            FILE,
            &[
                change(&["listen"], Some("0.0.0.0:80".into())),
                change(&["models", "big", "args", "seed"], Some(7.into())),
                change(&["models", "small"], None),
                change(&["log", "access"], Some(false.into())),
                change(&["no", "such"], None),
            ],
        )
        .expect("changed");
        let expected = FILE
            .replace("127.0.0.1:8000 # ours", "0.0.0.0:80 # ours")
            .replace("# tokens\n", "# tokens\n      seed: 7\n")
            .replace("  small: { source: s }\n", "");
        assert_eq!(new, format!("{expected}log:\n  access: false\n"));
        assert_eq!(changed("", &[change(&["a"], Some(1.into()))]), Err(RewriteError), "no mapping");
    }
}

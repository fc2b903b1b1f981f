//! Puts one document on top of another.

use super::yaml::{Kind, Node};

/// `upper` on top of `lower`: mappings are merged key by key; lists and scalars of `upper` take the place of what was there. A
/// key with nothing behind it, like a heading without entries, changes nothing; a written `null` or `~` removes what `lower` has.
pub(in crate::config) fn merged(lower: Node, upper: Node) -> Node {
    match (lower.kind, upper.kind) {
        (Kind::Map(mut members), Kind::Map(wanted)) => {
            for (key, line, value) in wanted {
                put(&mut members, key, line, value);
            }
            // Where an entry is as a whole is where it was first.
            Node { kind: Kind::Map(members), line: lower.line, spelling: lower.spelling }
        }
        (kind, Kind::Null) if upper.spelling.is_empty() => Node { kind, line: lower.line, spelling: lower.spelling },
        (_, kind) => Node { kind, ..upper },
    }
}

/// Puts one member into a mapping.
fn put(members: &mut Vec<(String, u64, Node)>, key: String, line: u64, value: Node) {
    let Some(at) = members.iter().position(|(known, ..)| *known == key) else {
        members.push((key, line, value));
        return;
    };
    let removes = matches!(value.kind, Kind::Null) && !value.spelling.is_empty();
    let is_silent = matches!(value.kind, Kind::Null) && !removes;
    if removes {
        members.remove(at);
    } else if !is_silent {
        let (_, known_line, known) = &mut members[at];
        let both_mappings = matches!((&known.kind, &value.kind), (Kind::Map(_), Kind::Map(_)));
        *known_line = if both_mappings { *known_line } else { line };
        let lower = std::mem::replace(known, Node { kind: Kind::Null, line: 0, spelling: String::new() });
        *known = merged(lower, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::yaml::read;
    use super::*;

    fn node(text: &str) -> Node {
        read(text, &mut Vec::new()).expect("YAML")
    }

    #[test]
    fn mappings_merge_and_the_rest_is_replaced_or_removed() {
        let base = "a: 1\nm: { x: { s: 1, t: [1, 2] }, y: { s: 2 }, z: 3 }\nl: [1]\ngone: 1\n";
        let top = "a: 2\nm:\n  x: { t: [3], u: 4 }\n  y: null\n  z:\nl: [2, 3]\ngone: ~\nnew: 5\nnever: null\n";
        let both = merged(node(base), node(top));
        assert_eq!(
            both.as_written(),
            json!({ "a": 2, "m": { "x": { "s": 1, "t": [3], "u": 4 }, "z": 3 }, "l": [2, 3], "new": 5, "never": null })
        );
        let Kind::Map(members) = both.kind else { panic!("a mapping") };
        let lines: Vec<u64> = members.iter().map(|(_, line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 6, 8, 9], "where a mapping was first, and where a value was last");
    }

    #[test]
    fn a_heading_without_entries_changes_nothing() {
        let both = merged(node("models: { m: { source: s } }"), node("models:\n  # none yet\naliases:\n"));
        assert_eq!(both.as_written(), json!({ "models": { "m": { "source": "s" } }, "aliases": null }));
    }
}

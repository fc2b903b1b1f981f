//! Members of bodies that nobody is to read: their values are replaced before anything is kept.

use serde_json::Value;

use crate::settings::FieldPath;

/// What stands in the place of a value.
const MASK: &str = "***";

/// The data of the last event of a stream, which is no JSON.
const DONE: &str = "[DONE]";

/// A whole JSON text, written anew; `None`: it is none.
pub(super) fn json(text: &str, mask: &[FieldPath]) -> Option<String> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    mask.iter().for_each(|path| hide(&mut value, path));
    Some(value.to_string())
}

/// A stream of events whose data is JSON, written anew, and whether something after its last whole event is left out; `None`: it
/// is no such stream. Comments and ids are left out: nothing is known of what they say.
pub(super) fn events(text: &str, mask: &[FieldPath]) -> Option<(String, bool)> {
    let mut out = String::new();
    let (mut name, mut data) = (None, None::<String>);
    // As a reader of streams ends lines (WHATWG HTML, 9.2.5).
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    for line in text.split_inclusive('\n') {
        let Some(line) = line.strip_suffix('\n') else {
            return Some((out, true));
        };
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut data {
                Some(before) => *before = format!("{before}\n{value}"),
                None => data = Some(value.to_owned()),
            },
            "event" => name = Some(value).filter(|name| is_word(name)),
            // The end of an event.
            "" if line.is_empty() => {
                let name = name.take().map(|name| format!("event: {name}\n")).unwrap_or_default();
                if let Some(data) = data.take() {
                    let data = if data == DONE { data } else { json(&data, mask)? };
                    out.push_str(&format!("{name}data: {data}\n\n"));
                }
            }
            "" | "id" | "retry" => {}
            _ => return None,
        }
    }
    Some((out, data.is_some()))
}

/// Replaces the value at `path`: in a list, that of each item.
fn hide(value: &mut Value, path: &[String]) {
    match (value, path) {
        (Value::Array(items), path) => items.iter_mut().for_each(|item| hide(item, path)),
        (Value::Object(members), [key, rest @ ..]) => {
            let Some(member) = members.get_mut(key) else { return };
            if rest.is_empty() {
                *member = MASK.into();
            } else {
                hide(member, rest);
            }
        }
        _ => {}
    }
}

fn is_word(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn paths(texts: &[&str]) -> Vec<FieldPath> {
        texts.iter().map(|text| text.split('.').map(str::to_owned).collect()).collect()
    }

    #[test]
    fn values_are_replaced_wherever_the_path_leads_also_in_each_item_of_lists() {
        let mask = paths(&["messages.content", "user", "a.b.c", "none.x"]);
        let masked = |text: &str| json(text, &mask).expect("JSON");
        assert_eq!(
            masked(r#"{"messages":[{"role":"user","content":"s"},{"content":[{"text":"s"}]},7],"user":{"id":1}}"#),
            r#"{"messages":[{"role":"user","content":"***"},{"content":"***"},7],"user":"***"}"#
        );
        assert_eq!(masked(r#"[[{"a":[{"b":{"c":null,"d":1}}]}]]"#), r#"[[{"a":[{"b":{"c":"***","d":1}}]}]]"#);
        assert_eq!(masked(r#"{"user":"one","us\u0065r":"two"}"#), r#"{"user":"***"}"#, "twice, and otherwise written");
        assert_eq!(masked(r#"{"a":"text","content":"s"}"#), r#"{"a":"text","content":"s"}"#);
        for broken in ["", "{", r#"{"user":"s"} x"#, "data: {}\n\n", &"[".repeat(1000)] {
            assert_eq!(json(broken, &mask), None, "{broken}");
        }
    }

    #[test]
    fn each_event_is_masked_and_nothing_else_of_a_stream_is_kept() {
        let mask = paths(&["delta"]);
        let stream =
            ": secret\r\nid: secret\r\nevent: response.delta\ndata: {\"delta\":\ndata: \"secret\"}\n\ndata:[DONE]\n\n";
        let whole = "event: response.delta\ndata: {\"delta\":\"***\"}\n\ndata: [DONE]\n\n";
        assert_eq!(events(stream, &mask), Some((whole.to_owned(), false)));
        let begun = events(&format!("{stream}data: {{\"delta\":\"sec"), &mask);
        assert_eq!(begun, Some((whole.to_owned(), true)), "an event that is not whole is left out");
        assert_eq!(events(&format!("{stream}data: {{\"delta\":\"secret\"}}\n"), &mask), Some((whole.to_owned(), true)));
        for other in ["data: secret\n\n", "secret\n", "{\"a\":\n\"b\"}\n", "event: x\ndata: {\n\n"] {
            assert_eq!(events(other, &mask), None, "{other}");
        }
        let odd = events("event: my secret\ndata: {}\n\n", &mask);
        assert_eq!(odd, Some(("data: {}\n\n".to_owned(), false)));
    }

    /// JSON with the secret as value of every masked member.
    fn bodies() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i64>().prop_map(Value::from),
            "[a-z\"\\\\\n ]{0,6}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let secret = prop_oneof![Just(json!("s3cret")), Just(json!(["s3cret", { "key": "s3cret" }]))];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                (inner.clone(), inner, secret)
                    .prop_map(|(one, other, secret)| json!({ "open": one, "key": secret, "in": { "key": other } })),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_bytes_bring_it_down(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\":,a\n\r data:event]{0,80}") {
            let mask = paths(&["a", "a.a", "data.a"]);
            for text in [String::from_utf8_lossy(&bytes).as_ref(), text.as_str()] {
                json(text, &mask);
                events(text, &mask);
            }
        }

        #[test]
        fn no_masked_value_is_left(body in bodies(), at in any::<proptest::sample::Index>()) {
            // Every way to a `key`, as deep as the bodies go.
            let steps = ["open", "in"];
            let mut mask = paths(&["key"]);
            let mut ways: Vec<Vec<&str>> = vec![vec![]];
            for _ in 0..5 {
                ways = ways.iter().flat_map(|way| steps.map(|step| [&way[..], &[step]].concat())).collect();
                mask.extend(ways.iter().map(|way| way.iter().chain(&["key"]).map(|step| (*step).to_owned()).collect()));
            }
            let text = body.to_string();
            let masked = json(&text, &mask).expect("JSON");
            prop_assert!(!masked.contains("s3cret"), "{masked}");
            let stream = format!(": s3cret\ndata: {text}\n\ndata: {text}\n\n");
            let cut = &stream[..stream.floor_char_boundary(at.index(stream.len()))];
            let (kept, _) = events(cut, &mask).expect("a stream");
            prop_assert!(!kept.contains("s3cret"), "{kept}");
        }
    }
}

//! Answers under another name, in any pieces.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn all(mut echo: Echo, pieces: &[&[u8]]) -> String {
    let out: Vec<Bytes> = pieces.iter().map(|piece| echo.feed(&Bytes::copy_from_slice(piece))).collect();
    String::from_utf8(out.concat()).expect("UTF-8")
}

/// Whole, and byte by byte.
fn both(echo: &Echo, text: &str) -> String {
    let whole = all(echo.clone(), &[text.as_bytes()]);
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(all(echo.clone(), &bytes), whole, "{text}");
    whole
}

#[test]
fn a_json_answer_names_the_alias() {
    let echo = Echo::json("a \"b\"");
    for (text, expected) in [
        (r#"{"id":1,"model":"m","x":"model"}"#, r#"{"id":1,"model":"a \"b\"","x":"model"}"#),
        (r#" { "model" : "m\"\\" , "x":[{"model":"m"}]}"#, r#" { "model" : "a \"b\"" , "x":[{"model":"m"}]}"#),
        (r#"{"response":{"model":"m","x":{"model":"m"}}}"#, r#"{"response":{"model":"a \"b\"","x":{"model":"m"}}}"#),
        (
            r#"{"message":{"model":"m"},"other":{"model":"m"}}"#,
            r#"{"message":{"model":"a \"b\""},"other":{"model":"m"}}"#,
        ),
        (r#"{"x":{"response":{"model":"m"}}}"#, r#"{"x":{"response":{"model":"m"}}}"#),
        (r#"{"message":["model",{"model":"m"}]}"#, r#"{"message":["model",{"model":"m"}]}"#),
        (r#"{"model":null,"a\"model":"m","model ":"m"}"#, r#"{"model":null,"a\"model":"m","model ":"m"}"#),
        (r#"{"model":{"model":"m"},"x":"\"model\":\"m\""}"#, r#"{"model":{"model":"m"},"x":"\"model\":\"m\""}"#),
        (r#"[{"model":"m"}]"#, r#"[{"model":"m"}]"#),
        ("", ""),
    ] {
        assert_eq!(both(&echo, text), expected);
    }
}

proptest! {
    /// Events that begin alike are looked at less closely when they are whole; byte by byte none is.
    #[test]
    fn events_that_begin_alike_are_read_like_others(
        events in prop::collection::vec((0usize..7, 0usize..7), 0..8), end in prop::sample::select(vec!["\n\n", "\n", "\r\n\r\n", ""]),
    ) {
        let begins = [
            r#"{"id":"1","model":"m""#, r#"{"id":"1","model":"m","model":"m""#, r#"{"id":{"model":"m"},"model":"n""#,
            r#"{"response":{"model":"m""#, r#" {"x":"\"model\"","model":"m\"""#, r#"{"model":5"#, r#"{"id":"1""#,
        ];
        let ends = [
            "}", r#","x":"y"}"#, r#","model":"m"}"#, r#","message":{"model":"m"}}"#, r#","x":"model"}"#, r#","x":"\"model\""}"#,
            r#","x":{"model":"m"},"model":"#,
        ];
        let text: String =
            events.iter().map(|(begin, rest)| format!("data:{}{}{end}", begins[*begin], ends[*rest])).collect();
        let _ = both(&Echo::events("a"), &text);
    }
}

#[test]
fn every_event_names_the_alias() {
    let echo = Echo::events("a");
    for (text, expected) in [
        (
            "data: {\"model\":\"m\"}\n\ndata: {\"model\":\"m\"}\n\n",
            "data: {\"model\":\"a\"}\n\ndata: {\"model\":\"a\"}\n\n",
        ),
        ("data:{\"model\": \"m\"}\r\n\r\ndata: [DONE]\n\n", "data:{\"model\": \"a\"}\r\n\r\ndata: [DONE]\n\n"),
        (
            "event: x\ndata: {\"response\":{\"model\":\"m\"}}\n\n",
            "event: x\ndata: {\"response\":{\"model\":\"a\"}}\n\n",
        ),
        (": {\"model\":\"m\"}\nid: {\"model\":\"m\"}\n\n", ": {\"model\":\"m\"}\nid: {\"model\":\"m\"}\n\n"),
        ("data: {\"model\":\"m\",\"x\":\"model\"}\n", "data: {\"model\":\"a\",\"x\":\"model\"}\n"),
        ("data: {\"model\":\"m\",\"x\":{\"model\":\"m\"}}\n", "data: {\"model\":\"a\",\"x\":{\"model\":\"m\"}}\n"),
        ("data: {\"broken\ndata: {\"model\":\"m\"}\n", "data: {\"broken\ndata: {\"model\":\"a\"}\n"),
        ("data: {\"model\":\"m", "data: {\"model\":\"a\""),
    ] {
        assert_eq!(both(&echo, text), expected);
    }
}

#[test]
fn a_piece_without_the_member_is_not_copied() {
    let mut echo = Echo::events("a");
    let piece = Bytes::from_static(b"data: {\"delta\":\"model\"}\n\n");
    assert_eq!(echo.feed(&piece).as_ptr(), piece.as_ptr());
}

fn value() -> impl Strategy<Value = Value> {
    let key = || prop::sample::select(vec!["model", "response", "message", "a", "b\"model", "\\", "models"]);
    let text =
        prop::sample::select(vec!["m", "model", "\"model\":\"m\"", "\\", "é😀", "{\"model\":", "\"", "response"]);
    let scalar = prop_oneof![text.prop_map(Value::from), any::<i32>().prop_map(Value::from), Just(Value::Null)];
    scalar.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..5).prop_map(|pairs| pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

fn renamed(value: &Value) -> Value {
    let mut value = value.clone();
    for way in ["/model", "/response/model", "/message/model"] {
        let outer = value.pointer(way.strip_suffix("/model").unwrap_or("")).is_some_and(Value::is_object);
        if outer && let Some(name @ Value::String(_)) = value.pointer_mut(way) {
            *name = json!("an\"alias");
        }
    }
    value
}

fn cut<'t>(text: &'t str, cuts: &[prop::sample::Index]) -> Vec<&'t [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn json_in_any_pieces_equals_the_tree(
        value in value(), pretty in any::<bool>(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let write = |value: &Value| if pretty { format!("{value:#}") } else { value.to_string() };
        prop_assert_eq!(all(Echo::json("an\"alias"), &cut(&write(&value), &cuts)), write(&renamed(&value)));
    }

    #[test]
    fn events_in_any_pieces_equal_the_trees(
        values in prop::collection::vec((value(), 0usize..4), 0..6), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let write = |rename: bool| -> String {
            values.iter().map(|(value, kind)| {
                let own = if rename { renamed(value) } else { value.clone() };
                match kind {
                    0 => format!("data: {own}\n\n"),
                    1 => format!("event: model\r\ndata:{own}\r\n\r\n"),
                    2 => format!(": {value}\n\ndata: {own}\n\n"),
                    _ => format!("data: [DONE]\nid: {value}\n\n"),
                }
            }).collect()
        };
        prop_assert_eq!(all(Echo::events("an\"alias"), &cut(&write(false), &cuts)), write(true));
    }

    #[test]
    fn any_bytes_in_any_pieces_give_the_same(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "data: ", "data:", "{", "}", "[", "]", "\"model\"", ":", "\"", "\\", "m", "\n", "\r\n", " ", ",", "\"response\":{", "dat",
        ]), 0..40),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let text = pieces.concat();
        for echo in [Echo::events("a"), Echo::json("a")] {
            prop_assert_eq!(all(echo.clone(), &cut(&text, &cuts)), all(echo, &[text.as_bytes()]));
        }
    }
}

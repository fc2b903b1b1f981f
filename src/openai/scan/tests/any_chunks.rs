//! Answers in any chunks, beside slow references that see all of an answer at once.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// JSON in which the keys that matter stand everywhere, also in texts.
fn value() -> impl Strategy<Value = Value> {
    let key = || {
        prop::sample::select(vec![
            "model",
            "response",
            "message",
            "a",
            "b\"model",
            "\\",
            "models",
            "usage",
            "prompt_tokens",
            "output_tokens",
            "total_tokens",
            "cache_read_input_tokens",
            "input_tokens_details",
            "cached_tokens",
            "error",
        ])
    };
    let text = prop::sample::select(vec![
        "m",
        "model",
        "\"model\":\"m\"",
        "\\",
        "é😀",
        "{\"model\":",
        "\"",
        "response",
        "\"usage\":{\"total_tokens\":9}",
        "\n",
    ]);
    let scalar = prop_oneof![text.prop_map(Value::from), (-9i32..999).prop_map(Value::from), Just(Value::Null)];
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
    for path in ["/model", "/response/model", "/message/model"] {
        let outer = value.pointer(path.strip_suffix("/model").unwrap_or("")).is_some_and(Value::is_object);
        if outer && let Some(name @ Value::String(_)) = value.pointer_mut(path) {
            *name = json!("an\"alias");
        }
    }
    value
}

/// The largest counts of all `usage` objects in the tree.
fn used(value: &Value) -> Option<Usage> {
    let inner: Vec<Usage> = match value {
        Value::Array(items) => items.iter().filter_map(used).collect(),
        Value::Object(members) => {
            let of = |(key, value): (&String, &Value)| match value {
                Value::Object(members) if key == "usage" => told(members),
                value => used(value),
            };
            members.iter().filter_map(of).collect()
        }
        _ => Vec::new(),
    };
    largest(inner)
}

fn largest(all: Vec<Usage>) -> Option<Usage> {
    all.into_iter().reduce(|one, other| Usage {
        prompt: one.prompt.max(other.prompt),
        completion: one.completion.max(other.completion),
        cached: one.cached.max(other.cached),
    })
}

/// The counts of one `usage` object; of several that mean the same, the last that is a count.
fn told(members: &Map<String, Value>) -> Option<Usage> {
    let last = |keys: &[&str]| {
        members
            .iter()
            .filter(|(key, _)| keys.contains(&key.as_str()))
            .filter_map(|(_, value)| value.as_u64())
            .next_back()
    };
    let mut cached = members.iter().filter_map(|(key, value)| match key.as_str() {
        "input_tokens_details" => value.get("cached_tokens")?.as_u64(),
        "cache_read_input_tokens" => value.as_u64(),
        _ => None,
    });
    let (prompt, completion, total) = (last(&["prompt_tokens"]), last(&["output_tokens"]), last(&["total_tokens"]));
    prompt.or(completion).or(total)?;
    let completion = completion.unwrap_or(0);
    let prompt = prompt.or(total.map(|total| total.saturating_sub(completion))).unwrap_or(0);
    Some(Usage { prompt, completion, cached: cached.next_back().unwrap_or(0) })
}

fn is_error(value: &Value) -> bool {
    let first = value.as_object().and_then(|members| members.iter().next());
    first.is_some_and(|(key, value)| key == "error" && !value.is_null())
}

/// A stream of these events, as the engine sends it and as the client gets it, and what it tells.
fn written(events: &[(Value, usize)]) -> (String, Seen) {
    let (mut sent, mut seen) = (String::new(), scan(ResponseScanner::events(), []));
    let mut usages = Vec::new();
    for (value, kind) in events {
        for (name, text) in [(value, &mut sent), (&renamed(value), &mut seen.text)] {
            *text += &match kind {
                0 => format!("data: {name}\n\n"),
                1 => format!("event: model\r\ndata:{name}\r\n\r\n"),
                2 => format!(": {value}\n\ndata: {name}\n\n"),
                3 => format!("event: error\ndata: {name}\n\n"),
                _ => format!("data: [DONE]\nid: {value}\n\n"),
            };
        }
        if *kind > 3 {
            seen.done = true;
            continue;
        }
        seen.done |= is_error(value) || *kind == 3;
        seen.events += 1;
        usages.extend(used(value));
    }
    seen.usage = largest(usages);
    (sent, seen)
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..20)
}

fn cut<'t>(text: &'t str, cuts: &[prop::sample::Index]) -> Vec<&'t [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn json_in_any_chunks_equals_the_tree(value in value(), pretty in any::<bool>(), cuts in cuts()) {
        let write = |value: &Value| if pretty { format!("{value:#}") } else { value.to_string() };
        let text = write(&value);
        let seen = scan(ResponseScanner::json().renaming("an\"alias"), cut(&text, &cuts));
        prop_assert_eq!((seen.text, seen.usage), (write(&renamed(&value)), used(&value)));
    }

    #[test]
    fn events_in_any_chunks_equal_the_trees(
        events in prop::collection::vec((value(), 0usize..5), 0..6), cuts in cuts(),
    ) {
        let (sent, expected) = written(&events);
        let seen = scan(ResponseScanner::events().renaming("an\"alias"), cut(&sent, &cuts));
        prop_assert_eq!(&seen, &expected);
        let seen = scan(ResponseScanner::events(), cut(&sent, &cuts));
        prop_assert_eq!(seen, Seen { text: sent, ..expected });
    }

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
        let _ = both(&ResponseScanner::events().renaming("a"), &text);
    }

    /// What is no JSON and no event, too. Without a new name, all of it passes as it is.
    #[test]
    fn any_text_in_any_chunks_gives_the_same(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "data: ", "data:", "{}", "{\"error\":", "null", "1}", "[DONE]", "event: ", "message_stop", "error", "response.completed",
            "\n", "\n\n", "\r\n", "\r", ":", " ", ",", "{", "}", "[", "]", "\"", "\\", "m", "dat", "é", "\"model\"", "\"response\":{",
            "\"usage\"", "\"usage", "\"us", "age\"", "\"prompt_tokens\"", ":3", "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}",
            "a long piece of text without any meaning to the scanner, longer than it keeps",
        ]), 0..40),
        cuts in cuts(),
    ) {
        let text = pieces.concat();
        for scanner in [ResponseScanner::events(), ResponseScanner::json()] {
            for scanner in [scanner.clone(), scanner.renaming("a")] {
                let whole = both(&scanner, &text);
                prop_assert!(scanner.rename.is_some() || whole.text == text);
                prop_assert_eq!(scan(scanner, cut(&text, &cuts)), whole);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for scanner in [ResponseScanner::events(), ResponseScanner::json()] {
            let mut scanner = scanner.renaming("a");
            for chunk in [&b"data: {\"usage\":{"[..], &bytes, b"\ndata: {\"model\":", &bytes] {
                let _ = scanner.feed(Bytes::copy_from_slice(chunk));
            }
        }
    }
}

//! Answers in any chunks, against slow references that see all of an answer at once.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::usage::MAX_OBJECT;
use super::*;

/// All that a scanner tells of an answer.
#[derive(Debug, PartialEq)]
struct Seen {
    text: String,
    events: usize,
    at_boundary: bool,
    done: bool,
    first_event_is_error: bool,
    usage: Option<Usage>,
}

fn scan<'t>(mut scanner: ResponseScanner, chunks: impl IntoIterator<Item = &'t [u8]>) -> Seen {
    let (mut bytes, mut events) = (Vec::new(), 0);
    for chunk in chunks {
        let scanned = scanner.feed(Bytes::copy_from_slice(chunk));
        bytes.extend_from_slice(&scanned.bytes);
        events += scanned.events;
    }
    Seen {
        text: String::from_utf8(bytes).expect("UTF-8"),
        events,
        at_boundary: scanner.at_boundary(),
        done: scanner.done(),
        first_event_is_error: scanner.first_event_is_error(),
        usage: scanner.usage(),
    }
}

/// Whole, and byte by byte.
fn both(scanner: &ResponseScanner, text: &str) -> Seen {
    let whole = scan(scanner.clone(), [text.as_bytes()]);
    assert_eq!(scan(scanner.clone(), text.as_bytes().chunks(1)), whole, "{text}");
    whole
}

fn stream(text: &str) -> Seen {
    both(&ResponseScanner::events(), text)
}

/// The counts in a JSON answer.
fn counts(text: &str) -> Option<(u64, u64, u64)> {
    both(&ResponseScanner::json(), text).usage.map(|usage| (usage.prompt, usage.completion, usage.cached))
}

#[test]
fn counts_events_with_data() {
    for (text, events, at_boundary) in [
        ("", 0, true),
        ("data: {}\n\n", 1, true),
        ("data: {}\r\n\r\n", 1, true),
        ("data:{}\n\ndata: {}\n\n", 2, true),
        ("data: a\ndata: b\n\n", 1, true),
        (": keep-alive\n\n", 0, true),
        (": keep-alive\n", 0, false),
        ("event: ping\n\n", 0, true),
        ("event: x\ndata: {}\n\n", 1, true),
        ("\n\n\n", 0, true),
        ("id: 1\nretry: 5\n\n", 0, true),
        ("database: {}\n\n", 0, true),
    ] {
        let seen = stream(text);
        assert_eq!((seen.events, seen.at_boundary, seen.done), (events, at_boundary, false), "{text:?}");
    }
}

#[test]
fn knows_a_torn_event() {
    for text in ["d", "data: {", "data: {}", "data: {}\n", "data: {}\r\n\r", "data: {}\n\ndata", "event: x\n"] {
        assert!(!stream(text).at_boundary, "{text:?}");
    }
}

#[test]
fn knows_the_end_of_every_dialect() {
    for text in [
        "data: [DONE]\n\n",
        "data:[DONE]\r\n\r\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        "event: response.completed\r\ndata: {}\r\n\r\n",
        "event: response.incomplete\ndata: {}\n\n",
        "event: response.failed\ndata: {}\n\n",
        "event: error\ndata: {}\n\n",
        "data: {\"error\": {\"message\": \"x\"}}\n\n",
        "data: { \"error\":\"x\"}\n\n",
    ] {
        assert!(stream(text).done, "{text:?}");
    }
    for text in [
        "data: {\"choices\":[]}\n\n",
        "data: \"[DONE]\"\n\n",
        "data: [DONE]x\n\n",
        "event: response.completed\ndata: {}\n",
        "event: response.completed.x\ndata: {}\n\n",
        "event: message_delta\ndata: {}\n\n",
        "data: {\"error\":null,\"choices\":[]}\n\n",
        "data: {\"errors\":1}\n\n",
        ": [DONE]\n\n",
    ] {
        assert!(!stream(text).done, "{text:?}");
    }
    assert_eq!(stream("data: [DONE]\n\n").events, 0);
}

#[test]
fn tells_a_stream_that_begins_with_an_error_from_one_that_ends_with_it() {
    for (text, expected) in [
        ("data: {\"error\":{\"message\":\"x\"}}\n\n", true),
        (": ping\n\nevent: ping\n\ndata: { \"error\": {}}\n\ndata: [DONE]\n\n", true),
        ("event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n", true),
        ("data: {}\nevent: error\n\n", true),
        ("data: {\"error\":{}}\n", false),
        ("data: {\"error\":null}\n\n", false),
        ("data: {}\n\ndata: {\"error\":{}}\n\n", false),
        ("event: error\n\ndata: {}\n\n", false),
        ("event: response.failed\ndata: {}\n\n", false),
        ("data: [DONE]\n\n", false),
    ] {
        assert_eq!(stream(text).first_event_is_error, expected, "{text:?}");
    }
    assert!(!both(&ResponseScanner::json(), "{\"error\":{}}").first_event_is_error);
}

#[test]
fn a_long_line_costs_no_memory_and_is_one_event() {
    let line = format!("data: {}\n\n", "x".repeat(1 << 20));
    let seen = scan(ResponseScanner::events(), line.as_bytes().chunks(1000));
    assert!(seen.events == 1 && seen.at_boundary && !seen.done);
}

#[test]
fn reads_every_dialects_usage() {
    for (text, expected) in [
        (
            r#"{"choices":[],"usage":{"prompt_tokens":22,"total_tokens":34,"completion_tokens":12,"prompt_tokens_details":{"cached_tokens":16}}}"#,
            (22, 12, 16),
        ),
        (
            "{\"usage\" :\n{ \"prompt_tokens\" : 5 , \"total_tokens\" : 5, \"prompt_tokens_details\" : null } }",
            (5, 0, 0),
        ),
        (r#"{"usage":{"input_tokens":13,"output_tokens":3,"cache_read_input_tokens":8}}"#, (13, 3, 8)),
        (
            r#"{"response":{"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":2,"total_tokens":11}}}"#,
            (9, 2, 4),
        ),
        (r#"{"usage":{"total_tokens":56}}"#, (56, 0, 0)),
    ] {
        assert_eq!(counts(text), Some(expected), "{text}");
    }
}

#[test]
fn a_streams_totals_add_up_over_its_events() {
    let anthropic = concat!(
        "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":13,\"output_tokens\":0}}}\n\n",
        "event: message_delta\ndata: {\"usage\":{\"output_tokens\":3}}\n\n"
    );
    assert_eq!(stream(anthropic).usage, Some(Usage { prompt: 13, completion: 3, cached: 0 }));
    let continuous = concat!(
        "data: {\"usage\":null}\n\ndata: {\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1}}\n\n",
        "data: {\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n"
    );
    assert_eq!(stream(continuous).usage, Some(Usage { prompt: 4, completion: 2, cached: 0 }));
    for text in [": {\"usage\":{\"prompt_tokens\":4}}\n\n", "data: \"usage\":\ndata: {\"prompt_tokens\":4}\n\n"] {
        assert_eq!(stream(text).usage, None, "{text:?}");
    }
}

#[test]
fn is_not_fooled_by_what_looks_like_usage() {
    let long = format!(r#"{{"usage":{{"prompt_tokens":1,"x":"{}"}}}}"#, "y".repeat(MAX_OBJECT));
    for text in [
        r#"{"content":"\"usage\":{\"prompt_tokens\":1}"}"#,
        r#"{"content":"usage","x":{"prompt_tokens":1}}"#,
        r#"{"usage":null,"x":{"prompt_tokens":1}}"#,
        r#"{"usage":[{"prompt_tokens":1}]}"#,
        r#"{"usage":{"type":"object","properties":{"prompt_tokens":{"type":"integer"}}}}"#,
        r#"{"usage":{"prompt_tokens":-1}}"#,
        r#"{"usage":{"prompt_tokens":1"#,
        r#""usage""usage""#,
        &long,
    ] {
        assert_eq!(counts(text), None, "{text}");
    }
    assert_eq!(counts(r#""usag"usage":{"prompt_tokens":1,"a":"}\"}{"}"#), Some((1, 0, 0)));
    assert_eq!(counts(&format!(r#"{long}{{"usage":{{"prompt_tokens":7}}}}"#)), Some((7, 0, 0)));
}

#[test]
fn a_usage_object_is_read_up_to_its_bound_in_any_chunks() {
    for (length, expected) in [(MAX_OBJECT, Some((1, 0, 0))), (MAX_OBJECT + 1, None)] {
        let object = format!(r#"{{"prompt_tokens":1,"x":"{}"}}"#, "y".repeat(length - 26));
        assert_eq!(object.len(), length);
        assert_eq!(counts(&format!(r#"{{"usage":{object}}}"#)), expected);
    }
}

#[test]
fn a_json_answer_names_the_alias() {
    let scanner = ResponseScanner::json().renaming("a \"b\"");
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
        assert_eq!(both(&scanner, text).text, expected);
    }
}

#[test]
fn every_event_names_the_alias() {
    let scanner = ResponseScanner::events().renaming("a");
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
        ("data: {\"model\":\r\"m\"}\n", "data: {\"model\":\r\"a\"}\n"),
        ("data: {\"model\":\"m", "data: {\"model\":\"a\""),
    ] {
        assert_eq!(both(&scanner, text).text, expected);
    }
}

#[test]
fn a_chunk_in_which_nothing_is_replaced_is_not_copied() {
    let chunk = Bytes::from_static(b"data: {\"delta\":\"model\",\"usage\":{\"prompt_tokens\":1}}\n\n");
    for mut scanner in [ResponseScanner::events(), ResponseScanner::events().renaming("a")] {
        assert_eq!(scanner.feed(chunk.clone()).bytes.as_ptr(), chunk.as_ptr());
    }
}

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
    let cached = members.iter().filter_map(|(key, value)| match key.as_str() {
        "input_tokens_details" => value.get("cached_tokens")?.as_u64(),
        "cache_read_input_tokens" => value.as_u64(),
        _ => None,
    });
    let (prompt, completion, total) = (last(&["prompt_tokens"]), last(&["output_tokens"]), last(&["total_tokens"]));
    prompt.or(completion).or(total)?;
    let completion = completion.unwrap_or(0);
    let prompt = prompt.or(total.map(|total| total.saturating_sub(completion))).unwrap_or(0);
    Some(Usage { prompt, completion, cached: cached.last().unwrap_or(0) })
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
        let error = is_error(value) || *kind == 3;
        seen.first_event_is_error |= error && seen.events == 0;
        seen.done |= error;
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

//! What is seen of answers and done to them, by example: whole, and byte by byte.

use super::usage::MAX_OBJECT;
use super::*;

mod any_chunks;

/// All that a scanner tells of an answer.
#[derive(Debug, PartialEq)]
struct Seen {
    text: String,
    events: usize,
    at_boundary: bool,
    done: bool,
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

//! Token counts of streams whose clients do not ask for them: the engine is asked, and the event that it adds is taken out
//! again (OpenAI API reference, `stream_options.include_usage`: one more event, whose `choices` are empty).

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::{memchr_iter, memmem, memrchr};
use serde_json::Value;

use super::Peek;
use super::changes::ChangeLog;
use super::object::{Object, TooManyMembers};

const OPTIONS: &str = "stream_options";
const INCLUDE: &str = "include_usage";

/// Whether the request that `body` is asks for a stream.
pub(super) fn is_stream(body: &[u8], peek: &Peek) -> bool {
    let says = |key: &[u8], value: &[u8]| key.trim_ascii_start() == b"stream" && value == b"true";
    peek.members.iter().any(|member| says(member.key.of(body), member.value.of(body)))
}

/// Asks for the token counts, unless the client does; whether that was needed.
pub(super) fn ask(object: &mut Object<'_, '_>, log: &mut ChangeLog<'_>) -> Result<bool, TooManyMembers> {
    log.origin(|| "the gateway".into());
    log.part("usage");
    let ours = || Cow::Borrowed(&br#"{"include_usage":true}"#[..]);
    let Some(at) = object.only(OPTIONS) else {
        log.note(OPTIONS, None, Some(&ours()));
        object.push(OPTIONS, ours(), false);
        return Ok(true);
    };
    let old = log.before(|| object.json(at));
    let is_null = object.first_byte(at) == Some(b'n');
    match object.child(at)? {
        Some(options) => match options.only(INCLUDE) {
            Some(at) if *options.json(at) == *b"true" => return Ok(false),
            Some(at) => options.set(at, Cow::Borrowed(b"true"), false),
            None => options.push(INCLUDE, Cow::Borrowed(b"true"), false),
        },
        None if is_null => object.set(at, ours(), false),
        // That is for the engine to refuse.
        None => return Ok(false),
    }
    log.note(OPTIONS, old, Some(&object.json(at)));
    Ok(true)
}

/// The whole `events` without the one that holds nothing but token counts; whether it was there.
#[must_use]
pub fn without_usage(events: Bytes) -> (Bytes, bool) {
    let Some((start, end)) = usage_event(&events) else { return (events, false) };
    // Nobody else holds them, as a rule: then only what follows is moved, and that is little.
    let mut rest = events.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    rest.copy_within(end.., start);
    rest.truncate(rest.len() - (end - start));
    (rest.freeze(), true)
}

/// Where the event stands that holds nothing but token counts: looked for from the end, where it is.
fn usage_event(events: &[u8]) -> Option<(usize, usize)> {
    let mut before = events.len();
    loop {
        let at = memmem::rfind(&events[..before], b"\"usage\"")?;
        let start = last_boundary(&events[..at]).unwrap_or(0);
        let end = first_boundary(&events[at..]).map_or(events.len(), |end| at + end);
        let data = events[start..end].split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"data:"));
        if data.is_some_and(is_only_usage) {
            return Some((start, end));
        }
        before = start;
    }
}

/// Where the last event of `bytes` ends that ends in them.
#[must_use]
pub fn last_boundary(bytes: &[u8]) -> Option<usize> {
    let mut before = bytes.len();
    loop {
        let line = memrchr(b'\n', &bytes[..before])?;
        if is_empty_line(bytes, line) {
            return Some(line + 1);
        }
        before = line;
    }
}

/// Where the first event of `bytes` ends.
fn first_boundary(bytes: &[u8]) -> Option<usize> {
    memchr_iter(b'\n', bytes).find(|line| is_empty_line(bytes, *line)).map(|line| line + 1)
}

/// Whether the line that ends at `line` is empty.
fn is_empty_line(bytes: &[u8], line: usize) -> bool {
    matches!(bytes[..line], [.., b'\n'] | [.., b'\n', b'\r'])
}

fn is_only_usage(data: &[u8]) -> bool {
    let Ok(event) = serde_json::from_slice::<Value>(data) else { return false };
    let is_empty = event.get("choices").and_then(Value::as_array).is_some_and(Vec::is_empty);
    is_empty && event.get("usage").is_some_and(Value::is_object)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::openai::{Endpoint, Request, Rules, peek, rewrite};

    fn asked(body: &str) -> (Value, bool) {
        let mut bytes = BytesMut::from(body.as_bytes());
        let (peek, headers, endpoint) = (peek(&bytes).expect("a body"), HeaderMap::new(), Endpoint::ChatCompletions);
        let request = Request { asked: endpoint, endpoint, headers: &headers, caller: None, ask_usage: true };
        let done = rewrite(&mut bytes, &peek, &Rules::default(), &request, None, None).expect("rewritten");
        (serde_json::from_slice(&bytes).expect("JSON"), done.hides_usage)
    }

    #[test]
    fn streams_are_asked_for_and_only_where_the_client_does_not_ask() {
        let whole = json!({ "include_usage": true });
        for (body, options, hides) in [
            (r#"{"stream":true}"#, Some(whole.clone()), true),
            (r#"{"stream":true,"stream_options":null}"#, Some(whole.clone()), true),
            (r#"{"stream":true,"stream_options":{}}"#, Some(whole.clone()), true),
            (
                r#"{"stream":true,"stream_options":{"include_usage":false,"x":1}}"#,
                Some(json!({ "include_usage": true, "x": 1 })),
                true,
            ),
            (r#"{"stream":true,"stream_options":{"include_usage":true}}"#, Some(whole), false),
            (r#"{"stream":true,"stream_options":7}"#, Some(json!(7)), false),
            (r#"{"stream":false}"#, None, false),
            (r#"{"messages":[]}"#, None, false),
        ] {
            let (sent, hidden) = asked(body);
            assert_eq!((sent.get("stream_options"), hidden), (options.as_ref(), hides), "{body}");
        }
    }

    #[test]
    fn the_event_with_nothing_but_counts_is_taken_out() {
        let content = "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\"\"}}]}\n\n";
        let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n";
        let done = "data: [DONE]\n\n";
        for (events, left) in [
            (format!("{content}{usage}{done}"), format!("{content}{done}")),
            (usage.to_owned(), String::new()),
            (format!("{usage}{done}").replace('\n', "\r\n"), done.replace('\n', "\r\n")),
        ] {
            let (rest, found) = without_usage(Bytes::from(events));
            assert!(found && rest == left.as_bytes(), "{rest:?}");
        }
        for events in [
            content.to_owned(),
            usage.replace("[]", "[{}]"),
            usage.replace("{\"prompt_tokens\":1}", "null"),
            "data: {\"usage\" nonsense\n\n".into(),
        ] {
            let (rest, found) = without_usage(Bytes::from(events.clone()));
            assert!(!found && rest == events.as_bytes());
        }
    }
}

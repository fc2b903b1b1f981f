//! Any settings on any body: the result parses, members that no setting names keep their bytes, and twice is once.
#![no_main]

use std::collections::BTreeMap;

use bytes::BytesMut;
use enginehouse::openai::{Endpoint, Request, peek, rewrite};
use http::HeaderMap;
use enginehouse_fuzz::settings;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

/// The top-level members with their bytes; of a key that stands twice, the last.
fn members(body: &[u8], start: usize) -> Option<BTreeMap<String, Box<RawValue>>> {
    serde_json::from_slice(&body[start..]).ok()
}

fuzz_target!(|data: &[u8]| {
    let Some((settings, body)) = settings(data) else { return };
    let Ok(seen) = peek(body) else { return };
    let rules = settings.rules();
    let mut out = BytesMut::from(body);
    let headers = HeaderMap::new();
    let chat = Endpoint::ChatCompletions;
    let request = Request { asked: chat, endpoint: chat, headers: &headers, caller: None, ask_usage: false };
    let Ok(done) = rewrite(&mut out, &seen, &rules, &request, Some("served"), None) else { return };
    assert!(done.changed || out == body, "it changed and did not say so");

    let again = peek(&out).expect("the result is a body");
    assert_eq!(again.model(), Some("served"));
    let mut twice = out.clone();
    rewrite(&mut twice, &again, &rules, &request, Some("served"), None).expect("it was done before");
    assert_eq!(twice, out, "twice is once");

    let (Some(before), Some(after)) = (members(body, seen.start()), members(&out, again.start())) else { return };
    // A limit of one spelling of the output length holds for all of them.
    let lengths = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
    let is_bounded = lengths.iter().any(|name| settings.names(name));
    let is_named = |key: &str| key == "model" || settings.names(key) || is_bounded && lengths.contains(&key);
    for (key, value) in before.iter().filter(|(key, _)| !is_named(key)) {
        assert_eq!(after.get(key).map(|after| after.get()), Some(value.get()), "{key} is nobody's to change");
    }
});

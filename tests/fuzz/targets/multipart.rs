//! A form: a look never panics, and what settings make of it is a form again that names the model; or it is refused.
#![no_main]

use bytes::BytesMut;
use enginehouse::openai::{BadForm, Endpoint, Request, boundary_of, peek_form, rewrite_form};
use enginehouse_fuzz::settings;
use http::HeaderMap;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// What a form is made of, piece by piece: a head, and what it says. Objects are the same whatever their order: a member
/// that is removed and filled in again goes to the end.
fn pieces(form: &[u8], boundary: &str) -> Vec<(Vec<u8>, Result<Value, Vec<u8>>)> {
    let delimiter = format!("--{boundary}").into_bytes();
    let (mut pieces, mut rest) = (Vec::new(), form);
    while !rest.is_empty() {
        let next = rest.windows(delimiter.len()).skip(1).position(|window| window == delimiter);
        let (piece, after) = rest.split_at(next.map_or(rest.len(), |at| at + 1));
        let head = piece.windows(4).position(|window| window == b"\r\n\r\n").map_or(piece.len(), |at| at + 4);
        let (head, said) = piece.split_at(head);
        pieces.push((head.to_vec(), serde_json::from_slice(said).map_err(|_| said.to_vec())));
        rest = after;
    }
    pieces
}

fuzz_target!(|data: &[u8]| {
    // The second line is the Content-Type; the form follows.
    let Some((settings, rest)) = settings(data) else { return };
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return };
    let (Ok(content_type), body) = (std::str::from_utf8(&rest[..end]), &rest[end + 1..]) else { return };
    let Some(boundary) = boundary_of(content_type) else { return };
    let Ok(form) = peek_form(body, &boundary) else { return };
    let rules = settings.rules();
    let mut out = BytesMut::from(body);
    let headers = HeaderMap::new();
    let endpoint = Endpoint::Transcriptions;
    let request = Request { asked: endpoint, endpoint, headers: &headers, caller: None, ask_usage: false };
    let done = match rewrite_form(&mut out, &form, &rules, &request, Some("served"), None) {
        Ok(done) => done,
        Err(refused) => {
            assert!(matches!(refused, BadForm::BoundaryInside | BadForm::TooManyNested), "{refused}");
            assert_eq!(out, body, "a refusal changes nothing");
            return;
        }
    };
    assert!(done.changed || out == body, "it changed and did not say so");
    let again = peek_form(&out, &boundary).expect("the result is a form");
    assert_eq!(again.model(), Some("served"));
    let mut twice = out.clone();
    rewrite_form(&mut twice, &again, &rules, &request, Some("served"), None).expect("it was done before");
    assert_eq!(pieces(&twice, &boundary), pieces(&out, &boundary), "twice is once");
});

//! An answer on its way: however it is cut, the same is seen and comes out, without a new name unchanged, and what was JSON is
//! JSON.
#![no_main]

use bytes::Bytes;
use enginehouse::openai::{ResponseScanner, Usage};
use enginehouse_fuzz::pieces;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// What comes out, how many events, whether they end whole, whether the stream is over, the tokens.
type Seen = (Vec<u8>, usize, bool, bool, Option<Usage>);

fn seen<'a>(mut scanner: ResponseScanner, chunks: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let (mut bytes, mut events) = (Vec::new(), 0);
    for chunk in chunks {
        let scanned = scanner.feed(Bytes::copy_from_slice(chunk));
        bytes.extend_from_slice(&scanned.bytes);
        events += scanned.events;
    }
    (bytes, events, scanner.at_boundary(), scanner.done(), scanner.usage())
}

fuzz_target!(|answer: &[u8]| {
    for scanner in [ResponseScanner::events(), ResponseScanner::json()] {
        for scanner in [scanner.clone().renaming("alias"), scanner.clone()] {
            let whole = seen(scanner.clone(), [answer]);
            assert_eq!(whole, seen(scanner.clone(), pieces(answer)), "cut somewhere");
            assert_eq!(whole, seen(scanner.clone(), answer.chunks(1)), "byte by byte");
        }
        assert_eq!(seen(scanner, [answer]).0, answer, "not renamed");
    }
    if let Ok(Value::Object(mut before)) = serde_json::from_slice(answer) {
        let renamed = seen(ResponseScanner::json().renaming("alias"), [answer]).0;
        let after: Value = serde_json::from_slice(&renamed).expect("JSON stays JSON");
        if let Some(model @ Value::String(_)) = before.get_mut("model") {
            *model = "alias".into();
        }
        assert_eq!(after.get("model"), before.get("model"));
    }
});

//! An answer's `model` replaced: however the answer is cut, the same comes out, and what was JSON is JSON.
#![no_main]

use bytes::Bytes;
use enginehouse::openai::Echo;
use enginehouse_fuzz::pieces;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fn told<'a>(mut echo: Echo, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    chunks.into_iter().flat_map(|chunk| echo.feed(&Bytes::copy_from_slice(chunk)).to_vec()).collect()
}

fuzz_target!(|answer: &[u8]| {
    for make in [Echo::json as fn(&str) -> Echo, Echo::events] {
        let whole = told(make("alias"), [answer]);
        assert_eq!(whole, told(make("alias"), pieces(answer)), "cut somewhere");
        assert_eq!(whole, told(make("alias"), answer.chunks(1)), "byte by byte");
    }
    if let Ok(Value::Object(mut before)) = serde_json::from_slice(answer) {
        let after: Value = serde_json::from_slice(&told(Echo::json("alias"), [answer])).expect("JSON stays JSON");
        if let Some(model @ Value::String(_)) = before.get_mut("model") {
            *model = "alias".into();
        }
        assert_eq!(after.get("model"), before.get("model"));
    }
});

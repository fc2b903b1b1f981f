//! A look into a body: it takes what a JSON parser takes, and sees what that sees.
#![no_main]

use enginehouse::openai::peek;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let Ok(seen) = peek(body) else { return };
    let text = std::str::from_utf8(body).expect("what is taken is UTF-8");
    let json = &text[seen.start()..];
    // serde_json stops at 128 levels and at numbers beyond f64, where a look need not.
    if let Ok(value) = serde_json::from_str::<Value>(json) {
        let Value::Object(object) = value else { panic!("{json} is no object") };
        assert_eq!(seen.model(), object.get("model").and_then(Value::as_str));
    }
});

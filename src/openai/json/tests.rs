//! What is JSON and what is not, beside serde_json.

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn check(text: &[u8]) -> Result<(), SyntaxError> {
    let mut scanner = Scanner::new(text, 0);
    scanner.space();
    scanner.value(0)?;
    scanner.end()
}

#[test]
#[rustfmt::skip]
fn accepts_json() {
    for text in [
        "0", "-0", "1", "-12.50e+3", "1E9", "1e400", "true", "false", "null", r#""""#, "{}", "[]", " [ ] ", "{ }",
        r#"{"a":[1,{"b":null}, "c"],"":{}}"#, r#""\"\\\/\b\f\n\r\t\u00e9\ud800""#, "\"\u{7f}é\u{10ffff}\"",
        "\t\r\n 1 ", "[[[]],{}]",
    ] {
        assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
    }
}

#[test]
#[rustfmt::skip]
fn rejects_everything_else_and_says_where() {
    for (text, at) in [
        ("", 0), (" ", 1), ("01", 1), ("-", 1), ("+1", 0), (".5", 0), ("1.", 2), ("1e", 2), ("1e+", 3),
        ("0x1", 1), ("NaN", 0), ("Infinity", 0), ("-Infinity", 1), ("nul", 0), ("True", 0), ("'a'", 0),
        ("\"a", 2), ("\"\\", 1), ("\"\\x\"", 1), ("\"\\u12g4\"", 1), ("\"\\u12", 1), ("\"a\nb\"", 2),
        ("\"12345678\u{1f}\"", 9), ("[1,]", 3), ("[1 2]", 3), ("[", 1), ("]", 0), ("[}", 1), ("{]", 1),
        ("{\"a\"}", 4), ("{\"a\":}", 5), ("{\"a\":1,}", 7), ("{a:1}", 1), ("{\"a\":1 \"b\":2}", 7),
        ("{\"a\":[1}", 7), ("1 2", 2), ("{}{}", 2), ("// c\n1", 0), ("1 /* c */", 2), ("\u{a0}1", 0),
        ("\u{feff}1", 0), ("{\"a\":1", 6), ("{\"a\"", 4), ("{,}", 1), ("[,]", 1),
    ] {
        assert_eq!(check(text.as_bytes()).expect_err(text).at, at, "{text}");
    }
    let fault = check(b"{\"a\": tru}").expect_err("cut");
    assert_eq!(fault.to_string(), "invalid JSON at byte 6: expected `true`, `false` or `null`");
}

#[test]
fn depth_is_bounded_at_256() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nest = |n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
        assert_eq!(check(nest(256).as_bytes()), Ok(()));
        assert!(check(nest(257).as_bytes()).is_err());
    }
    assert!(check("[".repeat(1 << 20).as_bytes()).is_err());
}

/// Text made of JSON's own pieces: mostly broken, often nearly right.
fn near_json() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"\\",
        "\\u00",
        "\\ud800",
        "0",
        "1",
        "-",
        ".",
        "e",
        "E+",
        "true",
        "false",
        "null",
        "nul",
        " ",
        "\n",
        "\u{1}",
        "é",
        "\"k\":",
        "[1,2]",
        "{\"a\":1}",
        "//",
        "NaN",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// With serde_json's skipping parser there is no difference but depth, which these texts do not reach.
    #[test]
    fn agrees_with_serde_json(text in near_json()) {
        let theirs = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        prop_assert_eq!(check(text.as_bytes()).is_ok(), theirs, "{}", text);
    }

    #[test]
    fn agrees_on_damaged_json(
        value in crate::openai::testing::json(4), at in any::<prop::sample::Index>(), with in any::<char>(),
    ) {
        let text = value.to_string();
        prop_assert!(check(text.as_bytes()).is_ok());
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        chars[at] = with;
        let text: String = chars.into_iter().collect();
        prop_assert_eq!(check(text.as_bytes()).is_ok(), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = check(&bytes);
    }
}

//! What the strings of JSON say: escapes decoded, without a copy where there are none; and text as such a string.

use std::borrow::Cow;

/// The text of a string's inside that the scanner accepted; `None` for a surrogate without its partner.
pub(super) fn decode(raw: &[u8]) -> Option<Cow<'_, str>> {
    let mut rest = std::str::from_utf8(raw).ok()?;
    if !raw.contains(&b'\\') {
        return Some(Cow::Borrowed(rest));
    }
    let mut text = String::with_capacity(rest.len());
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let (decoded, after) = unescape(escape)?;
        text.push(decoded);
        rest = after;
    }
    text.push_str(rest);
    Some(Cow::Owned(text))
}

/// The character of the escape that `text`, what follows a backslash, begins with; and the text after it.
fn unescape(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    let decoded = match chars.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let (first, after) = unit(chars.as_str())?;
            if let Some(alone) = char::from_u32(u32::from(first)) {
                return Some((alone, after));
            }
            let (second, after) = unit(after.strip_prefix("\\u")?)?;
            let pair = char::decode_utf16([first, second]).next()?.ok()?;
            return Some((pair, after));
        }
        itself => itself,
    };
    Some((decoded, chars.as_str()))
}

/// The UTF-16 unit that the four hexadecimal digits at the beginning mean, and what follows.
fn unit(text: &str) -> Option<(u16, &str)> {
    let (digits, after) = text.split_at_checked(4)?;
    Some((u16::from_str_radix(digits, 16).ok()?, after))
}

/// Whether the string's inside `raw` means `text`.
pub(super) fn equals(raw: &[u8], text: &str) -> bool {
    if raw.contains(&b'\\') { decode(raw).is_some_and(|decoded| decoded == text) } else { raw == text.as_bytes() }
}

/// `text` as a JSON string, quotes included.
pub(super) fn quoted(text: &str) -> Vec<u8> {
    let is_plain = |byte: u8| byte >= b' ' && !matches!(byte, b'"' | b'\\');
    if text.bytes().all(is_plain) {
        [b"\"", text.as_bytes(), b"\""].concat()
    } else {
        serde_json::Value::from(text).to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_is_quoted_as_serde_json_does(text in ".{0,20}|[\\x00-\\x7f]{0,20}") {
            prop_assert_eq!(quoted(&text), serde_json::Value::from(text).to_string().into_bytes());
        }
    }

    #[test]
    fn strings_decode_as_serde_json_does() {
        for raw in [
            "",
            "plain",
            r"\\",
            r"a\\b\\\\c",
            r"\\u0041",
            r"\u0041\u00e9",
            r"\ud83d\ude00!",
            r#"\"\/\b\f\n\r\t"#,
            "é\\n😀",
            r"\\\u0041\\",
        ] {
            let expected: String = serde_json::from_str(&format!("\"{raw}\"")).expect(raw);
            assert_eq!(decode(raw.as_bytes()).expect(raw), expected);
            assert!(equals(raw.as_bytes(), &expected));
        }
        for raw in [r"\ud83d", r"\ude00", r"\ud83dx", r"\ud83d\n", r"\ud83d\u0041", r"\ude00\ud83d"] {
            assert_eq!(decode(raw.as_bytes()), None, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn decodes_whatever_serde_json_writes(text in any::<String>()) {
            let written = serde_json::to_string(&text).expect("a string");
            let raw = &written.as_bytes()[1..written.len() - 1];
            prop_assert_eq!(decode(raw).expect("text"), text);
        }

        #[test]
        fn any_utf_16_is_decoded_or_refused_as_serde_json_does(units in prop::collection::vec(
            prop_oneof![any::<u16>(), 0xd7f0u16..0xe010], 0..6,
        )) {
            let raw: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let theirs: Option<String> = serde_json::from_str(&format!("\"{raw}\"")).ok();
            prop_assert_eq!(decode(raw.as_bytes()).map(Cow::into_owned), theirs);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&bytes);
            let _ = decode(&[b"\\u", &bytes[..]].concat());
        }
    }
}

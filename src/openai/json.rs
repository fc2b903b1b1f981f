//! Reads JSON in place: one strict, iterative pass (RFC 8259) that checks everything and builds nothing.
//!
//! The bytes must be UTF-8 already: the scanner looks at structure only.

use std::fmt;
use std::ops::Range;

/// Objects and arrays inside each other. One bit each on the scanner's stack; far above what any request needs.
const MAX_DEPTH: usize = 256;

/// Why bytes are not JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Offset of the offending byte, or the length of the text when it ends too early.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid JSON at byte {}: {}", self.at, self.what)
    }
}

impl std::error::Error for Fault {}

/// A piece of a body of less than 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// Callers make sure that bodies stay below 4 GiB; beyond, the span is cut.
    pub(super) fn new(start: usize, end: usize) -> Self {
        let cut = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: cut(start), end: cut(end) }
    }

    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The piece of `bytes`; empty when these are not the bytes the span was made for.
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.range()).unwrap_or_default()
    }
}

/// One `"key": value` of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The key's text, without its quotes, as sent.
    pub(super) key: Span,
    /// The value, without white space around it.
    pub(super) value: Span,
}

/// A position in a text.
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(super) fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fault(&self, what: &'static str) -> Fault {
        Fault { at: self.at.min(self.bytes.len()), what }
    }

    /// Skips white space.
    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    /// Nothing but white space may be left.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.space();
        if self.at < self.bytes.len() { Err(self.fault("more text after the end of the value")) } else { Ok(()) }
    }

    /// Checks the object that opens here and hands out its members. Returns its span, braces included.
    pub(super) fn members<E: From<Fault>>(&mut self, mut each: impl FnMut(Member) -> Result<(), E>) -> Result<Span, E> {
        let open = self.at;
        if self.byte() != Some(b'{') {
            return Err(self.fault("expected `{`").into());
        }
        self.at += 1;
        self.space();
        if self.byte() == Some(b'}') {
            self.at += 1;
            return Ok(Span::new(open, self.at));
        }
        loop {
            let key = self.key()?;
            let start = self.at;
            self.value(1)?;
            each(Member { key, value: Span::new(start, self.at) })?;
            self.space();
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Span::new(open, self.at));
                }
                _ => return Err(self.fault("expected `,` or `}` after a member").into()),
            }
            self.space();
        }
    }

    /// Reads the array that opens here; `each` reads one element, at which the scanner stands.
    pub(super) fn elements<E: From<Fault>>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.byte() != Some(b'[') {
            return Err(self.fault("expected `[`").into());
        }
        self.at += 1;
        self.space();
        if self.byte() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            each(self)?;
            self.space();
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.fault("expected `,` or `]` after an element").into()),
            }
            self.space();
        }
    }

    /// Checks one value inside of `outer` open objects and arrays.
    pub(super) fn value(&mut self, outer: usize) -> Result<(), Fault> {
        let mut open = Stack::default();
        loop {
            match self.byte() {
                Some(b'"') => self.string()?,
                Some(b'{' | b'[') => {
                    let object = self.byte() == Some(b'{');
                    if outer + open.depth >= MAX_DEPTH {
                        return Err(self.fault("nested deeper than 256 levels"));
                    }
                    self.at += 1;
                    self.space();
                    if self.byte() == Some(if object { b'}' } else { b']' }) {
                        self.at += 1;
                    } else {
                        open.push(object);
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                Some(_) => return Err(self.fault("expected a value")),
                None => return Err(self.fault("the text ends where a value was expected")),
            }
            // A value is complete: close what it completes, or go on to the next one.
            loop {
                if open.depth == 0 {
                    return Ok(());
                }
                self.space();
                match (self.byte(), open.in_object()) {
                    (Some(b','), object) => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.key()?;
                        }
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        open.pop();
                    }
                    (None, _) => return Err(self.fault("the text ends inside of an object or array")),
                    (_, true) => return Err(self.fault("expected `,` or `}` after a member")),
                    (_, false) => return Err(self.fault("expected `,` or `]` after an element")),
                }
            }
        }
    }

    /// A key and its colon; ends at the value. Returns the key without its quotes.
    fn key(&mut self) -> Result<Span, Fault> {
        if self.byte() != Some(b'"') {
            return Err(self.fault("expected a key in double quotes"));
        }
        let start = self.at + 1;
        self.string()?;
        let key = Span::new(start, self.at - 1);
        self.space();
        if self.byte() != Some(b':') {
            return Err(self.fault("expected `:` after a key"));
        }
        self.at += 1;
        self.space();
        Ok(key)
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            self.at += plain(self.bytes.get(self.at..).unwrap_or_default());
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => match self.bytes.get(self.at + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
                    Some(b'u') => match self.bytes.get(self.at + 2..self.at + 6) {
                        Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => self.at += 6,
                        _ => return Err(self.fault("`\\u` without four hexadecimal digits")),
                    },
                    _ => return Err(self.fault("unknown escape in a string")),
                },
                Some(_) => return Err(self.fault("a control character in a string must be escaped")),
                None => return Err(self.fault("a string is not closed")),
            }
        }
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
        if self.at == start { Err(self.fault("expected a digit")) } else { Ok(()) }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Fault> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.fault("expected `true`, `false` or `null`"));
        }
        self.at += word.len();
        Ok(())
    }
}

/// Which of the open objects and arrays are objects: one bit each.
#[derive(Default)]
struct Stack {
    objects: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Stack {
    fn push(&mut self, object: bool) {
        let (word, bit) = (self.depth / 64 % self.objects.len(), 1 << (self.depth % 64));
        if object {
            self.objects[word] |= bit;
        } else {
            self.objects[word] &= !bit;
        }
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }

    fn in_object(&self) -> bool {
        let top = self.depth.saturating_sub(1);
        self.objects[top / 64 % self.objects.len()] >> (top % 64) & 1 == 1
    }
}

/// Number of bytes before the first quote, backslash or control character. Eight at a time.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        // A borrow can raise false hits only above a true one, and the lowest is the first byte.
        let hits = (control | zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c))) & HIGH;
        if hits != 0 {
            return index * 8 + hits.trailing_zeros() as usize / 8;
        }
    }
    let stop = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    words.len() * 8 + rest.iter().position(stop).unwrap_or(rest.len())
}

/// The kind of value that begins with `first`, in words.
pub(super) fn kind(first: Option<u8>) -> &'static str {
    match first {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn check(text: &[u8]) -> Result<(), Fault> {
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

    #[test]
    fn plain_stops_at_every_position() {
        for length in 0..40 {
            for stop in 0..length {
                for byte in [b'"', b'\\', 0, 0x1f] {
                    let mut text = vec![b' '; length];
                    text[stop] = byte;
                    assert_eq!(plain(&text), stop);
                }
            }
            for byte in [0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                assert_eq!(plain(&vec![byte; length]), length, "{byte:x}");
            }
        }
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
}

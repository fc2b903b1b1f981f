//! Reads JSON in place: one strict, iterative pass (RFC 8259) that checks everything and builds nothing.
//!
//! The scanner looks at structure only. It notes whether it saw bytes that are no ASCII: where it saw none, and found no error,
//! the text is UTF-8.

use std::fmt;
use std::ops::Range;

use super::plain::{Run, plain};

/// Objects and arrays inside each other. One bit each on the scanner's stack; far above what any request needs.
const MAX_DEPTH: usize = 256;

/// Why bytes are not JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Offset of the offending byte, or the length of the text when it ends too early.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid JSON at byte {}: {}", self.at, self.what)
    }
}

impl std::error::Error for SyntaxError {}

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
    /// See [`Scanner::is_ascii`].
    is_ascii: bool,
    /// Stretches ahead that were looked at already; no string ends in one.
    runs: &'a [Run],
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, is_ascii: true, runs: &[] }
    }

    /// The same, which passes over `runs` of the text where they are in strings.
    pub(super) fn passing(self, runs: &'a [Run]) -> Self {
        Self { runs, ..self }
    }

    /// Whether all that it has passed without an error is ASCII. It may say no where that is so: it looks at several bytes at once.
    pub(super) fn is_ascii(&self) -> bool {
        self.is_ascii
    }

    pub(super) fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fault(&self, what: &'static str) -> SyntaxError {
        SyntaxError { at: self.at.min(self.bytes.len()), what }
    }

    /// Skips white space.
    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    /// Nothing but white space may be left.
    pub(super) fn end(&mut self) -> Result<(), SyntaxError> {
        self.space();
        if self.at < self.bytes.len() { Err(self.fault("more text after the end of the value")) } else { Ok(()) }
    }

    /// Checks the value that begins here. Returns its span.
    pub(super) fn span(&mut self) -> Result<Span, SyntaxError> {
        let start = self.at;
        self.value(1)?;
        Ok(Span::new(start, self.at))
    }

    /// Checks the object that opens here and hands out its members. Returns its span, braces included.
    pub(super) fn members<E: From<SyntaxError>>(
        &mut self,
        mut each: impl FnMut(Member) -> Result<(), E>,
    ) -> Result<Span, E> {
        self.entries((b'{', b'}'), ["expected `{`", "expected `,` or `}` after a member"], |scanner| {
            let key = scanner.key()?;
            let start = scanner.at;
            scanner.value(1)?;
            each(Member { key, value: Span::new(start, scanner.at) })
        })
    }

    /// Reads the array that opens here; `each` reads one element, at which the scanner stands. Returns its span.
    pub(super) fn elements<E: From<SyntaxError>>(
        &mut self,
        each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<Span, E> {
        self.entries((b'[', b']'), ["expected `[`", "expected `,` or `]` after an element"], each)
    }

    /// Reads what opens here, entry by entry; the two faults are for what is in place of `open`, and after an entry.
    fn entries<E: From<SyntaxError>>(
        &mut self,
        (open, close): (u8, u8),
        [not_open, not_over]: [&'static str; 2],
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<Span, E> {
        let start = self.at;
        if self.byte() != Some(open) {
            return Err(self.fault(not_open).into());
        }
        self.at += 1;
        self.space();
        let mut over = self.byte() == Some(close);
        while !over {
            each(self)?;
            self.space();
            over = self.byte() == Some(close);
            if !over {
                if self.byte() != Some(b',') {
                    return Err(self.fault(not_over).into());
                }
                self.at += 1;
                self.space();
            }
        }
        self.at += 1;
        Ok(Span::new(start, self.at))
    }

    /// Checks one value inside of `outer` open objects and arrays.
    pub(super) fn value(&mut self, outer: usize) -> Result<(), SyntaxError> {
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
    fn key(&mut self) -> Result<Span, SyntaxError> {
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

    fn string(&mut self) -> Result<(), SyntaxError> {
        self.at += 1;
        loop {
            let end = self.pass();
            let plain = plain(self.bytes.get(self.at..end).unwrap_or_default());
            self.at += plain.length;
            if self.at == end && end < self.bytes.len() {
                self.is_ascii &= plain.is_ascii;
                continue;
            }
            self.is_ascii &= plain.is_ascii;
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

    /// Passes over a stretch of text that begins before here and ends after it. Returns where the next one begins.
    fn pass(&mut self) -> usize {
        while let Some(run) = self.runs.first() {
            if run.start > self.at {
                return run.start;
            }
            if run.end > self.at {
                self.at = run.end;
                self.is_ascii &= run.is_ascii;
            }
            self.runs = &self.runs[1..];
        }
        self.bytes.len()
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
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

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
        if self.at == start { Err(self.fault("expected a digit")) } else { Ok(()) }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), SyntaxError> {
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
mod tests;

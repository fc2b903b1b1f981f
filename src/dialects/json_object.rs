//! Finds the end of a JSON object that arrives in parts, without keeping it.

/// Knows where in an object the text so far ends.
#[derive(Clone, Debug, Default)]
pub(super) struct JsonObjectTracker {
    depth: usize,
    in_string: bool,
    escaped: bool,
    opened: bool,
    other: bool,
}

impl JsonObjectTracker {
    /// Looks at the next part.
    pub(super) fn feed(&mut self, part: &str) {
        for byte in part.bytes() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'{' | b'[' if self.depth > 0 || (byte == b'{' && !self.opened) => {
                    self.depth += 1;
                    self.opened = true;
                }
                b'}' | b']' if self.depth > 0 => self.depth -= 1,
                b'"' if self.depth > 0 => self.in_string = true,
                b' ' | b'\t' | b'\n' | b'\r' => {}
                // Text outside of the object: it is no object, whatever follows.
                _ if self.depth == 0 => self.other = true,
                _ => {}
            }
        }
    }

    /// Whether an object was opened and closed, and nothing else was seen.
    pub(super) fn is_complete(&self) -> bool {
        self.opened && self.depth == 0 && !self.other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_complete_at_its_last_brace() {
        let text = r#" {"a{":"}\"}","b":[{"c":1}],"d":{}} "#;
        let end = text.trim_end().len();
        for cut in 0..text.len() {
            let mut tracker = JsonObjectTracker::default();
            tracker.feed(&text[..cut]);
            assert_eq!(tracker.is_complete(), cut >= end, "{}", &text[..cut]);
        }
    }

    #[test]
    fn what_is_no_object_is_never_complete() {
        for text in ["", " ", "false", "\"{}\"", "[]", "1{}", "{}{}", "{} x"] {
            let mut tracker = JsonObjectTracker::default();
            tracker.feed(text);
            assert!(!tracker.is_complete(), "{text}");
        }
    }
}

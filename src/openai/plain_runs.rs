//! Long stretches of a body that hold nothing a JSON string could end with: found in each piece just after it has come, while the
//! processor's caches still have it. Who looks into the whole body later passes over them, and megabytes of text need not be
//! fetched from memory once more.

use super::plain::{Plain, Run, WINDOW, plain};

/// Shorter bodies are in the caches all the time.
const LEAST: usize = 256 << 10;

/// More stretches than this are not noted: such a body is no long text.
const MOST: usize = 4096;

/// Stretches of a body without a quote, a backslash or a control character.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainRuns {
    runs: Vec<Run>,
    /// Up to where the body was looked at.
    seen: usize,
}

impl PlainRuns {
    /// Looks at what has come of `body`, which will have `length` bytes, since the last look.
    pub fn see(&mut self, body: &[u8], length: usize) {
        if length < LEAST {
            return;
        }
        while self.runs.len() < MOST && body.len() - self.seen.min(body.len()) >= WINDOW {
            let start = self.seen;
            self.seen += WINDOW;
            // A window with an end in it is left to who looks at all: looking for the next one would cost as much as that.
            let Plain { length, is_ascii } = plain(&body[start..self.seen]);
            if length < WINDOW {
                continue;
            }
            match self.runs.last_mut() {
                Some(last) if last.end == start && last.is_ascii == is_ascii => last.end = self.seen,
                _ => self.runs.push(Run { start, end: self.seen, is_ascii }),
            }
        }
    }

    /// Bytes of the stretches that are ASCII: nothing more is to be found out about them.
    #[must_use]
    pub fn ascii(&self) -> usize {
        self.runs.iter().filter(|run| run.is_ascii).map(|run| run.end - run.start).sum()
    }

    /// The stretches, in their order.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai::{peek, peek_seen};

    /// The runs of `body`, which comes in pieces of `size`.
    fn seen(body: &[u8], size: usize) -> PlainRuns {
        let mut runs = PlainRuns::default();
        for end in (0..body.len()).step_by(size).chain([body.len()]) {
            runs.see(&body[..end], body.len().max(LEAST));
        }
        runs
    }

    #[test]
    fn long_texts_are_passed_over_and_short_bodies_are_not_looked_at() {
        let text = format!(r#"{{"a":"{}","b":"{}\n","model":"m"}}"#, "x".repeat(300_000), "é".repeat(200_000));
        let runs = seen(text.as_bytes(), 10_000);
        assert_eq!(runs.runs.iter().map(|run| run.is_ascii).collect::<Vec<_>>(), [true, false]);
        assert!(runs.runs.iter().map(|run| run.end - run.start).sum::<usize>() > text.len() - 5 * WINDOW);
        let mut none = PlainRuns::default();
        none.see(text.as_bytes(), LEAST - 1);
        assert_eq!(none, PlainRuns::default());
        assert_eq!(peek_seen(text.as_bytes(), &runs).expect("JSON").model(), Some("m"));
    }

    #[test]
    fn what_is_wrong_is_found_wherever_it_is() {
        let good = format!(r#"{{"model":"m","a":"{}"}}"#, "x".repeat(40_000));
        for at in (0..good.len()).step_by(4999).chain([good.len() - 1, good.len() - 2, good.len() - 3]) {
            for byte in [b'"', b'\\', 0, b'\n', 0xff, 0xc3, b'{'] {
                let mut bad = good.clone().into_bytes();
                bad[at] = byte;
                let (whole, skipped) = (peek(&bad), peek_seen(&bad, &seen(&bad, 5000)));
                let told = |looked: Result<super::super::Peek, _>| looked.map(|peek| peek.model().map(str::to_owned));
                assert_eq!(told(skipped), told(whole), "{at} {byte}");
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
        #[test]
        fn runs_change_nothing(parts in proptest::collection::vec(("[a-z\"\\\\{}:, é]{0,9}", 0..6000_usize), 0..12), size in 1..9000_usize) {
            let mut body = String::from("{\"model\":\"m\",\"a\":\"");
            for (part, count) in parts {
                body.push_str(&part);
                body.push_str(&"y".repeat(count));
            }
            body.push_str("\"}");
            let (whole, skipped) = (peek(body.as_bytes()), peek_seen(body.as_bytes(), &seen(body.as_bytes(), size)));
            let told = |looked: Result<super::super::Peek, _>| looked.map(|peek| format!("{peek:?}"));
            proptest::prop_assert_eq!(told(skipped), told(whole));
        }
    }
}

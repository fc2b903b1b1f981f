//! A text that matches a regular expression.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Most repetitions of one part.
const MOST: u32 = 1000;

/// A short text that `pattern` matches as a whole.
///
/// # Errors
/// What is wrong with the pattern, or that it is of a kind that no finite automaton knows.
pub(super) fn matching(pattern: &str) -> Result<String, String> {
    let parsed = regex_syntax::parse(pattern).map_err(|why| why.to_string())?;
    let mut out = Vec::new();
    write(&parsed, &mut out);
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn write(part: &Hir, out: &mut Vec<u8>) {
    match part.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.extend_from_slice(&literal.0),
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = || class.iter().map(|range| (range.start(), range.end()));
            let pleasant =
                ['a', 'A', '1', ' '].into_iter().find(|one| ranges().any(|(from, to)| from <= *one && *one <= to));
            let visible = || ranges().find(|(_, to)| *to >= '!').map(|(from, _)| from.max('!'));
            let any = || ranges().next().map(|(from, _)| from);
            if let Some(one) = pleasant.or_else(visible).or_else(any) {
                out.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        HirKind::Class(Class::Bytes(class)) => out.extend(class.iter().next().map(|range| range.start())),
        HirKind::Repetition(repeated) => {
            // Once rather than never: an answer of `.*` says something.
            let times = repeated.min.max(1).min(repeated.max.unwrap_or(MOST)).min(MOST);
            (0..times).for_each(|_| write(&repeated.sub, out));
        }
        HirKind::Capture(captured) => write(&captured.sub, out),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(part, out)),
        HirKind::Alternation(all) => all.iter().take(1).for_each(|part| write(part, out)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_match_their_patterns() {
        let expected = [
            ("red|green", "red"),
            (r"[a-c]{3}-\d{2}", "aaa-11"),
            (r"^(yes|no)\.$", "yes."),
            (r"(?:\+\d+ )?\w*", "+1 a"),
            (r"[^a-zA-Z0-9 ]", "!"),
            ("x{0}y?", "y"),
            ("ä+", "ä"),
        ];
        for (pattern, text) in expected {
            assert_eq!(matching(pattern).as_deref(), Ok(text), "{pattern}");
        }
        assert!(matching("[").is_err() && matching("(?=a)").is_err());
    }
}

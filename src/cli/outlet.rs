//! What a terminal can show: whether there is one, colours, characters beyond ASCII; and texts that cannot command it.

use std::ffi::OsStr;
use std::io::IsTerminal;

/// How texts may look where they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Outlet {
    /// A person looks at it.
    pub(in crate::cli) is_terminal: bool,
    /// Dim and coloured texts are understood and wanted.
    pub(in crate::cli) colour: bool,
    /// Characters beyond ASCII are understood.
    pub(in crate::cli) unicode: bool,
}

impl Outlet {
    /// What `stream` is, and what the environment says of it.
    pub(in crate::cli) fn of(stream: &impl IsTerminal) -> Self {
        let env = |name: &str| std::env::var_os(name);
        let is_terminal = stream.is_terminal();
        let plain = env("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env("TERM").is_some_and(|term| term == OsStr::new("dumb"));
        let text = |name: &str| std::env::var(name).ok();
        Self { is_terminal, colour: is_terminal && !plain, unicode: is_utf8(&text) }
    }

    /// `text` between the codes that begin `style` (as SGR has it) and end it, where colours are wanted.
    pub(in crate::cli) fn styled(self, style: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Whether the locale has UTF-8: the first variable that is set counts, as in POSIX.
fn is_utf8(env: &dyn Fn(&str) -> Option<String>) -> bool {
    let first = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(env).find(|value| !value.is_empty());
    first.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// `text` without anything that a terminal obeys: control characters other than line feed and tab are written as escapes.
pub(in crate::cli) fn harmless(text: &str) -> String {
    shown(text, &|_| None)
}

/// The same of a text whose colours are meant: they stay where `colour` is wanted, and are taken out elsewhere.
pub(in crate::cli) fn harmless_but_coloured(text: &str, colour: bool) -> String {
    let sequence = |rest: &str| {
        let after = rest.strip_prefix("\x1b[")?;
        let end = after.find(|c: char| !c.is_ascii_digit() && c != ';')?;
        after[end..].starts_with('m').then_some((end + 3, colour))
    };
    shown(text, &sequence)
}

/// `sequence`: how long the colour is that a text begins with, and whether it stays.
fn shown(text: &str, sequence: &dyn Fn(&str) -> Option<(usize, bool)>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_control() && c != '\n' && c != '\t') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (length, stays) = sequence(rest).unwrap_or_else(|| {
            let letter = rest.chars().next();
            out.extend(letter.iter().flat_map(|letter| letter.escape_default()));
            (letter.map_or(1, char::len_utf8), false)
        });
        if stays {
            out.push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_of_the_locale_counts() {
        let locale = |set: &[(&str, &str)]| {
            is_utf8(&|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(locale(&[("LANG", "de_DE.UTF-8")]) && locale(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
        assert!(!locale(&[]) && !locale(&[("LC_ALL", "C"), ("LANG", "C.UTF-8")]));
    }

    #[test]
    fn nothing_of_a_text_commands_the_terminal() {
        let text = "a\tb\n\x1b]0;title\x07\x1b[2J\r\u{9b}1mä\u{7f}\0";
        assert_eq!(harmless(text), "a\tb\n\\u{1b}]0;title\\u{7}\\u{1b}[2J\\r\\u{9b}1mä\\u{7f}\\u{0}");
    }

    #[test]
    fn colours_stay_only_where_they_are_wanted() {
        let coloured = harmless_but_coloured;
        assert_eq!(coloured("a\x1b[31mred\x1b[0m\tb", true), "a\x1b[31mred\x1b[0m\tb");
        assert_eq!(coloured("a\x1b[31mred\x1b[0m\tb", false), "ared\tb");
        let told = "\\u{1b}]0;title\\u{7}\\u{1b}[2J\\u{9b}1A";
        assert_eq!(coloured("\x1b]0;title\x07\x1b[2J\u{9b}1A", true), told);
    }

    proptest::proptest! {
        #[test]
        fn only_colours_command_the_terminal(text in "[ -~ä\x1b\\[0-9;m\u{9b}\x07]*") {
            let left = harmless_but_coloured(&text, true);
            let bare = left.split("\x1b[").enumerate().map(|(at, part)| match at {
                0 => part,
                _ => part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').strip_prefix('m').unwrap_or("\x1b"),
            });
            for part in bare {
                proptest::prop_assert!(!part.chars().any(char::is_control), "{left:?}");
            }
            proptest::prop_assert!(!harmless_but_coloured(&text, false).contains('\x1b'));
        }

        #[test]
        fn no_text_has_control_characters_afterwards(text: String) {
            proptest::prop_assert!(harmless(&text).chars().all(|letter| !letter.is_control() || "\n\t".contains(letter)));
        }
    }

    #[test]
    fn styles_need_a_terminal() {
        let with = |colour| Outlet { is_terminal: colour, colour, unicode: true };
        assert_eq!(with(true).styled("2", "x"), "\x1b[2mx\x1b[0m");
        assert_eq!(with(false).styled("2", "x"), "x");
    }
}

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
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => out.push(letter),
            _ if letter.is_control() => out.extend(letter.escape_default()),
            _ => out.push(letter),
        }
    }
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

    proptest::proptest! {
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

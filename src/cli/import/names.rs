//! Names of models, adapters and aliases: each means one thing, and can be written in a request.

use std::collections::HashSet;

/// Longest name, in bytes.
const LONGEST: usize = 256;

/// The names that are taken.
#[derive(Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// Takes a name; false where it is taken already.
    pub(super) fn take(&mut self, name: &str) -> bool {
        self.0.insert(name.to_owned())
    }

    /// Gives a name back that nothing has after all.
    pub(super) fn release(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Whether it is taken.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Takes `wish`, or that name with a number that makes it a new one.
    pub(super) fn take_free(&mut self, wish: &str) -> String {
        let numbered = (2_usize..).map(|number| format!("{wish}-{number}"));
        let name = [wish.to_owned()].into_iter().chain(numbered).find(|name| !self.has(name));
        let name = name.unwrap_or_else(|| wish.to_owned());
        self.take(&name);
        name
    }
}

/// Whether it can be the name of a model or an adapter.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.trim() == name
        && name.len() <= LONGEST
        && !name.contains('*')
        && !name.chars().any(char::is_control)
}

/// Whether it can be the name of an alias: one with a star at its end stands for all names that begin so.
pub(super) fn is_alias(name: &str) -> bool {
    let begin = name.strip_suffix('*').unwrap_or(name);
    name == "*" || is_name(begin) && !(name.ends_with('*') && begin.ends_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_once() {
        let mut names = Names::default();
        assert!(names.take("m") && !names.take("m"));
        names.release("m");
        assert!(names.take("m"));
        assert_eq!(
            (names.take_free("m"), names.take_free("m"), names.take_free("n")),
            ("m-2".into(), "m-3".into(), "n".into())
        );
    }

    #[test]
    fn stars_are_for_the_end_of_aliases() {
        for (name, model, alias) in [
            ("a/b", true, true),
            ("*", false, true),
            ("claude-*", false, true),
            ("a:*", false, false),
            ("a*b", false, false),
            ("", false, false),
            (" a", false, false),
        ] {
            assert_eq!((is_name(name), is_alias(name)), (model, alias), "{name}");
        }
    }
}

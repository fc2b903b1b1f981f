//! `${NAME}`, `${NAME:-default}` and `$${` in texts.

/// The environment: a variable's value, if it is set.
pub(in crate::config) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A text after expansion.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) struct Expanded {
    /// The text.
    pub(in crate::config) text: String,
    /// Whether the text was one `${…}` and nothing else: then it may stand for a number or a truth value.
    pub(in crate::config) whole: bool,
}

/// What is wrong with a `${…}`.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) enum Wrong {
    /// The variable is not set and there is no default.
    Missing(String),
    /// `${` without `}`.
    Open,
    /// No legal variable name between the braces.
    Name(String),
}

/// Replaces every `${NAME}` by the variable, every `${NAME:-default}` by the variable or, when it is not set or empty,
/// by the default; `$${` becomes a literal `${`.
///
/// # Errors
/// Everything that cannot be replaced, in order.
pub(in crate::config) fn expand(text: &str, env: Env<'_>) -> Result<Expanded, Vec<Wrong>> {
    let mut out = String::with_capacity(text.len());
    let mut wrong = Vec::new();
    let (mut rest, mut whole) = (text, false);
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at]);
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let Some(len) = rest[at + 2..].find('}') else {
            wrong.push(Wrong::Open);
            rest = "";
            break;
        };
        let inner = &rest[at + 2..at + 2 + len];
        whole = at == 0 && rest.len() == text.len() && len + 3 == text.len();
        rest = &rest[at + 3 + len..];
        match variable(inner, env) {
            Ok(value) => out.push_str(&value),
            Err(error) => wrong.push(error),
        }
    }
    out.push_str(rest);
    if wrong.is_empty() { Ok(Expanded { text: out, whole }) } else { Err(wrong) }
}

fn variable(inner: &str, env: Env<'_>) -> Result<String, Wrong> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !is_variable(name) {
        return Err(Wrong::Name(inner.to_owned()));
    }
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Wrong::Missing(name.to_owned())),
    }
}

/// Whether `name` can be the name of an environment variable.
#[must_use]
pub fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "A" => Some("1".into()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${A}".into()),
            _ => None,
        }
    }

    fn good(text: &str) -> (String, bool) {
        let expanded = expand(text, &env).expect("nothing wrong");
        (expanded.text, expanded.whole)
    }

    #[test]
    fn variables_defaults_and_escapes() {
        for (text, expected, whole) in [
            ("${A}", "1", true),
            ("x${A}y${A}", "x1y1", false),
            ("${A}${A}", "11", false),
            ("${NO:-d}", "d", true),
            ("${NO:-}", "", true),
            ("${EMPTY:-d}", "d", true),
            ("${EMPTY}", "", true),
            ("$${A}", "${A}", false),
            ("$$${A}", "$${A}", false),
            ("${NESTED}", "${A}", true),
            ("${NO:-a:-b}", "a:-b", true),
            ("$A costs 5$ {}", "$A costs 5$ {}", false),
        ] {
            assert_eq!(good(text), (expected.to_owned(), whole), "{text}");
        }
    }

    #[test]
    fn everything_wrong_in_one_text_is_told() {
        assert_eq!(
            expand("${NO} ${} ${A B} ${A} ${", &env),
            Err(vec![Wrong::Missing("NO".into()), Wrong::Name(String::new()), Wrong::Name("A B".into()), Wrong::Open])
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_panics_and_texts_without_dollars_stay(text in "([a-zé${}:-]|\\$\\{A\\}){0,12}") {
            let result = expand(&text, &env);
            if !text.contains('$') {
                prop_assert_eq!(result.expect("plain").text, text);
            }
        }
    }
}

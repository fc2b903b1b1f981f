//! Words of a command line: what those of `command:` mean (whether they start vLLM, `{port}` and its like for programs
//! that do not take vLLM's flags), and how those of `args:` are written.

use std::path::Path;

use serde_json::Value;

/// What can stand in braces in a word of `command:`.
pub(super) const PLACEHOLDERS: [&str; 6] = ["source", "name", "host", "port", "gpus", "gpu_memory"];

/// Whether `command` starts vLLM itself, as `vllm serve`, `python -m vllm.…` or out of its container image.
#[must_use]
pub fn is_vllm(command: &[String]) -> bool {
    command.is_empty()
        || command.iter().any(|word| {
            let name = Path::new(word).file_name().and_then(|name| name.to_str()).unwrap_or(word);
            name == "vllm" || word.starts_with("vllm.") || name.starts_with("vllm-openai")
        })
}

/// The flag by which requests in flight finish at a stop; the supervisor gives it to every vLLM.
pub const SHUTDOWN_TIMEOUT: &str = "shutdown-timeout";

/// Whether `args` says that it is not to be given: no vLLM knows `--no-shutdown-timeout`.
#[must_use]
pub fn leaves_out(name: &str, value: &Value) -> bool {
    name == SHUTDOWN_TIMEOUT && *value == Value::Bool(false)
}

/// A flag of `args:` as words: none for `null`, `--no-…` for `false`. A value that could be taken for a flag itself is in
/// one word with its flag.
#[must_use]
pub fn flag_words(name: &str, value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let flag = format!("--{name}");
    match value {
        Value::Null => vec![],
        Value::Bool(true) => vec![flag],
        Value::Bool(false) => vec![format!("--no-{name}")],
        Value::Array(values) => {
            std::iter::once(flag).chain(values.iter().filter(|value| !value.is_null()).map(text)).collect()
        }
        value => match text(value) {
            dashed if dashed.starts_with('-') => vec![format!("{flag}={dashed}")],
            plain => vec![flag, plain],
        },
    }
}

/// A part of a word.
enum Part<'a> {
    Text(&'a str),
    /// `{name}`, whatever the name.
    Braced(&'a str),
}

/// `word` with every placeholder replaced by its value; what a value holds is not looked at again, and other braces
/// (JSON, `$${variables}` of a shell) stay.
#[must_use]
pub fn fill(word: &str, value: impl Fn(&str) -> String) -> String {
    let part = |part: Part<'_>| match part {
        Part::Braced(name) if PLACEHOLDERS.contains(&name) => value(name),
        Part::Braced(name) => format!("{{{name}}}"),
        Part::Text(text) => text.to_owned(),
    };
    parts(word).into_iter().map(part).collect()
}

/// Whether a command says by placeholders where everything goes, so that nothing but `args` is appended to it.
#[must_use]
pub fn is_template(command: &[String]) -> bool {
    names(command).any(|name| PLACEHOLDERS.contains(&name))
}

/// What stands in braces after the program of `command`, known or not, and could be a placeholder.
pub(super) fn names(command: &[String]) -> impl Iterator<Item = &str> {
    command.iter().skip(1).flat_map(|word| parts(word)).filter_map(|part| match part {
        Part::Braced(name) => Some(name),
        Part::Text(_) => None,
    })
}

fn parts(word: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut from, mut look) = (0, 0);
    while let Some(open) = word[look..].find('{').map(|at| look + at) {
        look = open + 1;
        let length = word[look..].bytes().take_while(|byte| byte.is_ascii_lowercase() || *byte == b'_').count();
        let end = look + length;
        // `${name}` is a shell's.
        if length > 0 && word[end..].starts_with('}') && !word[..open].ends_with('$') {
            parts.extend([Part::Text(&word[from..open]), Part::Braced(&word[look..end])]);
            (from, look) = (end + 1, end + 1);
        }
    }
    parts.push(Part::Text(&word[from..]));
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(word: &str) -> String {
        fill(word, |name| format!("<{name}>{{port}}"))
    }

    #[test]
    fn only_placeholders_are_replaced_and_only_once() {
        assert_eq!(filled("127.0.0.1:{port}:8000"), "127.0.0.1:<port>{port}:8000");
        assert_eq!(filled("{source}{name}"), "<source>{port}<name>{port}");
        for word in ["{other}", r#"{"port": 1}"#, "${port}", "{port", "{}", "{{.ID}}", "", "{Port}"] {
            assert_eq!(filled(word), word);
        }
        assert_eq!(filled("{{port}}"), "{<port>{port}}");
    }

    #[test]
    fn a_program_is_no_template() {
        let command = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(is_template(&command(&["llama-server", "--port={port}"])));
        assert!(!is_template(&command(&["{port}", "serve", "{other}"])));
        assert_eq!(names(&command(&["x", "a{prot}{port}"])).collect::<Vec<_>>(), ["prot", "port"]);
    }

    proptest! {
        #[test]
        fn no_word_panics_and_those_without_braces_stay(word in any::<String>()) {
            let out = filled(&word);
            let braces = word.contains('{');
            prop_assert!(braces || out == word);
        }
    }
}

//! Command lines: texts to words as a shell splits them, and words to flags as vLLM reads them.

use serde_json::{Number, Value};

use crate::config::flag_name;

/// Flags that take several values.
const LISTS: &[&str] = &["lora-modules", "served-model-name", "middleware", "cudagraph-capture-sizes", "compile-sizes"];

/// Flags without a value, beside those whose names begin with `enable-`, `disable-` or `no-`.
const SWITCHES: &[&str] = &[
    "trust-remote-code",
    "enforce-eager",
    "async-scheduling",
    "headless",
    "grpc",
    "skip-tokenizer-init",
    "use-tqdm-on-load",
    "return-tokens-as-token-ids",
    "calculate-kv-scales",
    "fully-sharded-loras",
    "interleave-mm-strings",
    "language-model-only",
    "data-parallel-hybrid-lb",
    "data-parallel-external-lb",
];

/// The words of a command; lines that begin with `#` are none, and a line goes on after a backslash at its end. `None`: a
/// quotation mark is not closed.
pub(in crate::cli) fn split(text: &str) -> Option<Vec<String>> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let text = lines.map(|line| line.trim_end().strip_suffix('\\').unwrap_or(line)).collect::<Vec<_>>().join("\n");
    let (mut words, mut word, mut begun, mut quote) = (Vec::new(), String::new(), false, None);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('"'), '\\') => match chars.next_if(|next| "\"\\$`".contains(*next)) {
                Some(next) => word.push(next),
                None => word.push('\\'),
            },
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, begun) = (Some(c), true),
            (None, '\\') => {
                begun = true;
                word.extend(chars.next());
            }
            (None, c) if c.is_whitespace() => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (None, c) => word.push(c),
        }
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

/// The arguments of an engine.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Arguments {
    /// Words that belong to no flag: the model.
    pub(super) words: Vec<String>,
    /// Flags with their values, by the names in vLLM's help; true without a value.
    pub(super) flags: Vec<(String, Value)>,
}

/// Reads the words after `vllm serve`.
pub(super) fn arguments(words: &[String]) -> Arguments {
    let mut out = Arguments::default();
    let mut rest = words.iter().peekable();
    while let Some(word) = rest.next() {
        let Some(flag) = as_flag(word) else {
            out.words.push(word.clone());
            continue;
        };
        let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        let name = flag_name(name);
        let value = match value {
            Some(value) => typed(value),
            None if is_switch(&name) => {
                let truth = rest.next_if(|next| ["true", "false"].contains(&next.to_ascii_lowercase().as_str()));
                Value::Bool(truth.is_none_or(|truth| truth.eq_ignore_ascii_case("true")))
            }
            None if LISTS.contains(&name.as_str()) => {
                let mut values = Vec::new();
                while let Some(next) = rest.next_if(|next| as_flag(next).is_none()) {
                    values.push(typed(next));
                }
                match <[Value; 1]>::try_from(values) {
                    Ok([one]) => one,
                    Err(values) => Value::Array(values),
                }
            }
            None => rest.next_if(|next| as_flag(next).is_none()).map_or(Value::Bool(true), |next| typed(next)),
        };
        out.flags.push((name, value));
    }
    out
}

/// A flag without its dashes; a negative number is none.
fn as_flag(word: &str) -> Option<&str> {
    let flag = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    flag.starts_with(|c: char| c.is_ascii_alphabetic()).then_some(flag)
}

fn is_switch(name: &str) -> bool {
    ["enable-", "disable-", "no-"].iter().any(|begin| name.starts_with(begin)) || SWITCHES.contains(&name)
}

/// A number where it is written the same way again, a mapping of JSON, or the text.
fn typed(word: &str) -> Value {
    if word.starts_with('{')
        && let Ok(map @ Value::Object(_)) = serde_json::from_str(word)
    {
        return map;
    }
    match serde_json::from_str::<Number>(word) {
        Ok(number) if number.to_string() == word => Value::Number(number),
        _ => Value::String(word.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn commands_are_split_as_a_shell_does() {
        let words = |text: &str| split(text).expect("closed").join("|");
        assert_eq!(words("vllm  serve\n  m\t--x 'a b' \"c\\\"d\" e\\ f ''"), "vllm|serve|m|--x|a b|c\"d|e f|");
        assert_eq!(words("# first\nvllm serve \\\n  # not this\n  --a \\\n  --b\n"), "vllm|serve|--a|--b");
        assert_eq!(split("a 'b"), None);
    }

    #[test]
    fn flags_have_values_lists_or_none() {
        let words = split(
            "-tp 2 --max-model-len=32k --gpu-memory-utilization 0.90 --enable-prefix-caching org/m --seed -1 \
             --lora-modules a=b c=d --hf-overrides '{\"a\": 1}' --served-model-name one \
                 --no-enable-chunked-prefill --x",
        );
        let got = arguments(&words.expect("closed"));
        assert_eq!(got.words, ["org/m"]);
        let flags: Value = got.flags.into_iter().map(|(name, value)| json!([name, value])).collect();
        let expected = json!([
            ["tensor-parallel-size", 2],
            ["max-model-len", "32k"],
            ["gpu-memory-utilization", "0.90"],
            ["enable-prefix-caching", true],
            ["seed", -1],
            ["lora-modules", ["a=b", "c=d"]],
            ["hf-overrides", { "a": 1 }],
            ["served-model-name", "one"],
            ["no-enable-chunked-prefill", true],
            ["x", true],
        ]);
        assert_eq!(flags, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_panics(text in "([-a-z='\"\\\\#{} \n\t]|\\PC){0,40}") {
            if let Some(words) = split(&text) {
                arguments(&words);
            }
        }
    }
}

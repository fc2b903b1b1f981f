//! Texts as they are written in YAML.

use serde_json::Value;

/// A text for YAML: bare where nothing can mistake it for something else.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./, ;".contains(c);
    let bare = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(plain)
        && !text.ends_with(' ')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if bare { text.to_owned() } else { escaped(&Value::from(text).to_string()) }
}

/// `${` is a variable in a configuration.
pub(super) fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::as_written;

    proptest::proptest! {
        #[test]
        fn every_text_is_read_as_what_it_was(text in "[ -~éß你]{0,12}|[a-c0-9:#,'\"{}\\[\\]&*!|>% ~-]{0,8}") {
            let read = as_written(&format!("k: {}\n", word(&text)));
            let meant = Value::from(escaped(&text));
            proptest::prop_assert_eq!(read.and_then(|read| read.get("k").cloned()), Some(meant));
        }
    }
}

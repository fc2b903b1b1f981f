//! Words as a person types them into a shell.

use std::path::Path;

/// `text` as one word of a POSIX shell: bare where that is safe, or in single quotes.
pub(super) fn quoted(text: &str) -> String {
    let is_safe = |c: char| c.is_alphanumeric() || "-_./,:@%+=".contains(c);
    if !text.is_empty() && text.chars().all(is_safe) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// What stops the gateway on this state directory, whatever its configuration says by now.
pub(super) fn shutdown_of(state_dir: &Path) -> String {
    format!("enginehouse shutdown --state-dir {}", quoted(&state_dir.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_take_apart_is_quoted() {
        assert_eq!(quoted("conf/base-1.yaml"), "conf/base-1.yaml");
        assert_eq!(quoted("my conf/$a.yaml"), "'my conf/$a.yaml'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("~/a"), "'~/a'");
        assert_eq!(shutdown_of(Path::new("/a b")), "enginehouse shutdown --state-dir '/a b'");
    }
}

//! Lines of YAML as text: how far they are indented, and the comment behind one.

/// Spaces that a mapping is indented by, where nothing shows what the file's own are.
pub(super) const INDENT: usize = 2;

/// The spaces that a line begins with.
pub(super) fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// `text` with each line indented by so many spaces more.
pub(super) fn indented(text: &str, indent: usize) -> String {
    let line = |line: &str| if line.trim().is_empty() { "\n".to_owned() } else { format!("{:indent$}{line}\n", "") };
    text.lines().map(line).collect()
}

/// The comment at the end of a line.
pub(super) fn comment(line: &str) -> Option<&str> {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in line.char_indices() {
        match quote {
            None if c == '#' && before.is_whitespace() => return Some(line[at..].trim_end()),
            None if matches!(c, '"' | '\'') && !before.is_alphanumeric() => quote = Some(c),
            Some(open) if c == open && before != '\\' => quote = None,
            _ => {}
        }
        before = c;
    }
    None
}

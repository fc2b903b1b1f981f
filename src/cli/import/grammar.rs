//! The grammar of `${…}`: a text in its parts, a path in its keys, a function in its arguments.

/// A part of a text.
pub(super) enum Part {
    Text(String),
    /// What is between `${` and `}`.
    Node(String),
}

/// A text in its parts; `None`: a `${` is never closed.
pub(super) fn parts(text: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let (mut literal, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("${") {
        let before = &rest[..at];
        let slashes = before.len() - before.trim_end_matches('\\').len();
        // Before `${` a backslash takes the meaning of the next sign away.
        literal.push_str(&before[..at - slashes]);
        literal.extend(std::iter::repeat_n('\\', slashes / 2));
        rest = &rest[at + 2..];
        if slashes % 2 == 1 {
            literal.push_str("$${");
            continue;
        }
        let len = end_of(rest)?;
        if !literal.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut literal)));
        }
        parts.push(Part::Node(rest[..len].to_owned()));
        rest = &rest[len + 1..];
    }
    literal.push_str(rest);
    if !literal.is_empty() || parts.is_empty() {
        parts.push(Part::Text(literal));
    }
    Some(parts)
}

/// Where the `}` is that closes what begins at the front.
fn end_of(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '{') => open += 1,
            (None, '}') if open == 0 => return Some(at),
            (None, '}') => open -= 1,
            _ => {}
        }
    }
    None
}

/// Arguments between commas, those inside quotes and brackets excepted.
pub(super) fn split(arguments: &str) -> Vec<&str> {
    let (mut open, mut quote, mut start) = (0_i32, None, 0);
    let mut out = Vec::new();
    for (at, c) in arguments.char_indices() {
        match (quote, c) {
            (Some(end), c) if end == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '{' | '[') => open += 1,
            (None, '}' | ']') => open -= 1,
            (None, ',') if open == 0 => {
                out.push(&arguments[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    out.push(&arguments[start..]);
    out
}

pub(super) fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inside = |quote| text.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    inside('\'').or_else(|| inside('"')).unwrap_or(text).to_owned()
}

/// Whether `name` can be the name of an environment variable.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `name:arguments`, if it is a function and no path.
pub(super) fn resolver_of(inner: &str) -> Option<(&str, &str)> {
    let (name, arguments) = inner.trim().split_once(':')?;
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    (name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(legal)).then_some((name, arguments))
}

/// `a.b[0].c` → a, b, 0, c.
pub(super) fn keys(path: &str) -> Option<Vec<String>> {
    let keys: Vec<String> =
        path.replace('[', ".").replace(']', "").split('.').map(|key| key.trim().to_owned()).collect();
    (!keys.iter().any(String::is_empty)).then_some(keys)
}

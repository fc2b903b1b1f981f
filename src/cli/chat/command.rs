//! What a line of a conversation is: something to say, or a command; pure.

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing.
    Empty,
    /// Something for the model.
    Say(String),
    /// Begin anew.
    Clear,
    /// Another system message; `None`: none.
    System(Option<String>),
    /// The commands.
    Help,
    /// End.
    Quit,
    /// No command of ours.
    Unknown(String),
}

/// What the commands do.
pub(super) const HELP: &str = "/clear          forget what was said
/system TEXT    change the system message; without TEXT remove it
/quit           end (also Ctrl-D)
Ctrl-C          stop the answer; without one, end
A line that begins with two slashes is sent with one.";

/// Understands a line.
pub(super) fn understood(line: &str) -> Line {
    let text = line.trim();
    let Some(command) = text.strip_prefix('/') else {
        return if text.is_empty() { Line::Empty } else { Line::Say(text.to_owned()) };
    };
    if command.starts_with('/') {
        return Line::Say(command.to_owned());
    }
    let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim();
    match word {
        "clear" => Line::Clear,
        "system" => Line::System((!rest.is_empty()).then(|| rest.to_owned())),
        "help" | "?" => Line::Help,
        "quit" | "exit" | "bye" => Line::Quit,
        _ => Line::Unknown(format!("/{word}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood() {
        for (line, is) in [
            ("  \n", Line::Empty),
            (" How are you? \n", Line::Say("How are you?".into())),
            ("/clear\n", Line::Clear),
            ("/system  Be brief. ", Line::System(Some("Be brief.".into()))),
            ("/system", Line::System(None)),
            ("/quit", Line::Quit),
            ("/?", Line::Help),
            ("/qiut now", Line::Unknown("/qiut".into())),
            ("//etc is a folder", Line::Say("/etc is a folder".into())),
        ] {
            assert_eq!(understood(line), is, "{line:?}");
        }
    }
}

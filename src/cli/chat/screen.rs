//! Where an answer is shown: reasoning apart from it, and nothing in it that commands the terminal.

use std::io::{self, Write};
use std::time::Duration;

use super::answer::{Answer, Piece};
use crate::cli::outlet::{Outlet, harmless};

/// Dim, as SGR has it.
const DIM: &str = "2";

/// What was written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Nothing,
    Reasoning,
    Text,
}

/// Shows one answer.
#[derive(Debug)]
pub(super) struct Screen<W> {
    out: W,
    outlet: Outlet,
    last: Last,
    line_open: bool,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W, outlet: Outlet) -> Self {
        Self { out, outlet, last: Last::Nothing, line_open: false }
    }

    /// A part of the answer.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn show(&mut self, piece: &Piece) -> io::Result<()> {
        match piece {
            // Who pipes an answer on wants the answer.
            Piece::Reasoning(_) if !self.outlet.is_terminal => Ok(()),
            Piece::Reasoning(text) => {
                if self.last == Last::Nothing && !self.outlet.colour {
                    self.line("[reasoning]")?;
                }
                let text = if self.last == Last::Nothing { text.trim_start() } else { text };
                self.last = Last::Reasoning;
                self.write(text, DIM)
            }
            Piece::Text(text) if !self.outlet.is_terminal => {
                self.last = Last::Text;
                self.write(text, "")
            }
            Piece::Text(text) => {
                let begins = self.last != Last::Text;
                let text = if begins { text.trim_start() } else { text };
                if text.is_empty() {
                    return Ok(());
                }
                if self.last == Last::Reasoning {
                    self.close()?;
                    self.line(if self.outlet.colour { "" } else { "[answer]" })?;
                }
                self.last = Last::Text;
                self.write(text, "")
            }
        }
    }

    /// What is left to show when the answer is there.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn finish(&mut self, answer: &Answer) -> io::Result<()> {
        self.close()?;
        for call in &answer.calls {
            self.line(&format!("[tool call] {}({})", call.name, call.arguments))?;
        }
        self.out.flush()
    }

    /// A dim line, on terminals only.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn note(&mut self, text: &str) -> io::Result<()> {
        if !self.outlet.is_terminal {
            return Ok(());
        }
        self.close()?;
        let text = self.outlet.styled(DIM, &harmless(text));
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Ends the line, if there is something in it.
    fn close(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.line_open) { self.out.write_all(b"\n") } else { Ok(()) }
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        self.write(text, "")?;
        self.line_open = false;
        self.out.write_all(b"\n")
    }

    fn write(&mut self, text: &str, style: &str) -> io::Result<()> {
        let Some(last) = text.chars().next_back() else { return Ok(()) };
        self.line_open = last != '\n';
        if !self.outlet.is_terminal {
            self.out.write_all(text.as_bytes())?;
        } else if style.is_empty() {
            self.out.write_all(harmless(text).as_bytes())?;
        } else {
            self.out.write_all(self.outlet.styled(style, &harmless(text)).as_bytes())?;
        }
        self.out.flush()
    }
}

/// How fast it was: TTFT, tokens, tokens a second after the first.
pub(super) fn speed(answer: &Answer, first: Option<Duration>, whole: Duration) -> String {
    let (count, word) = match answer.tokens {
        Some(tokens) => (tokens, "token"),
        None => (answer.pieces, "piece"),
    };
    let counted = format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let Some(first) = first else { return format!("{:.2} s, {counted}", whole.as_secs_f64()) };
    let mut text = format!("TTFT {} ms, {counted}", first.as_millis());
    let rest = whole.saturating_sub(first).as_secs_f64();
    if count > 1 && rest > 0.0 {
        text += &format!(", {:.1} {word}s/s", (count - 1) as f64 / rest);
    }
    match answer.finish.as_deref() {
        Some("length") => text + ", cut at the length limit",
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(outlet: Outlet, pieces: &[Piece], answer: &Answer) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, outlet);
        pieces.iter().for_each(|piece| screen.show(piece).expect("written"));
        screen.finish(answer).expect("written");
        screen.note("done").expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    fn pieces() -> [Piece; 4] {
        let text = |text: &str| Piece::Text(text.into());
        [Piece::Reasoning("\nhm \x1b[2J".into()), text("\n\n"), text("\nHi\x07"), text(" you")]
    }

    #[test]
    fn a_terminal_gets_reasoning_dim_and_nothing_that_commands_it() {
        let colour = Outlet { is_terminal: true, colour: true, unicode: true };
        let wanted = "\x1b[2mhm \\u{1b}[2J\x1b[0m\n\nHi\\u{7} you\n\x1b[2mdone\x1b[0m\n";
        assert_eq!(shown(colour, &pieces(), &Answer::default()), wanted);
        let plain = Outlet { colour: false, ..colour };
        let wanted = "[reasoning]\nhm \\u{1b}[2J\n[answer]\nHi\\u{7} you\ndone\n";
        assert_eq!(shown(plain, &pieces(), &Answer::default()), wanted);
    }

    #[test]
    fn a_pipe_gets_the_answer_as_it_is() {
        let pipe = Outlet { is_terminal: false, colour: false, unicode: true };
        let call = super::super::answer::Call { name: "f".into(), arguments: "{}".into() };
        let answer = Answer { calls: vec![call], ..Answer::default() };
        assert_eq!(shown(pipe, &pieces(), &answer), "\n\n\nHi\x07 you\n[tool call] f({})\n");
    }

    #[test]
    fn the_speed_is_told() {
        let answer = Answer { tokens: Some(11), finish: Some("length".into()), ..Answer::default() };
        let (first, whole) = (Duration::from_millis(20), Duration::from_millis(520));
        assert_eq!(speed(&answer, Some(first), whole), "TTFT 20 ms, 11 tokens, 20.0 tokens/s, cut at the length limit");
        let untold = Answer { pieces: 1, ..Answer::default() };
        assert_eq!(speed(&untold, Some(first), whole), "TTFT 20 ms, 1 piece");
        assert_eq!(speed(&answer, None, whole), "0.52 s, 11 tokens");
    }
}

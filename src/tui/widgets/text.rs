//! Texts of others made harmless, and lines cut to what fits.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// A text without anything that a terminal would act on: escape sequences are taken out, other control characters are shown as
/// `·`, tabs are blanks, and characters that turn the direction of writing around are gone.
#[must_use]
pub fn clean(text: &str) -> String {
    coloured(text).spans.into_iter().map(|span| span.content.into_owned()).collect()
}

/// The same with the colours that the text itself has (SGR sequences with the sixteen colours); all others are taken out.
#[must_use]
pub fn coloured(text: &str) -> Line<'static> {
    let (mut line, mut style, mut part) = (Line::default(), Style::new(), String::new());
    let mut left = text.trim_end_matches(['\r', '\n']).chars().peekable();
    while let Some(character) = left.next() {
        match character {
            '\x1b' => {
                let sequence = escape(&mut left);
                let next = sequence.and_then(|parameters| graphics(style, &parameters));
                if let Some(next) = next.filter(|next| *next != style) {
                    if !part.is_empty() {
                        line.push_span(Span::styled(std::mem::take(&mut part), style));
                    }
                    style = next;
                }
            }
            '\u{9b}' => drop(control_sequence(&mut left)),
            '\t' => part.push_str("    "),
            character if turns(character) => {}
            character if character.is_control() => part.push('·'),
            character => part.push(character),
        }
    }
    if !part.is_empty() {
        line.push_span(Span::styled(part, style));
    }
    line
}

/// Characters that change the direction of what follows, or are not seen at all.
fn turns(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

type Left<'t> = std::iter::Peekable<std::str::Chars<'t>>;

/// Reads what follows an escape character (ECMA-48): the parameters of a graphics sequence, or nothing.
fn escape(left: &mut Left<'_>) -> Option<String> {
    match left.peek() {
        Some('[') => {
            left.next();
            control_sequence(left)
        }
        // Strings for the terminal, up to a bell or a string terminator.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(character) = left.next() {
                if character == '\x07' || character == '\u{9c}' {
                    break;
                }
                if character == '\x1b' {
                    left.next_if_eq(&'\\');
                    break;
                }
            }
            None
        }
        Some(' '..='/') => {
            while left.next_if(|character| (' '..='/').contains(character)).is_some() {}
            left.next_if(|character| ('0'..='~').contains(character));
            None
        }
        Some('0'..='~') => {
            left.next();
            None
        }
        _ => None,
    }
}

/// The parameters of a control sequence, if it is one of graphics.
fn control_sequence(left: &mut Left<'_>) -> Option<String> {
    let mut parameters = String::new();
    while let Some(character) = left.next_if(|character| (' '..='?').contains(character)) {
        parameters.push(character);
    }
    let last = left.next_if(|character| ('@'..='~').contains(character))?;
    (last == 'm').then_some(parameters)
}

/// The style after a graphics sequence.
fn graphics(before: Style, parameters: &str) -> Option<Style> {
    let mut style = before;
    let mut numbers =
        parameters.split([';', ':']).map(|number| if number.is_empty() { Some(0) } else { number.parse::<u8>().ok() });
    while let Some(number) = numbers.next() {
        match number? {
            0 => style = Style::new(),
            1 => style = style.add_modifier(Modifier::BOLD),
            2 => style = style.add_modifier(Modifier::DIM),
            3 => style = style.add_modifier(Modifier::ITALIC),
            4 => style = style.add_modifier(Modifier::UNDERLINED),
            22 => style = style.remove_modifier(Modifier::BOLD | Modifier::DIM),
            23 => style = style.remove_modifier(Modifier::ITALIC),
            24 => style = style.remove_modifier(Modifier::UNDERLINED),
            39 => style.fg = None,
            colour @ (30..=37 | 90..=97) => style.fg = Some(sixteen(colour)),
            // Another 256 or 16 million colours: those of the text stay as they are.
            38 | 48 => match numbers.next()? {
                Some(5) => drop(numbers.next()),
                Some(2) => drop(numbers.nth(2)),
                _ => return Some(style),
            },
            _ => {}
        }
    }
    Some(style)
}

fn sixteen(number: u8) -> Color {
    match number {
        30 | 90 => Color::DarkGray,
        31 => Color::Red,
        32 => Color::Green,
        33 => Color::Yellow,
        34 => Color::Blue,
        35 => Color::Magenta,
        36 => Color::Cyan,
        91 => Color::LightRed,
        92 => Color::LightGreen,
        93 => Color::LightYellow,
        94 => Color::LightBlue,
        95 => Color::LightMagenta,
        96 => Color::LightCyan,
        // White on white would not be seen.
        _ => Color::Reset,
    }
}

/// Writes a line; what does not fit is cut, and an ellipsis says so.
pub fn put(buffer: &mut Buffer, x: u16, y: u16, room: u16, line: &Line<'_>) {
    let area = *buffer.area();
    if y < area.y || y >= area.bottom() || x < area.x || x >= area.right() {
        return;
    }
    let room = room.min(area.right() - x);
    if room == 0 {
        return;
    }
    if line.width() <= usize::from(room) {
        buffer.set_line(x, y, line, room);
        return;
    }
    let (end, _) = buffer.set_line(x, y, line, room - 1);
    if let Some(cell) = buffer.cell_mut((end.min(x + room - 1), y)) {
        cell.set_char('…');
    }
}

/// How many columns a text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { Span::raw(text).width() }
}

/// A text in lines of at most `room` columns, broken at blanks where there are some.
#[must_use]
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let room = room.max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_inclusive(' ') {
            if !line.is_empty() && width(&line) + width(word.trim_end()) > room {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
            }
            for character in word.chars() {
                if width(&line) >= room && character != ' ' {
                    lines.push(std::mem::take(&mut line));
                }
                line.push(character);
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratatui::layout::Rect;

    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_taken_out() {
        for (given, shown) in [
            ("plain text", "plain text"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b[2J\x1b[Hgone", "gone"),
            ("\x1b]0;title\x07after", "after"),
            ("\x1b]52;c;AAAA\x1b\\after", "after"),
            ("\x1bP1;2q#0~\x1b\\after", "after"),
            ("\x1b(Bafter\x1bc!", "after!"),
            ("\u{9b}31mred", "red"),
            ("a\tb\x07c\x08d\r\n", "a    b·c·d"),
            ("progress 1\rprogress 2", "progress 1·progress 2"),
            ("abc\u{202e}def", "abcdef"),
            ("cut \x1b[3", "cut "),
            ("cut \x1b", "cut "),
        ] {
            assert_eq!(clean(given), shown, "{given:?}");
        }
    }

    #[test]
    fn the_sixteen_colours_are_kept() {
        let line = coloured("\x1b[1;32mINFO\x1b[0m \x1b[38;5;208mx\x1b[38;2;1;2;3my\x1b[90mz\x1b[39mw");
        let parts: Vec<_> = line.spans.iter().map(|span| (span.content.as_ref(), span.style.fg)).collect();
        assert_eq!(parts, [("INFO", Some(Color::Green)), (" xy", None), ("z", Some(Color::DarkGray)), ("w", None)]);
        assert!(line.spans[0].style.add_modifier.contains(Modifier::BOLD));
    }

    #[test]
    fn lines_are_cut_and_broken() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 1));
        put(&mut buffer, 1, 0, 5, &Line::raw("abcdefgh"));
        put(&mut buffer, 0, 3, 5, &Line::raw("outside"));
        let text: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(text, " abcd…  ");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("a\n\nb", 4), ["a", "", "b"]);
    }

    proptest! {
        #[test]
        fn nothing_that_acts_is_left(text in "(\\PC|\x1b|\u{9b}|\\[|[0-9;]|m|\x07|\t|\r){0,40}") {
            let clean = clean(&text);
            prop_assert!(!clean.chars().any(char::is_control), "{clean:?}");
            prop_assert!(wrap(&clean, 7).iter().all(|line| width(line) <= 8), "{clean:?}");
        }
    }
}

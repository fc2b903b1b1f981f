//! A question with answers, in the middle of a screen.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::panel::window;
use super::text::{put, width, wrap};
use crate::tui::frame::Theme;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The key that gives it.
    pub key: char,
    /// What it does.
    pub label: String,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    title: String,
    text: Vec<String>,
    choices: Vec<Choice>,
    selected: usize,
}

impl Choice {
    /// An answer.
    #[must_use]
    pub fn new(key: char, label: &str) -> Self {
        Self { key, label: label.to_owned() }
    }
}

impl Dialog {
    /// A question whose last answer is selected: it is to be the one that changes nothing, and Esc gives it, too.
    #[must_use]
    pub fn new(title: &str, text: Vec<String>, choices: Vec<Choice>) -> Self {
        let selected = choices.len().saturating_sub(1);
        Self { title: title.to_owned(), text, choices, selected }
    }

    /// Yes or no: `y` does it, `n` does not.
    #[must_use]
    pub fn confirm(title: &str, text: Vec<String>, yes: &str, no: &str) -> Self {
        Self::new(title, text, vec![Choice::new('y', yes), Choice::new('n', no)])
    }

    /// The same with this answer selected.
    #[must_use]
    pub fn select(mut self, key: char) -> Self {
        self.selected = self.choices.iter().position(|choice| choice.key == key).unwrap_or(self.selected);
        self
    }

    /// Acts on a key; the answer, when there is one.
    pub fn key(&mut self, key: KeyEvent) -> Option<char> {
        let count = self.choices.len().max(1);
        match key.code {
            KeyCode::Enter => return self.choices.get(self.selected).map(|choice| choice.key),
            KeyCode::Esc => return self.choices.last().map(|choice| choice.key),
            KeyCode::Left | KeyCode::Up | KeyCode::BackTab => self.selected = (self.selected + count - 1) % count,
            KeyCode::Right | KeyCode::Down | KeyCode::Tab => self.selected = (self.selected + 1) % count,
            KeyCode::Char(letter) if !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => {
                let letter = letter.to_ascii_lowercase();
                return self.choices.iter().find(|choice| choice.key == letter).map(|choice| choice.key);
            }
            _ => {}
        }
        None
    }

    /// Draws it into the middle of `area`.
    pub fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let room = usize::from(area.width.saturating_sub(6)).min(72);
        let text: Vec<String> = self.text.iter().flat_map(|text| wrap(text, room)).collect();
        // Side by side where they fit, else one below the other.
        let answers: Vec<String> =
            self.choices.iter().map(|choice| format!(" {} {} ", choice.key, choice.label)).collect();
        let beside = answers.iter().map(|answer| width(answer) + 1).sum::<usize>();
        let is_beside = beside <= room;
        let widest = text.iter().map(|line| width(line)).chain([width(&self.title) + 2]);
        let widest = widest.chain(answers.iter().map(|answer| width(answer))).max().unwrap_or(0);
        let widest = if is_beside { widest.max(beside) } else { widest };
        let gap = usize::from(!text.is_empty());
        let lines = text.len() + gap + if is_beside { 1 } else { answers.len() };
        let inner = window(area, (widest + 2, lines), &self.title, buffer, theme);
        let (x, right) = (inner.x + 1, inner.right());
        // In a small window the text is cut, never the answers.
        let rows = if is_beside { 1 } else { u16::try_from(answers.len()).unwrap_or(1) };
        let room = inner.height.saturating_sub(rows);
        for (line, y) in text.iter().zip(inner.y..inner.y + room) {
            let is_cut = y + 1 == inner.y + room && text.len() > usize::from(room);
            let line = if is_cut { "…" } else { line.as_str() };
            put(buffer, x, y, right.saturating_sub(x), &Line::raw(line));
        }
        let mut x = x;
        let mut y = inner.y + room;
        for (place, answer) in answers.iter().enumerate() {
            if y >= inner.bottom() {
                break;
            }
            let style = if place == self.selected { theme.selected() } else { theme.accent() };
            put(buffer, x, y, right.saturating_sub(x), &Line::from(Span::styled(answer.as_str(), style)));
            if is_beside {
                x += u16::try_from(width(answer) + 1).unwrap_or(0);
            } else {
                y += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_by_accident() {
        let dialog = || Dialog::confirm("Stop qwen3?", vec!["4 requests are under way.".into()], "stop", "cancel");
        let key = |dialog: &mut Dialog, code| dialog.key(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(key(&mut dialog(), KeyCode::Enter), Some('n'));
        assert_eq!(key(&mut dialog(), KeyCode::Esc), Some('n'));
        assert_eq!(key(&mut dialog(), KeyCode::Char('x')), None);
        assert_eq!(key(&mut dialog(), KeyCode::Char('Y')), Some('y'));
        for modifiers in [KeyModifiers::CONTROL, KeyModifiers::ALT] {
            assert_eq!(dialog().key(KeyEvent::new(KeyCode::Char('y'), modifiers)), None);
        }
        let mut moved = dialog();
        assert_eq!(key(&mut moved, KeyCode::Left), None);
        assert_eq!(key(&mut moved, KeyCode::Enter), Some('y'));
    }

    #[test]
    fn a_long_text_is_cut_and_the_answers_stay() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 40, 8));
        let text = (0..20).map(|number| format!("line {number}")).collect();
        let dialog = Dialog::confirm("Stop?", text, "stop", "cancel");
        dialog.draw(buffer.area, &mut buffer, &Theme::new(true, true));
        let lines: Vec<String> = (0..8).map(|y| (0..40).map(|x| buffer[(x, y)].symbol()).collect()).collect();
        assert!(lines[4].contains("line 3") && lines[5].contains('…'), "{lines:?}");
        assert!(lines[6].contains(" y stop   n cancel ") && lines[7].contains('└'), "{lines:?}");
        assert!(!lines[6].contains("line") && !lines[7].contains("line"), "{lines:?}");
    }

    #[test]
    fn it_is_drawn_in_the_middle() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 40, 8));
        let dialog = Dialog::confirm("Stop qwen3?", vec!["4 requests are under way.".into()], "stop", "cancel");
        dialog.draw(buffer.area, &mut buffer, &Theme::new(true, true));
        let lines: Vec<String> = (0..8).map(|y| (0..40).map(|x| buffer[(x, y)].symbol()).collect()).collect();
        let all = lines.join("\n");
        assert!(
            all.contains("┌ Stop qwen3? ─")
                && all.contains("│ 4 requests are under way.")
                && all.contains(" y stop   n cancel "),
            "{all}"
        );
    }
}

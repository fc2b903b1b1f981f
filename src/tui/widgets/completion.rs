//! A line that is typed, with suggestions: a place to go to.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::edit::{Edit, LineEdit};
use super::text::{clean, put, width};
use crate::tui::frame::Theme;

/// One of several words, typed in part.
#[derive(Clone, Debug)]
pub struct Completion {
    words: Vec<String>,
    edit: LineEdit,
    /// Which of those that fit is meant.
    at: usize,
}

impl Completion {
    /// Nothing is typed yet.
    #[must_use]
    pub fn new(words: Vec<String>) -> Self {
        Self { words, edit: LineEdit::default(), at: 0 }
    }

    /// Acts on a key: Tab and the arrows go through what fits.
    pub fn key(&mut self, key: KeyEvent) -> Edit {
        let count = self.fitting().len().max(1);
        match key.code {
            KeyCode::Tab | KeyCode::Down => self.at = (self.at + 1) % count,
            KeyCode::BackTab | KeyCode::Up => self.at = (self.at + count - 1) % count,
            _ => {
                let before = self.edit.text().to_owned();
                let edit = self.edit.key(key);
                if before != self.edit.text() {
                    self.at = 0;
                }
                return edit;
            }
        }
        Edit::Going
    }

    /// Inserts a text.
    pub fn paste(&mut self, text: &str) {
        self.edit.paste(text);
        self.at = 0;
    }

    /// What is typed.
    #[must_use]
    pub fn text(&self) -> &str {
        self.edit.text()
    }

    /// The word that is meant.
    #[must_use]
    pub fn chosen(&self) -> Option<String> {
        self.fitting().get(self.at).map(|word| (*word).to_owned())
    }

    /// Words that fit: those that are it first, then those that begin so, then those that contain it.
    fn fitting(&self) -> Vec<&str> {
        let typed = self.edit.text().trim().to_lowercase();
        let rank = |word: &str| {
            let word = word.to_lowercase();
            let ranks = [word == typed, word.starts_with(&typed), word.contains(&typed)];
            ranks.iter().position(|fits| *fits)
        };
        let mut fitting: Vec<(usize, &str)> =
            self.words.iter().filter_map(|word| Some((rank(word)?, word.as_str()))).collect();
        fitting.sort_by_key(|(rank, _)| *rank);
        fitting.into_iter().map(|(_, word)| word).collect()
    }

    /// Draws it on one line: what is typed, and what fits.
    pub fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        put(buffer, area.x, area.y, 2, &Line::styled(" :", theme.accent()));
        let typed = u16::try_from(width(self.edit.text()) + 1).unwrap_or(u16::MAX);
        let room = typed.max(12).min(area.width.saturating_sub(3));
        self.edit.draw(Rect { x: area.x + 2, width: room, ..area }, true, buffer, theme);
        let mut line = Line::default();
        for (place, word) in self.fitting().iter().enumerate().skip(self.at.saturating_sub(1)).take(24) {
            let style = if place == self.at { theme.selected() } else { theme.dim() };
            line.push_span(Span::styled(format!(" {} ", clean(word)), style));
        }
        let x = area.x + 3 + room;
        put(buffer, x, area.y, area.right().saturating_sub(x), &line);
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyModifiers;

    use super::*;

    #[test]
    fn what_is_typed_is_found_and_tab_goes_on() {
        let words = ["overview", "logs", "qwen3", "qwen3/0", "big-qwen"].map(str::to_owned).to_vec();
        let mut place = Completion::new(words);
        let mut key = |code| place.key(KeyEvent::new(code, KeyModifiers::NONE));
        for letter in "qwen3".chars() {
            assert_eq!(key(KeyCode::Char(letter)), Edit::Going);
        }
        assert_eq!(key(KeyCode::Tab), Edit::Going);
        assert_eq!(place.chosen().as_deref(), Some("qwen3/0"));
        place.key(KeyEvent::new(KeyCode::BackTab, KeyModifiers::NONE));
        assert_eq!(place.chosen().as_deref(), Some("qwen3"), "the word itself comes first");
        place.key(KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE));
        assert_eq!(place.fitting(), ["qwen3", "qwen3/0", "big-qwen"]);
        place.paste("x");
        assert_eq!((place.chosen(), place.text()), (None, "qwenx"));
    }
}

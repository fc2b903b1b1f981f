//! A line that is typed.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::text::{put, width};
use crate::tui::frame::Theme;

/// Longer lines are nothing that anybody types.
const LONGEST: usize = 4096;

/// A line of text with a cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineEdit {
    text: String,
    /// In bytes, at the beginning of a character or at the end.
    cursor: usize,
    /// It is proposed: what is typed or pasted first replaces it.
    fresh: bool,
}

/// What a key came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// It is still being typed.
    Going,
    /// Enter.
    Done,
    /// Esc.
    Cancelled,
}

impl LineEdit {
    /// A line with the cursor at its end.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), cursor: text.len(), fresh: false }
    }

    /// A line that is proposed: what is typed or pasted first replaces it.
    #[must_use]
    pub fn proposed(text: &str) -> Self {
        Self { fresh: true, ..Self::new(text) }
    }

    /// What is typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Replaces all of it.
    pub fn set(&mut self, text: &str) {
        *self = Self::new(text);
    }

    /// Acts on a key. Keys that mean nothing here change nothing.
    pub fn key(&mut self, key: KeyEvent) -> Edit {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let was_fresh = std::mem::take(&mut self.fresh);
        match key.code {
            KeyCode::Enter => return Edit::Done,
            KeyCode::Esc => return Edit::Cancelled,
            KeyCode::Backspace if alt => self.delete_word(),
            KeyCode::Backspace => self.delete(self.before()..self.cursor),
            KeyCode::Delete => self.delete(self.cursor..self.after()),
            KeyCode::Left => self.cursor = self.before(),
            KeyCode::Right => self.cursor = self.after(),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.text.len(),
            KeyCode::Char('b') if control => self.cursor = self.before(),
            KeyCode::Char('f') if control => self.cursor = self.after(),
            KeyCode::Char('h') if control => self.delete(self.before()..self.cursor),
            KeyCode::Char('d') if control => self.delete(self.cursor..self.after()),
            KeyCode::Char('u') if control => self.delete(0..self.cursor),
            KeyCode::Char('k') if control => self.delete(self.cursor..self.text.len()),
            KeyCode::Char('w') if control => self.delete_word(),
            KeyCode::Char(character) if !control && !alt => {
                if was_fresh {
                    self.set("");
                }
                self.insert(character);
            }
            _ => {}
        }
        Edit::Going
    }

    /// Inserts a text at the cursor, without line ends and other control characters.
    pub fn paste(&mut self, text: &str) {
        if std::mem::take(&mut self.fresh) {
            self.set("");
        }
        text.trim_end_matches(['\r', '\n']).chars().for_each(|character| self.insert(character));
    }

    fn insert(&mut self, character: char) {
        if !character.is_control() && self.text.len() < LONGEST {
            self.text.insert(self.cursor, character);
            self.cursor += character.len_utf8();
        }
    }

    fn delete(&mut self, range: std::ops::Range<usize>) {
        self.cursor = range.start;
        self.text.replace_range(range, "");
    }

    fn delete_word(&mut self) {
        let head = self.text[..self.cursor].trim_end();
        let start = head.char_indices().rev().find(|(_, character)| character.is_whitespace());
        let start = start.map_or(0, |(at, character)| at + character.len_utf8());
        self.delete(start..self.cursor);
    }

    fn before(&self) -> usize {
        self.text[..self.cursor].char_indices().next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        self.text[self.cursor..].chars().next().map_or(self.cursor, |character| self.cursor + character.len_utf8())
    }

    /// Draws it on one line, moved so that the cursor is seen. The cursor is shown where `active`.
    pub fn draw(&self, area: Rect, active: bool, buffer: &mut Buffer, theme: &Theme) {
        let room = usize::from(area.width);
        if room == 0 || area.height == 0 {
            return;
        }
        // What is left of the cursor gives way from its beginning, so that the cursor has a column.
        let mut start = 0;
        while width(&self.text[start..self.cursor]) + 1 > room {
            start += self.text[start..].chars().next().map_or(1, char::len_utf8);
        }
        put(buffer, area.x, area.y, area.width, &Line::raw(&self.text[start..]));
        if active {
            let column = u16::try_from(width(&self.text[start..self.cursor])).unwrap_or(0);
            if let Some(cell) = buffer.cell_mut((area.x + column.min(area.width - 1), area.y)) {
                cell.set_style(theme.selected());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(edit: &mut LineEdit, keys: &[(KeyCode, KeyModifiers)]) {
        for (code, modifiers) in keys {
            assert_eq!(edit.key(KeyEvent::new(*code, *modifiers)), Edit::Going);
        }
    }

    #[test]
    fn keys_edit_the_line() {
        let (none, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
        let mut edit = LineEdit::new("hä llo");
        typed(&mut edit, &[(KeyCode::Left, none), (KeyCode::Backspace, none), (KeyCode::Char('X'), none)]);
        assert_eq!(edit.text(), "hä lXo");
        typed(&mut edit, &[(KeyCode::Char('w'), control)]);
        assert_eq!(edit.text(), "hä o");
        typed(&mut edit, &[(KeyCode::Home, none), (KeyCode::Right, none), (KeyCode::Delete, none)]);
        assert_eq!(edit.text(), "h o");
        edit.paste("\x1bpa\nste\r\n");
        assert_eq!(edit.text(), "hpaste o");
        typed(&mut edit, &[(KeyCode::Char('u'), control)]);
        assert_eq!(edit.text(), " o");
        assert_eq!(edit.key(KeyEvent::new(KeyCode::Enter, none)), Edit::Done);
        assert_eq!(edit.key(KeyEvent::new(KeyCode::Esc, none)), Edit::Cancelled);
    }

    #[test]
    fn what_is_typed_first_replaces_what_is_proposed() {
        let none = KeyModifiers::NONE;
        let mut edit = LineEdit::proposed("2");
        typed(&mut edit, &[(KeyCode::Char('3'), none), (KeyCode::Char('4'), none)]);
        assert_eq!(edit.text(), "34");
        let mut edit = LineEdit::proposed("2");
        typed(&mut edit, &[(KeyCode::End, none), (KeyCode::Char('3'), none)]);
        assert_eq!(edit.text(), "23", "who moves in it keeps it");
        let mut edit = LineEdit::proposed("2");
        edit.paste("5");
        edit.paste("6");
        assert_eq!(edit.text(), "56");
    }

    #[test]
    fn the_cursor_is_always_seen() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 5, 1));
        LineEdit::new("漢字 abc").draw(buffer.area, true, &mut buffer, &Theme::new(true, true));
        let text: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(text, " abc ");
        assert!(buffer.content[4].modifier.contains(ratatui::style::Modifier::REVERSED));
    }
}

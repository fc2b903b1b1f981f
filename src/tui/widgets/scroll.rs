//! How far a text is scrolled: never past its end.

use std::cell::Cell;

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::text::put;
use crate::tui::frame::Theme;

/// Lines that a page key goes.
const PAGE: usize = 10;

/// The uppermost line that is shown of a text. The last place to scroll to is known from the last time it was drawn.
#[derive(Clone, Debug, Default)]
pub struct Scroll {
    at: usize,
    most: Cell<usize>,
}

impl Scroll {
    /// Scrolls by a key, as in `less`; `false`: it is another key.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Down => self.go(1),
            KeyCode::Up => self.go(-1),
            KeyCode::Char('j') if !control => self.go(1),
            KeyCode::Char('k') if !control => self.go(-1),
            KeyCode::Char(' ') => self.go(PAGE.cast_signed()),
            KeyCode::Char('f') if control => self.go(PAGE.cast_signed()),
            KeyCode::Char('b') if control => self.go(-PAGE.cast_signed()),
            KeyCode::Home => self.at = 0,
            KeyCode::Char('g') if !control => self.at = 0,
            KeyCode::End | KeyCode::Char('G') => self.at = self.most.get(),
            _ => return self.page_key(key),
        }
        true
    }

    /// Scrolls by page keys alone, where the others do something else.
    pub fn page_key(&mut self, key: KeyEvent) -> bool {
        match key.code {
            KeyCode::PageDown => self.go(PAGE.cast_signed()),
            KeyCode::PageUp => self.go(-PAGE.cast_signed()),
            _ => return false,
        }
        true
    }

    fn go(&mut self, by: isize) {
        let most = self.most.get();
        self.at = self.at.min(most).saturating_add_signed(by).min(most);
    }

    /// The first line that is shown where `room` of `count` fit.
    pub fn first(&self, count: usize, room: usize) -> usize {
        self.most.set(count.saturating_sub(room));
        self.at.min(self.most.get())
    }

    /// Draws the lines that fit; where those are not all, the last one tells so.
    pub fn draw_told(&self, lines: &[Line<'_>], area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let height = usize::from(area.height);
        if lines.len() <= height || height == 0 {
            self.draw(lines, area, buffer);
            return;
        }
        let shown = height - 1;
        self.draw(lines, Rect { height: area.height - 1, ..area }, buffer);
        let first = self.first(lines.len(), shown);
        let told = format!("lines {}-{} of {} · PgUp PgDn", first + 1, first + shown, lines.len());
        put(buffer, area.x, area.bottom() - 1, area.width, &Line::styled(told, theme.dim()));
    }

    /// Draws the lines that fit.
    pub fn draw(&self, lines: &[Line<'_>], area: Rect, buffer: &mut Buffer) {
        let first = self.first(lines.len(), usize::from(area.height));
        for (line, y) in lines.iter().skip(first).zip(area.y..area.bottom()) {
            put(buffer, area.x, y, area.width, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_begins_at_once() {
        let mut scroll = Scroll::default();
        assert_eq!(scroll.first(12, 5), 0);
        let mut press = |code: KeyCode| {
            assert!(scroll.key(code.into()));
            scroll.first(12, 5)
        };
        assert_eq!(press(KeyCode::PageDown), 7);
        assert_eq!(press(KeyCode::Down), 7, "not past the end");
        assert_eq!(press(KeyCode::Up), 6, "one key goes one line back");
        assert_eq!((press(KeyCode::Home), press(KeyCode::End), press(KeyCode::PageUp)), (0, 7, 0));
        assert!(!scroll.key(KeyCode::Enter.into()) && !scroll.page_key(KeyCode::Down.into()));
    }
}

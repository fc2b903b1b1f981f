//! Which row of a list is selected.

use std::ops::Range;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A selected row. How long the list is may change at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    at: usize,
}

impl Selection {
    /// Rows that a page key goes.
    const PAGE: usize = 10;

    /// This row.
    #[must_use]
    pub fn new(at: usize) -> Self {
        Self { at }
    }

    /// The selected one of `count` rows; `None`: there are none.
    #[must_use]
    pub fn of(&self, count: usize) -> Option<usize> {
        (count > 0).then(|| self.at.min(count - 1))
    }

    /// Moves by a key, as in k9s and vi; `false`: it is another key.
    pub fn key(&mut self, key: KeyEvent, count: usize) -> bool {
        let last = count.saturating_sub(1);
        let at = self.at.min(last);
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        self.at = match key.code {
            KeyCode::Down => at + 1,
            KeyCode::Up => at.saturating_sub(1),
            KeyCode::Char('j') if !control => at + 1,
            KeyCode::Char('k') if !control => at.saturating_sub(1),
            KeyCode::PageDown => at + Self::PAGE,
            KeyCode::PageUp => at.saturating_sub(Self::PAGE),
            KeyCode::Char('f') if control => at + Self::PAGE,
            KeyCode::Char('b') if control => at.saturating_sub(Self::PAGE),
            KeyCode::Home => 0,
            KeyCode::Char('g') if !control => 0,
            KeyCode::End => last,
            KeyCode::Char('G') => last,
            _ => return false,
        }
        .min(last);
        true
    }

    /// Which of `count` rows are shown where there is room for so many: the selected one is among them, in the middle if it can.
    #[must_use]
    pub fn shown(&self, count: usize, room: usize) -> Range<usize> {
        let at = self.of(count).unwrap_or(0);
        let first = at.saturating_sub(room / 2).min(count.saturating_sub(room));
        first..count.min(first + room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_row_exists_and_is_shown() {
        let mut selection = Selection::default();
        assert_eq!(selection.of(0), None);
        let mut key = |code, count| {
            selection.key(KeyEvent::new(code, KeyModifiers::NONE), count);
            (selection.of(count), selection.shown(count, 5))
        };
        assert_eq!(key(KeyCode::Up, 20), (Some(0), 0..5));
        assert_eq!(key(KeyCode::PageDown, 20), (Some(10), 8..13));
        assert_eq!(key(KeyCode::Char('G'), 20), (Some(19), 15..20));
        assert_eq!(key(KeyCode::Down, 20), (Some(19), 15..20));
        assert_eq!(key(KeyCode::Char('x'), 3), (Some(2), 0..3));
        assert_eq!(key(KeyCode::Char('k'), 3), (Some(1), 0..3));
        assert_eq!(key(KeyCode::Down, 0), (None, 0..0));
    }
}
